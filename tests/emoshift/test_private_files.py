"""Files of the outbox and the dashboard belong to their owner alone, wherever they are made."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from edge.config import parse_config
from edge.outbox.store import Outbox
from emoshift.private_files import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _careless() -> Iterator[None]:
    """A umask that takes no right from anybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()}


def test_the_outbox(tmp_path: Path) -> None:
    """The database, its log, its locks and its reserve are 0600."""
    settings = parse_config({"outbox": {"path": str(tmp_path / "outbox.db")}}, where="test")
    with Outbox.from_config(settings.outbox, writer=True):
        found = modes(tmp_path)
    assert "outbox.db" in found
    assert set(found.values()) == {"0o600"}


def test_the_dashboard(tmp_path: Path) -> None:
    """The history and its log are 0600."""
    pytest.importorskip("sqlalchemy")
    from dashboard.store.database import open_store

    engine = open_store(str(tmp_path / "history.db"))
    with engine.begin():
        found = modes(tmp_path)
    engine.dispose()
    assert {"history.db", "history.db-wal"} <= found.keys()
    assert set(found.values()) == {"0o600"}


def test_a_file_that_was_open_to_others(tmp_path: Path) -> None:
    """One made by an earlier version is closed to others, and the locks on it stay."""
    path = tmp_path / "history.db"
    path.touch(mode=0o644)
    with sqlite3.connect(path, timeout=0, isolation_level=None) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        make_private(path)
        with (
            sqlite3.connect(path, timeout=0) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("SELECT * FROM t")
        other.close()
    holder.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_made_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    """A missing folder or a folder of that name is no error here."""
    make_private(tmp_path / "missing" / "history.db")
    make_private(tmp_path)
    assert tmp_path.is_dir()

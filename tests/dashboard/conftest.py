"""What the dashboard's tests share: both databases, a real broker, simulated classrooms."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEEDED = ("starlette", "sqlalchemy", "argon2", "paho", "babel")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
if MISSING:  # the device's own environment has none of this; test_installed.py says so
    collect_ignore_glob = ["test_[!i]*.py"]
else:
    from benchmarks.dashboard.postgres import Postgres
    from benchmarks.dashboard.postgres import postgres as run_postgres
    from dashboard.simulate.classroom import Classroom
    from dashboard.store.database import open_store
    from dashboard.store.read import Archive
    from emoshift.errors import UnavailableError
    from emoshift.local_broker import find_mosquitto, free_port, local_broker
    from emoshift.topics import Address


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; skips where none is installed."""
    try:
        with run_postgres() as server:
            yield server
    except UnavailableError as why:
        pytest.skip(str(why))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.make_database()


@pytest.fixture
def engine(database: str) -> Iterator[object]:
    """An open, empty database, of each kind in turn."""
    found = open_store(database)
    yield found
    found.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The setting of an empty SQLite database."""
    return str(tmp_path / "history.db")


@pytest.fixture
def mqtt(tmp_path: Path) -> Iterator[int]:
    """The port of a Mosquitto of this test's own."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed; run: apt install mosquitto")
    port = free_port()
    with local_broker(tmp_path, port=port):
        yield port


@pytest.fixture
def room() -> Classroom:
    """A classroom that always publishes the same story."""
    return Classroom(Address("school", "room-1"), seed=1)


@pytest.fixture
def history() -> Iterator[Callable[[str], Archive]]:
    """Opens a history to read it; everything opened is closed again."""
    engines = []

    def read(setting: str) -> Archive:
        engines.append(open_store(setting))
        return Archive(engines[-1])

    yield read
    for engine in engines:
        engine.dispose()

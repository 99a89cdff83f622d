"""``edge outbox``: what was set aside is shown, sent again, or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.outbox.store import Outbox
from tests.support.events import changes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration whose outbox holds two events that were set aside and one that waits."""
    with Outbox.open(tmp_path / "outbox.db", writer=True) as outbox:
        outbox.append(changes(3))
        for number in (1, 2):
            outbox.refuse(number, "Quota exceeded\x1b[31m")
    path = tmp_path / "edge.toml"
    path.write_text(f'[outbox]\npath = "{tmp_path}/outbox.db"\n')
    return str(path)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["outbox", *arguments])
    return done.exit_code, done.output


def test_list_retry_drop(config: str) -> None:
    """Events are named by their numbers; what the broker said is escaped."""
    code, said = run("list", "--config", config)
    assert code == 0
    assert said.count("Quota exceeded") == 2
    assert "\x1b" not in said
    assert "1 waiting, 2 set aside, 0 lost" in said
    assert run("retry", "2", "--config", config) == (0, "1 events wait to be sent again\n")
    assert run("drop", "1", "--config", config) == (0, "1 events dropped\n")
    assert "2 waiting, 0 set aside, 1 lost" in run("list", "--config", config)[1]


def test_no_outbox(tmp_path: Path) -> None:
    """A device that has never run has nothing to show, and says so in one line."""
    path = tmp_path / "edge.toml"
    path.write_text(f'[outbox]\npath = "{tmp_path}/none.db"\n')
    code, said = run("list", "--config", str(path))
    assert code == 66
    assert "no such outbox" in said

"""The commands a user types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.transitions.command import crowd, transitions

if TYPE_CHECKING:
    from pathlib import Path

    import click


@pytest.mark.parametrize("command", [transitions, crowd])
def test_help_has_an_example(command: click.Command) -> None:
    """-h explains the command and shows one."""
    shown = CliRunner().invoke(command, ["-h"])
    assert shown.exit_code == 0
    assert "Example:\n" in shown.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--labels", "x.json"], 2, "belong together", id="labels without clips"),
        pytest.param(["--seed", "5"], 2, "101 or above", id="a tuning seed"),
        pytest.param(["--level", "a", "--scale", "-1"], 2, "x>0", id="no clips"),
        pytest.param(["--labels", "x.json", "--clips", "."], 66, "no such file", id="no labels"),
    ],
)
def test_bad_usage(arguments: list[str], code: int, says: str) -> None:
    """What cannot be done is said in one line, with its exit code."""
    shown = CliRunner().invoke(main, ["transitions", *arguments])
    assert shown.exit_code == code
    assert says in shown.output


def test_level_a_end_to_end(tmp_path: Path) -> None:
    """The table is printed and the report written, with every detector in it."""
    arguments = ["--level", "a", "--scale", "0.02", "--report", str(tmp_path / "out"), "--json"]
    shown = CliRunner().invoke(main, ["transitions", *arguments])
    assert shown.exit_code == 0, shown.output
    (level,) = json.loads((tmp_path / "out" / "transitions.json").read_text())["levels"]
    names = [row["detector"] for row in level["rows"]]
    assert names[:3] == ["device", "raw arg-max", "average + hysteresis"]
    assert len(level["curve"]) == 11
    assert "false/min" in (tmp_path / "out" / "transitions.txt").read_text()

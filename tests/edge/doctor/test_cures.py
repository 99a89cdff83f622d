"""Cures: shown as they are typed; only the safe ones are run, each once, and then looked again."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.commands.doctor import fix, from_json_line, lines_of, report_of, to_json_line
from edge.doctor.finding import SET_CLOCK, Cure, Finding, by
from edge.doctor.report import DoctorReport
from edge.health.board import describe_throttling

if TYPE_CHECKING:
    from pathlib import Path


def fault(*cures: Cure, good: bool = False) -> Finding:
    return Finding(what="thing", good=good, detail="is broken", cures=cures)


def touch(path: Path, *, safe: bool) -> Cure:
    return Cure(command=("touch", str(path)), safe=safe, root=False)


def test_only_what_is_safe_is_run(tmp_path: Path) -> None:
    """An unsafe cure, and one of what is well, are left to a person."""
    lines: list[str] = []
    done = fix(
        [
            fault(touch(tmp_path / "safe", safe=True), touch(tmp_path / "unsafe", safe=False)),
            fault(touch(tmp_path / "well", safe=True), good=True),
            fault(touch(tmp_path / "safe", safe=True)),
        ],
        [],
        lines.append,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["safe"]
    assert [one.good for one in done] == [True]
    assert len(lines) == 1
    assert fix([fault(touch(tmp_path / "safe", safe=True))], done, lines.append) == []


@pytest.mark.parametrize(
    "command", [("rm", "-rf", "/"), ("edge", "assets", "fetch", "--all"), ("sh", "-c", "id")]
)
def test_root_runs_nothing_that_the_services_user_makes_up(command: tuple[str, ...]) -> None:
    """A finding that claims another command to be safe is shown, and its command is not run."""
    forged = Finding(
        what="thing",
        good=False,
        detail="broken \x1b[2J",
        cures=(Cure(command=command, safe=True), SET_CLOCK),
    )
    read = from_json_line(to_json_line(forged))
    assert [cure.safe for cure in read.cures] == [False, True]
    assert read.cures[1] == SET_CLOCK
    assert "\x1b" not in "".join(lines_of(read))


def test_a_cure_that_fails_says_why() -> None:
    """Its last line is told; one that is not there likewise."""
    code = "import sys; sys.exit('no such thing')"
    cures = (
        Cure(command=(sys.executable, "-c", code), safe=True, root=False),
        Cure(command=("/nonexistent/program",), safe=True, root=False),
    )
    done = fix([fault(*cures)], [], lambda _: None)
    assert not any(one.good for one in done)
    assert done[0].detail == "no such thing"
    assert "No such file" in done[1].detail


def test_it_is_shown_as_it_is_typed() -> None:
    """Words with spaces are quoted; sudo stands where it is needed."""
    finding = fault(*by("install", "a folder"))
    sudo = "" if os.geteuid() == 0 else "sudo "
    assert lines_of(finding)[1].strip() == f"cure: {sudo}install 'a folder'"
    assert len(lines_of(fault(*finding.cures, good=True))) == 1


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (0x0, ""),
        (0x50005, "under-voltage now, throttled now; use the board's own power supply"),
        (0x50000, "under-voltage since it was started, throttled since it was started;"),
        (0x80008, "soft temperature limit now; cool the board"),
    ],
)
def test_throttling(word: int, said: str) -> None:
    """The firmware's word in plain ones, what holds now before what has been."""
    assert describe_throttling(word).startswith(said)
    assert bool(describe_throttling(word)) == bool(said)


def test_the_report_is_of_its_form() -> None:
    """What is printed can be read back by its own schema; what is well has no cures."""
    report = report_of([fault(*by("true")), fault(*by("true"), good=True)], as_service=True)
    text = report.model_dump_json(by_alias=True)
    assert DoctorReport.model_validate_json(text) == report
    assert json.loads(text)["schema"] == "emoshift.doctor/1"
    assert [len(check.cures) for check in report.checks] == [1, 0]
    assert (report.user, report.good) == ("emoshift", False)


@pytest.mark.usefixtures("landmarker")
def test_json_on_the_command_line(tmp_path: Path, counting_clip: Path) -> None:
    """It prints one object and exits 1 where anything is wrong."""
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[camera]\nsource = "{counting_clip}"\n[mqtt]\nhost = "127.0.0.1"\nport = 9\n'
    )
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), "--as-this-user", "--json"])
    assert done.exit_code == 1
    report = DoctorReport.model_validate_json(done.stdout)
    wrong = {check.check for check in report.checks if not check.good}
    assert {"legal basis", "broker"} <= wrong
    assert "camera" not in wrong

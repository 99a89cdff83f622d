"""What our commands have in common."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from emoshift.command_line import OutputPath, RenamedOption
from emoshift.errors import OutputError


@click.command()
@click.option("-o", "--output", cls=RenamedOption, before="--out", help="The file.")
def write(output: str | None) -> None:
    """Write a file."""
    click.echo(output)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-o", "a"], id="short"),
        pytest.param(["--output", "a"], id="now"),
        pytest.param(["--out", "a"], id="before"),
        pytest.param(["--out=a"], id="before, joined"),
    ],
)
def test_an_option_answers_to_its_old_name(words):
    """Scripts that were written for an earlier version go on working."""
    assert CliRunner().invoke(write, words).output == "a\n"


def test_help_tells_the_new_name_alone():
    """The old one is for scripts, not for people."""
    said = CliRunner().invoke(write, ["--help"]).output
    assert "-o, --output TEXT  The file." in said
    assert "--out " not in said


_FINALISER = """
import signal, time
from emoshift.command_line import one_line_errors

class Held:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.1)  # somebody presses it during this

with one_line_errors():
    held = Held()
    del held
    time.sleep(300)
"""


def test_an_interrupt_in_a_finaliser_is_not_lost():
    """Python goes on after an exception there, and so it does in the callback of each import."""
    done = subprocess.run(
        [sys.executable, "-c", _FINALISER], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 130
    assert "ignored" not in done.stderr
    assert "Traceback" not in done.stderr


_ENDED = """
import signal, sys
from emoshift.command_line import one_line_errors

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
with one_line_errors():
    try:
        signal.raise_signal(signal.SIGHUP)
        print("still here", flush=True)
        signal.raise_signal(signal.SIGTERM)
    finally:
        print("in order")
"""


def test_a_command_that_is_killed_ends_in_order():
    """What it has started is ended too; a hang-up that somebody ignores stays ignored."""
    done = subprocess.run(
        [sys.executable, "-c", _ENDED], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 143
    assert done.stdout.split("\n") == ["still here", "in order", ""]
    assert not done.stderr


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    """A folder that is still to be made is fine; what is in the way, or closed, is told."""
    take = OutputPath().convert
    assert take(str(tmp_path / "new" / "report.json"), None, None) == tmp_path / "new/report.json"
    (tmp_path / "file").touch()
    assert take(str(tmp_path / "file"), None, None) == tmp_path / "file"
    with pytest.raises(OutputError, match="file is no folder"):
        take(str(tmp_path / "file" / "report.json"), None, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    """The folder is named that this user may not write into."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may not write into"):
        OutputPath().convert(str(tmp_path / "report.json"), None, None)
    tmp_path.chmod(0o700)

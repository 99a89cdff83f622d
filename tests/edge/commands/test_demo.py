"""The demonstration: real daemon, real broker, real subscriber, as a newcomer runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import runs, wait_until

ROOT = Path(__file__).parents[3]
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  face [0-9a-f]+ +(\w+) -> (\w+) +\d+%")

pytestmark = [pytest.mark.clip, pytest.mark.usefixtures("landmarker")]


AT_A_TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run below nohup, which ignores it
os.execv(sys.executable, [sys.executable, "-m", "edge", "demo", *sys.argv[1:]])
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def children(pid: int) -> set[int]:
    """All processes below one, from /proc."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def test_transitions_come_through_the_broker(demo_clip: Path) -> None:
    """Without an argument at least three changes arrive, one to happy; none is lost."""
    process = start()
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert demo_clip.name in output
    events = LINE.findall(output)
    assert len(events) >= 3
    assert "happy" in [after for _, after in events]
    assert events[0][0] == "unknown"
    assert f"decided   {len(events)} transitions; {len(events)} of them came" in output
    assert len(output.splitlines()) <= 24, "one screen"


def test_a_clip_of_ones_own(sample_clip: Path) -> None:
    """Any clip is played, without a remark that belongs to another."""
    process = start(str(sample_clip))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert sample_clip.name in output
    assert re.search(r"decided   (\d+) transitions?; \1 of them came", output)


def test_a_camera_needs_a_legal_basis() -> None:
    """Whoever points a camera at people says by what right, also in a demonstration."""
    process = start("0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--legal-basis" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="kill"),
        pytest.param(signal.SIGHUP, id="the terminal is closed"),
    ],
)
def test_ended_it_leaves_nothing_behind(sample_clip: Path, number: signal.Signals) -> None:
    """An interrupted demonstration ends all its processes, without a trace on the screen."""
    process = start(str(sample_clip))
    # Broker, supervisor, both processes.
    wait_until(lambda: len(children(process.pid)) >= 4 or process.poll() is not None, 60.0)
    below = children(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert below
    # The event store dies with its parent, and whoever inherits it reads that a moment later.
    wait_until(lambda: not any(map(runs, below)), 20.0)


def test_a_clip_that_is_none_is_refused(tmp_path: Path) -> None:
    """The wrong file is reported in one line, before anything is started."""
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear parents")
    process = start(str(letter))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 66
    assert errors.startswith(f"Error: {letter}: not a video that can be decoded, or cut short")
    assert errors.count("\n") == 1

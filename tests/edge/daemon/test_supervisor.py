"""Both processes are started, restarted, stopped in order, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import runs, wait_until

STAND_IN = """
import json, os, signal, sys, time
from edge.daemon.isolation import die_with_parent
name, folder, story = sys.argv[1:4]
parent = int(sys.argv[sys.argv.index("--parent") + 1])
config = json.load(sys.stdin)
die_with_parent(parent, signal.SIGKILL)
start = len(open(f"{folder}/log").read().split(f"{name} starts")) - 1
def say(text):
    with open(f"{folder}/log", "a") as file:
        file.write(f"{name} {text}\\n")
def end(*_):
    say("stops")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say(f"starts {os.getpid()}")
from emoshift.systemd import Notifier
notifier = Notifier.from_environment()
steps = story.split(",")
step = steps[min(start, len(steps) - 1)]
if step.isdecimal():
    sys.exit(int(step))
ready = False
while True:
    if step != "silent":
        notifier.ready()
        if not ready:
            say("is ready")
            ready = True
    time.sleep(0.05)  # between two signs of life
"""
RUN = """
import logging, sys
from edge.config import Config
from edge.daemon.supervisor import supervise
logging.basicConfig(level=logging.INFO)
folder, stories = sys.argv[1], dict(zip(("vision", "publish"), sys.argv[2:4]))
from edge.config import parse_config
def reread():
    import tomllib
    return parse_config(tomllib.load(open(f"{folder}/edge.toml", "rb")), where="edge.toml")
patience = dict.fromkeys(("vision", "publish"), float(sys.argv[4]))
sys.exit(supervise(Config(), reread=reread, watchdog_s=patience, command=lambda name: [
    sys.argv[5], f"{folder}/process.py", name, folder, stories[name]]))
"""


class Run:
    """``edge run`` with stand-ins that follow a story: an exit code for each start, or ``on``.

    One that was ready and gives no sign of life for ``patience_s`` is killed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        vision: str,
        publish: str,
        patience_s: float = 30.0,
        interpreter: Path = Path(sys.executable),
    ) -> None:
        self._folder = folder
        (folder / "process.py").write_text(STAND_IN)
        (folder / "log").write_text("")
        with (folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", RUN, str(folder), vision, publish),
                    *(str(patience_s), str(interpreter)),
                ],
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            )

    @property
    def log(self) -> str:
        """What the stand-ins have written."""
        return (self._folder / "log").read_text()

    @property
    def said(self) -> str:
        """What the supervisor has logged so far."""
        return (self._folder / "stderr").read_text()

    def pids(self) -> list[int]:
        """Process numbers of all stand-ins ever started."""
        return [int(line.split()[-1]) for line in self.log.splitlines() if "starts" in line]

    def pid_of(self, name: str) -> int:
        """Process number of the first stand-in of that name."""
        return next(
            int(line.split()[-1]) for line in self.log.splitlines() if f"{name} starts" in line
        )

    def end(self) -> tuple[int, str]:
        """Wait for the end; exit code and standard error."""
        return self.process.wait(timeout=60), self.said


def test_a_clean_stop_ends_vision_first(tmp_path: Path) -> None:
    """On SIGTERM the vision process stops first, so that its last events still go out."""
    run = Run(tmp_path, vision="on", publish="on")
    wait_until(lambda: len(run.pids()) == 2)
    run.process.send_signal(signal.SIGTERM)
    code, _ = run.end()
    assert code == 0
    assert [line for line in run.log.splitlines() if "stops" in line] == [
        "vision stops",
        "publish stops",
    ]


def test_a_crashed_process_is_started_again(tmp_path: Path) -> None:
    """An exit code that may pass leads to another start, and is logged."""
    run = Run(tmp_path, vision="74,on", publish="1,69,on")
    wait_until(lambda: len(run.pids()) == 5)
    run.process.send_signal(signal.SIGINT)
    code, said = run.end()
    assert code == 0
    assert "vision ended (exit code 74); started again in 0.5 s" in said
    assert "publish ended (exit code 69); started again in 1.0 s" in said


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """A system that has no room for a process at this moment does not end the whole run."""
    run = Run(tmp_path, vision="on", publish="on", interpreter=tmp_path / "python")
    wait_until(lambda: "publish cannot be started" in run.said)
    (tmp_path / "python").symlink_to(sys.executable)
    wait_until(lambda: len(run.pids()) == 2)
    run.process.send_signal(signal.SIGTERM)
    code, said = run.end()
    assert code == 0
    assert "tried again in 0.5 s" in said
    assert "Traceback" not in said


def test_what_cannot_work_is_not_retried(tmp_path: Path) -> None:
    """A wrong bundle or configuration ends the run with its own exit code."""
    run = Run(tmp_path, vision="66", publish="on")
    assert run.end()[0] == 66
    assert "publish stops" in run.log
    assert len(run.pids()) == 2


def test_the_end_of_a_clip_ends_the_run(tmp_path: Path) -> None:
    """When vision is done, the publisher is stopped cleanly and all is well."""
    run = Run(tmp_path, vision="0", publish="on")
    assert run.end()[0] == 0
    assert "publish stops" in run.log


def test_killed_processes_return(tmp_path: Path) -> None:
    """SIGKILL of either process leads to a new one."""
    run = Run(tmp_path, vision="on", publish="on")
    wait_until(lambda: len(run.pids()) == 2)
    for pid in run.pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(run.pids()) == 4)
    run.process.send_signal(signal.SIGTERM)
    assert run.end()[0] == 0


def test_reload_restarts_only_what_it_concerns(tmp_path: Path) -> None:
    """SIGHUP: a bad file changes nothing, a good one starts anew the process that it concerns."""
    run = Run(tmp_path, vision="on", publish="on")
    wait_until(lambda: len(run.pids()) == 2)
    file = tmp_path / "edge.toml"
    file.write_text("[mqtt]\nhots = 3\n")
    run.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "unknown key mqtt.hots; did you mean host?" in run.said)
    file.write_text('[mqtt]\nusername = "school"\n')
    run.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(run.pids()) == 3)
    run.process.send_signal(signal.SIGTERM)
    code, said = run.end()
    assert code == 0
    assert "reloaded: publish is started anew" in said
    assert run.log.count("publish starts") == 2


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """SIGKILL of the parent takes both processes along."""
    run = Run(tmp_path, vision="on", publish="on")
    wait_until(lambda: len(run.pids()) == 2)
    run.process.kill()
    run.end()
    wait_until(lambda: not any(map(runs, run.pids())))


@pytest.mark.parametrize("number", [0, 1], ids=["vision", "publish"])
def test_a_frozen_process_is_started_anew(tmp_path: Path, number: int) -> None:
    """A process that stops giving signs of life is killed, and started again."""
    run = Run(tmp_path, vision="on", publish="on", patience_s=2.0)
    wait_until(lambda: len(run.pids()) == 2)
    name = ("vision", "publish")[number]
    pid = run.pid_of(name)
    wait_until(lambda: f"{name} is ready" in run.log)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: run.log.count(f"{name} starts") == 2)
    assert not psutil.pid_exists(pid)
    run.process.send_signal(signal.SIGTERM)
    code, said = run.end()
    assert code == 0
    assert f"{name} gives no sign of life and is killed" in said


def test_a_process_that_never_was_ready_is_left_alone(tmp_path: Path) -> None:
    """Starting may take long on a small board; only who was ready can be frozen."""
    run = Run(tmp_path, vision="silent", publish="on", patience_s=2.0)
    wait_until(lambda: len(run.pids()) == 2 and "publish is ready" in run.log)
    os.kill(
        run.pid_of("publish"), signal.SIGSTOP
    )  # is killed after its patience, the same for both
    wait_until(lambda: run.log.count("publish starts") == 2)
    run.process.send_signal(signal.SIGTERM)
    assert run.end()[0] == 0
    assert run.log.count("vision starts") == 1

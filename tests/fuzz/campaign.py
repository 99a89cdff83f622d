"""Runs a fuzzing process, starts it again when it dies, and counts what happened to it."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

HANG_S = 60.0
"""Seconds of the processor that one input may take."""
START_S = 120.0
"""Libraries are loaded first."""
MOST_LOSSES = 20
"""Processes lost to one target before it is given up."""
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class _Moment:
    """Time on the wall and in a process: on a busy machine the first alone shows no hang."""

    wall_s: float
    busy_s: float

    @classmethod
    def of(cls, process: psutil.Process | None) -> _Moment:
        busy_s = 0.0
        if process is not None:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                busy_s = times.user + times.system
        return cls(time.monotonic(), busy_s)

    def hangs(self, now: _Moment, patience_s: float) -> bool:
        """Whether too long went by, in the process or, ten times as long, on the wall."""
        return now.busy_s - self.busy_s > patience_s or now.wall_s - self.wall_s > 10 * patience_s


@dataclass(slots=True)
class Outcome:
    """What a campaign saw.

    Attributes:
        executions: Inputs run.
        errors: Inputs that raised what no reader should raise.
        crashes: Times the process died of one.
        hangs: Times one took longer than `HANG_S`.
        findings: Where each kind of finding lies.
    """

    executions: int = 0
    errors: int = 0
    crashes: int = 0
    hangs: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.errors or self.crashes or self.hangs)


def run_campaign(
    target: str,
    folder: Path,
    *,
    seconds: float,
    executions: int = -1,
    seed: int = 0,
    hang_s: float = HANG_S,
    losses: int = MOST_LOSSES,
) -> Outcome:
    """Fuzz one target for so long, or for so many inputs, whichever ends first.

    Args:
        target: Its name.
        folder: For its findings.
        seconds: How long.
        executions: How many inputs; -1 is no limit.
        seed: Of the inputs.
        hang_s: How long one input may take.
        losses: Processes lost before the target is given up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outcome, until_s = Outcome(), time.monotonic() + seconds
    while time.monotonic() < until_s and outcome.executions != executions:
        left = executions - outcome.executions if executions >= 0 else -1
        fresh_seed = seed + outcome.crashes + outcome.hangs
        command = [target, str(fresh_seed), str(folder), str(left)]
        _run_once(command, folder, outcome, until_s=until_s, hang_s=hang_s)
        if outcome.crashes + outcome.hangs >= losses:
            break
    outcome.findings = sorted(str(path) for path in folder.glob("*.json"))
    return outcome


def _run_once(
    arguments: list[str], folder: Path, outcome: Outcome, *, until_s: float, hang_s: float
) -> None:
    left = int(arguments[-1])
    count = folder / "count"
    count.write_bytes(bytes(16))
    input_file = folder / "input"
    input_file.write_bytes(b"")
    command = [sys.executable, "-m", "tests.fuzz.worker", *arguments]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        child, done, moved = psutil.Process(process.pid), 0, _Moment.of(None)
        while process.poll() is None:
            time.sleep(_LOOK_S)
            newest, _ = struct.unpack("<QQ", count.read_bytes())
            now = _Moment.of(child)
            if newest != done:
                done, moved = newest, now
            patience_s = hang_s if input_file.stat().st_size else START_S
            if now.wall_s >= until_s or moved.hangs(now, patience_s):
                process.kill()
                break
    done, errors = struct.unpack("<QQ", count.read_bytes())
    outcome.executions += done
    outcome.errors += errors
    if time.monotonic() < until_s and (left < 0 or done < left):
        hung = process.returncode == -signal.SIGKILL
        outcome.hangs += hung
        outcome.crashes += not hung
        name = f"{'hang' if hung else 'crash'}-{outcome.crashes + outcome.hangs}"
        shutil.copy(folder / "input", folder / f"{name}.bin")
        outcome = {"code": process.returncode, "log": (folder / "log").read_text()[-2000:]}
        (folder / f"{name}.json").write_text(json.dumps(outcome, indent=2))

"""Runs a fuzzing process, starts it again when it dies, and counts what happened to it."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HANG_S = 60.0
"""One input may take this long, on however slow a machine."""
START_S = 120.0
"""Libraries are loaded first."""
MOST_LOSSES = 20
"""Processes lost to one target before it is given up."""
_LOOK_S = 0.1


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
    told = folder / "input"
    told.write_bytes(b"")
    command = [sys.executable, "-m", "tests.fuzz.worker", *arguments]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        done, moved_s = 0, time.monotonic()
        while process.poll() is None:
            time.sleep(_LOOK_S)
            now_s = time.monotonic()
            newest, _ = struct.unpack("<QQ", count.read_bytes())
            if newest != done:
                done, moved_s = newest, now_s
            if now_s >= until_s or now_s - moved_s > (hang_s if told.stat().st_size else START_S):
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
        told = {"code": process.returncode, "log": (folder / "log").read_text()[-2000:]}
        (folder / f"{name}.json").write_text(json.dumps(told, indent=2))

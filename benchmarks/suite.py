"""Every measurement whose results are kept, one process each, into the folder of this device."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.host import read_device
from emoshift.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS: Final = Path("benchmarks/results")
_EXPECTED: Final = (0, 1, 3)
"""Exit codes that leave a whole report: good, over budget, throttled."""


def run_apart(arguments: Sequence[str], path: Path) -> None:
    """Make one measurement in a process of its own, and its report.

    A report that was there before stays where the measurement fails.

    Raises:
        UnavailableError: It failed; the message is its own.
    """
    # A process that breaks down ends with 1 too, and an older report would pass for its own.
    part = path.with_name(f".{path.stem}.part.json")
    part.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--output", str(part)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in _EXPECTED or not part.exists():
        part.unlink(missing_ok=True)
        lines = done.stderr.strip().splitlines()
        last = lines[-1] if lines else f"ended with code {done.returncode} and no report"
        raise UnavailableError(f"edge-bench {' '.join(arguments)}: {last}")
    part.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One measurement: the name of its file, and what to call."""

    name: str
    arguments: tuple[str, ...]


ITEMS: Final = (
    Item(name="run-1-face", arguments=("run", "--seconds", "60", "--starts", "5")),
    Item(
        name="peers",
        arguments=("peers", "--rounds", "12", "--frames", "30", "--pictures", "900"),
    ),
    Item(name="run-1-face-live", arguments=("run", "--pace", "live", "--seconds", "30")),
    Item(name="run-1-face-due", arguments=("run", "--landmarks", "due", "--seconds", "30")),
    Item(name="run-2-faces", arguments=("run", "--faces", "2", "--seconds", "20")),
    Item(name="run-4-faces", arguments=("run", "--faces", "4", "--seconds", "20")),
    Item(name="run-8-faces", arguments=("run", "--faces", "8", "--seconds", "20")),
    Item(
        name="run-30-faces-720p-live",
        arguments=("run", "--faces", "30", "--size", "1280x720", "--pace", "live",
                   "--seconds", "30"),
    ),
    Item(
        name="run-30-faces-1080p-live",
        arguments=("run", "--faces", "30", "--size", "1920x1080", "--pace", "live",
                   "--seconds", "120"),
    ),
    Item(
        name="run-1-face-mediapipe",
        arguments=("run", "--backend", "mediapipe", "--seconds", "20"),
    ),
    Item(name="stages-1-face", arguments=("stages", "--frames", "300")),
    Item(name="project-1-face", arguments=("project",)),
    Item(
        name="project-30-faces",
        arguments=("project", "--faces", "30", "--size", "1920x1080"),
    ),
    Item(name="soak-1-face", arguments=("soak", "--seconds", "600")),
)  # fmt: skip


def run_suite(
    only: Sequence[str], bundle: str, folder: Path, *, log: Callable[[str], None]
) -> Path:
    """Run the items, every one or those named, and return where their reports lie.

    Raises:
        UsageError: There is no such item.
        UnavailableError: An item failed.
    """
    known = {item.name: item for item in ITEMS}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"{unknown[0]}: unknown; the measurements are {', '.join(known)}")
    results = folder / read_device().key
    for item in [known[name] for name in only] or ITEMS:
        arguments = (*item.arguments, *(() if bundle == "default" else ("--bundle", bundle)))
        log(f"{item.name}: edge-bench {' '.join(arguments)}")
        run_apart(arguments, results / f"{item.name}.json")
    return results

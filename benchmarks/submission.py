"""The standard runs that owners of boards send in: one file that names the board and nobody."""

from __future__ import annotations

import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.host import how_measured, read_device, software
from benchmarks.reports.schema import RunReport, SubmissionReport, read_report
from benchmarks.suite import run_apart
from emoshift.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_DUE: Final = "one-face-due"
ONE_EVERY: Final = "one-face-every"
THIRTY_DUE: Final = "thirty-faces-due"
THIRTY_EVERY: Final = "thirty-faces-every"
_THIRTY: Final = ("--faces", "30", "--size", "1920x1080", "--no-reference")
STANDARD: Final[dict[str, tuple[str, ...]]] = {
    ONE_DUE: ("--pace", "live"),
    ONE_EVERY: ("--landmarks", "every"),
    THIRTY_DUE: (*_THIRTY, "--pace", "live"),
    THIRTY_EVERY: (*_THIRTY, "--landmarks", "every"),
}
"""Options of each run: as the daemon runs, and with every face measured in every frame."""
SECONDS: Final = 30.0


def submit(
    path: Path, *, seconds: float, command: str, progress: Callable[[str], None]
) -> SubmissionReport:
    """Make the standard runs, each in a process of its own, with the default bundle.

    The report holds the board's model, its system and packages, its temperature and throttling:
    no name of the host or a person, and no path.

    Raises:
        UsageError: The file cannot be written.
        UnavailableError: A run failed.
    """
    if not path.parent.is_dir():
        raise UsageError(f"--submit {path}: there is no folder {path.parent}")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, options) in enumerate(STANDARD.items(), start=1):
            progress(f"{number} of {len(STANDARD)}: {name}, {seconds:g} s")
            runs[name] = _run(options, seconds, Path(folder) / "run.json")
    return SubmissionReport(
        mode=how_measured(),
        started=started,
        command=command,
        device=read_device(),
        software=software(),
        system_name=_system_name(),
        runs=runs,
    )


def _run(options: tuple[str, ...], seconds: float, file: Path) -> RunReport:
    run_apart(("run", *options, "--threads", "auto", "--seconds", f"{seconds:g}"), file)
    report = read_report(file)
    if not isinstance(report, RunReport):
        raise UnavailableError(f"edge-bench run: its report is one of {report.kind}")
    return report.model_copy(update={"samples_ms": {}})


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()

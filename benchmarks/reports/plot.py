"""A run drawn: latency over time, and how often it stays below what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.run import LATENCY
from emoshift.errors import OutputError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.reports.schema import RunReport


def plot_run(report: RunReport, path: Path) -> None:
    """Draw the latencies of a run.

    Raises:
        UnavailableError: matplotlib is not installed.
        OutputError: The picture cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as why:
        raise UnavailableError(f"--plot needs matplotlib ({why}): pip install matplotlib") from why
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    over_time, shares = figure.subplots(1, 2)
    values = np.array(report.samples_ms.get(LATENCY, ()))
    seconds = np.linspace(0, report.seconds, len(values))
    over_time.plot(seconds, values, ".", markersize=3)
    over_time.axhline(report.budget_ms, color="firebrick", linewidth=1)
    over_time.set(xlabel="seconds", ylabel="capture to outbox, ms", ylim=(0, None))
    stages = {name: np.array(s) for name, s in report.samples_ms.items() if ": " not in name}
    for name, samples in stages.items():
        shares.plot(np.sort(samples), np.linspace(0, 1, len(samples)), label=name)
    shares.set(xlabel="ms", ylabel="share of frames below", xscale="log")
    shares.legend(fontsize=7)
    figure.suptitle(f"{report.mode}: {report.device.name}, {report.workload.backend}", fontsize=9)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as why:
        raise OutputError(f"{path}: cannot be written: {why}") from why

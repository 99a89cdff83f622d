"""The report: a table for people, JSON for machines, plots where matplotlib is installed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from benchmarks.transitions.compare import DEVICE
from emoshift.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.transitions.compare import DetectorComparison

COLUMNS: Final = (
    ("F1 .5s", "f1_05", 3),
    ("F1 1s", "f1_1", 3),
    ("F1 2s", "f1_2", 3),
    ("delay", "delay_mean_s", 2),
    ("p90", "delay_p90_s", 2),
    ("false/min", "false_per_min", 2),
    ("still", "false_per_min_still", 2),
    ("labels", "label_changes", 2),
    ("ECE", "ece", 3),
    ("NLL", "nll", 2),
)
LEGEND: Final = (
    "F1 with events up to 0.5, 1, 2 s after the onset; delay from onset to decision in seconds;"
    " false alarms a minute, overall and in clips without a change; labels: reported changes for"
    " each true one; ECE and NLL of the confidence. In brackets the 95 % interval, by clip."
)

SUMMARY: Final = (
    "F1 at 1 s",
    "delay, mean (s)",
    "delay, 90th percentile (s)",
    "false alarms a minute",
    "the same, no change shown",
    "F1 above the average at equal false alarms",
    "label changes, times fewer than raw arg-max",
    "ECE of published events",
    "time per face and frame (us)",
)


def summary(comparison: DetectorComparison) -> dict[str, float]:
    """Return the device's figures by name; NaN where one was not measured."""
    ours = comparison.device.scores
    raw = next((r.scores for r in comparison.rows if r.detector == "raw arg-max"), None)
    fewer = math.nan if raw is None else raw.label_changes / max(ours.label_changes, 1e-9)
    values = (
        ours.f1_1,
        ours.delay_mean_s,
        ours.delay_p90_s,
        ours.false_per_min,
        ours.false_per_min_still,
        ours.f1_1 - comparison.equal,
        fewer,
        ours.ece,
        comparison.us_per_frame,
    )
    return dict(zip(SUMMARY, values, strict=True))


def table(comparison: DetectorComparison) -> str:
    """One set of streams as text."""
    ours = comparison.device.scores
    lines = [
        f"Level {comparison.level}: {comparison.source}",
        (
            f"{ours.clips} clips, {ours.changes} changes, {ours.minutes:.1f} minutes"
            f" ({ours.still_minutes:.1f} without a change)"
        ),
        "",
        f"{'detector':<21}" + "".join(f"{name:>10}" for name, _, _ in COLUMNS),
    ]
    for row in comparison.rows:
        cells = "".join(
            f"{_number(getattr(row.scores, field), digits):>10}" for _, field, digits in COLUMNS
        )
        lines.append(f"{row.detector:<21}{cells}  [{row.f1_low:.3f}, {row.f1_high:.3f}]")
    lines += [
        "",
        *(f"  {name:<45}{_number(value, 3):>8}" for name, value in summary(comparison).items()),
    ]
    lines += [f"  left out: {why}" for why in comparison.skipped]
    return "\n".join(lines)


def to_json(comparisons: Sequence[DetectorComparison], setup: dict[str, Any]) -> str:
    """Everything as JSON."""
    levels = [
        {
            **c.to_json(),
            "summary": {
                name: None if math.isnan(value) else value for name, value in summary(c).items()
            },
        }
        for c in comparisons
    ]
    return json.dumps({"schema": "emoshift.transitions/1", **setup, "levels": levels}, indent=1)


def write(
    folder: Path, comparisons: Sequence[DetectorComparison], setup: dict[str, Any]
) -> list[Path]:
    """Write ``transitions.json``, ``transitions.txt`` and the plots; returns what was written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data, text = folder / "transitions.json", folder / "transitions.txt"
        data.write_text(to_json(comparisons, setup) + "\n", encoding="utf-8")
        text.write_text("\n\n".join([*map(table, comparisons), LEGEND]) + "\n", encoding="utf-8")
        return [data, text, *_plots(folder, comparisons)]
    except OSError as why:
        raise OutputError(f"{folder}: the report cannot be written: {why}") from why


def _plots(folder: Path, comparisons: Sequence[DetectorComparison]) -> list[Path]:
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return []
    mpl.rcParams["svg.hashsalt"] = "emoshift"
    written = []
    for comparison in comparisons:
        figure, (trade, scores, calibration) = plt.subplots(1, 3, figsize=(13, 3.8))
        _plot_trade(trade, comparison)
        _plot_scores(scores, comparison)
        _plot_calibration(calibration, comparison)
        figure.suptitle(f"Level {comparison.level}: {comparison.source}", fontsize=9)
        figure.tight_layout()
        path = folder / f"transitions-{comparison.level}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        written.append(path)
    return written


def _plot_trade(axes: Any, comparison: DetectorComparison) -> None:
    points = comparison.curve
    axes.plot(
        [p.false_per_min for p in points],
        [p.delay_mean_s for p in points],
        "o-",
        label="device, sensitivity 0 to 1",
    )
    axes.plot(
        [p.false_per_min for p in comparison.average_curve],
        [p.delay_mean_s for p in comparison.average_curve],
        "x",
        color="grey",
        label="average + hysteresis, all settings",
    )
    axes.set(
        xlabel="false alarms a minute", ylabel="mean delay (s)", xscale="symlog", ylim=(0, None)
    )
    axes.legend(fontsize=7)


def _plot_scores(axes: Any, comparison: DetectorComparison) -> None:
    rows = list(reversed(comparison.rows))
    values = [r.scores.f1_1 for r in rows]
    low = [max(0.0, r.scores.f1_1 - r.f1_low) for r in rows]
    high = [max(0.0, r.f1_high - r.scores.f1_1) for r in rows]
    colours = ["C0" if r.detector == DEVICE else "lightgrey" for r in rows]
    axes.barh([r.detector for r in rows], values, xerr=[low, high], color=colours)
    axes.set(xlabel="F1 at 1 s", xlim=(0, 1))
    axes.tick_params(labelsize=7)


def _plot_calibration(axes: Any, comparison: DetectorComparison) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for confidence, right, count in comparison.reliability:
        axes.scatter([confidence], [right], s=10 + count, color="C0")
    axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1.02))


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"

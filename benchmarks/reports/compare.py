"""Two reports of the same workload on the same device: what changed, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.reports.schema import RunReport
from benchmarks.reports.statistics import bootstrap_ratio, percentile
from benchmarks.reports.tables import ReportTable, as_text, interval
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.reports.schema import AnyReport, Interval

_FEWEST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One distribution before and after.

    Attributes:
        before_ms, after_ms: Medians.
        median, p95: Ratios, after over before.
    """

    name: str
    before_ms: float
    after_ms: float
    median: Interval
    p95: Interval


def compare(
    before: AnyReport, after: AnyReport, where: tuple[Path, Path]
) -> tuple[FigureChange, ...]:
    """Compare everything both reports hold, the whole path first.

    Raises:
        InputError: They are no runs, or not of the same device, mode and workload.
    """
    if not isinstance(before, RunReport) or not isinstance(after, RunReport):
        other = where[0] if not isinstance(before, RunReport) else where[1]
        raise InputError(f"{other}: not a run; compare reports of: edge-bench run")
    for what, one, two in (
        ("device", before.device.key, after.device.key),
        ("mode", before.mode, after.mode),
        ("source", before.workload.source, after.workload.source),
        ("landmark schedule", before.workload.landmarks, after.workload.landmarks),
        ("pace", before.workload.pace, after.workload.pace),
        ("number of faces", before.workload.faces, after.workload.faces),
        ("picture width", before.workload.width_px, after.workload.width_px),
    ):
        if one != two:
            raise InputError(
                f"{where[1]}: {what} is {two}, that of {where[0]} {one}; compare like with like"
            )
    changes = []
    for name, samples in before.samples_ms.items():
        others = after.samples_ms.get(name, ())
        if min(len(samples), len(others)) < _FEWEST:
            continue
        old, new = np.array(samples), np.array(others)
        if not (np.percentile(old, 25) > 0 and np.percentile(new, 25) > 0):
            continue  # too quick for the clock: a ratio would say nothing
        changes.append(
            FigureChange(
                name=name,
                before_ms=float(np.median(old)),
                after_ms=float(np.median(new)),
                median=bootstrap_ratio(new, old, percentile(50)),
                p95=bootstrap_ratio(new, old, percentile(95)),
            )
        )
    if not changes:
        raise InputError(f"{where[0]}, {where[1]}: fewer than {_FEWEST} samples; measure longer")
    return tuple(changes)


def show(changes: tuple[FigureChange, ...]) -> str:
    """A table; ratios whose interval holds 1 are no change beyond noise."""
    changed = ReportTable(
        ("ms", "before", "after", "median, times", "p95, times", ""),
        tuple(
            (
                change.name,
                f"{change.before_ms:.3f}",
                f"{change.after_ms:.3f}",
                interval(change.median, 3),
                interval(change.p95, 3),
                _verdict(change.median),
            )
            for change in changes
        ),
    )
    return as_text((changed,))


def _verdict(ratio: Interval) -> str:
    if ratio.high < 1:
        return "faster"
    return "slower" if ratio.low > 1 else "same"

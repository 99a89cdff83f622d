"""Projections, and how far published figures bear them out, as paragraphs and tables."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.published.ratios import LEVEL
from benchmarks.reports.tables import ReportTable, ends, people

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.published.validate import LeftOut, Trial
    from benchmarks.reports.schema import FrameProjection, ProjectReport
    from benchmarks.reports.tables import Block


def project_blocks(report: ProjectReport, *, brief: bool = False) -> list[Block]:
    """What other boards would need; nothing of it was measured there.

    Args:
        report: The projection.
        brief: Parts with the daemon's own threads only.
    """
    faces = people(report.workload.faces)
    frames: list[tuple[str, ...]] = []
    parts: list[tuple[str, ...]] = []
    notes = [*report.assumptions]
    for board in report.boards:
        for setting in board.settings:
            threads = str(setting.threads)
            for schedule in ("due", "every"):
                frame: FrameProjection = getattr(setting, schedule)
                frames.append(
                    (board.name, threads, schedule, ends(frame.p50), ends(frame.p95),
                     ends(frame.fps), ends(frame.looks))
                )  # fmt: skip
            if brief and setting != board.settings[0]:
                continue
            parts += [
                (
                    board.key, threads, part.name, part.part_kind, str(part.threads),
                    f"{part.here_ms:.2f}", f"{part.share:.0%}", ends(part.factor), ends(part.ms),
                )
                for part in setting.parts
            ]  # fmt: skip
            detector = setting.detector
            parts.append(
                (
                    board.key, threads, "detector, beside the frame", "opencv", threads, "", "",
                    f"{detector.core.low:.0%} to {detector.core.high:.0%} of a core",
                    ends(detector.round_ms),
                )
            )  # fmt: skip
        notes += [f"{board.key}, {kind}: {steps}." for kind, steps in board.steps.items()]
        notes += [
            f"{board.key}, {check.network_kind}: {check.hits} of {check.figures} published figures"
            " lie where this machine and networks of other families put them."
            for check in board.checks
        ]
    sources = dict.fromkeys(text for board in report.boards for text in board.sources)
    return [
        (
            f"PROJECTED from this machine, {faces} in {report.workload.width_px}x"
            f"{report.workload.height_px}; nothing was measured on these boards. Each cell is an"
            " interval; threads are those of each network, and schedules are those of the"
            " landmarks: when due, as the daemon runs, or every face in every frame. Looks are"
            " classifications of each face. Parts are those of 30 pictures a second, none cut."
        ),
        ReportTable(
            ("board", "threads", "landmarks", "p50 ms", "p95 ms", "frames/s", "looks/s"),
            tuple(frames),
        ),
        ReportTable(
            ("board", "threads", "part", "kind", "its threads", "here ms", "of the frames",
             "times slower", "there ms"),
            tuple(parts),
        ),
        "Published networks timed here with one thread:",
        ReportTable(
            ("network", "kind", "n", "p50 ms", "p95 ms"),
            tuple(
                (r.network, r.network_kind, str(r.measured.n), f"{r.measured.p50:.2f}",
                 f"{r.measured.p95:.2f}")
                for r in report.references
            ),
        ),
        "\n".join(f"- {note}" for note in notes),
        "\n".join(f"- Source: {source}." for source in sources),
    ]  # fmt: skip


def validation_blocks(trials: Sequence[Trial]) -> list[Block]:
    """How well published figures follow from one another, one row for each number of threads."""
    rows = [(t.what, t.kind, str(t.threads), t.left_out) for t in trials]
    return [_hit_rate(trials), _validation_table(rows)]


def validation_summary(trials: Sequence[Trial]) -> list[Block]:
    """The same with all numbers of threads together."""
    merged: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        merged.setdefault((trial.what, trial.kind), []).append(trial)
    rows = [
        (
            what,
            kind,
            ", ".join(str(t.threads) for t in each),
            tuple(one for t in each for one in t.left_out),
        )
        for (what, kind), each in merged.items()
    ]
    return [_hit_rate(trials), _validation_table(rows)]


def _hit_rate(trials: Sequence[Trial]) -> str:
    alone = [one for trial in trials for one in trial.left_out]
    apart = [one for trial in trials for one in trial.without_siblings]
    return (
        f"{_hits(alone)} published figures lie in the interval predicted without them;"
        f" {LEVEL:.0%} are meant to. Of those that can be predicted without any network of their"
        f" family, such as a MobileNet without all other MobileNets, {_hits(apart)} do."
    )


def _hits(left_out: Sequence[LeftOut]) -> str:
    hits = sum(one.hit for one in left_out)
    return f"{hits} of {len(left_out)} ({hits / len(left_out):.0%})"


def _validation_table(rows: Iterable[tuple[str, str, str, Sequence[LeftOut]]]) -> ReportTable:
    return ReportTable(
        ("predicted", "kind", "threads", "figures", "in the interval", "typical error",
         "interval, high / low"),
        tuple(
            (
                what, kind, threads, str(len(left_out)), str(sum(one.hit for one in left_out)),
                f"{median(one.wrong_by for one in left_out) - 1:.0%}",
                f"{median(one.high_ms / one.low_ms for one in left_out):.2f}",
            )
            for what, kind, threads, left_out in rows
        ),
    )  # fmt: skip

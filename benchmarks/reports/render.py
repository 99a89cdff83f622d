"""Reports as paragraphs and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.reports.projections import project_blocks
from benchmarks.reports.schema import (
    PeersReport,
    ProjectReport,
    RunReport,
    StagesReport,
    SubmissionReport,
)
from benchmarks.reports.tables import ReportTable, interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.reports.schema import (
        AnyReport,
        Distribution,
        MachineCondition,
        Peer,
    )
    from benchmarks.reports.tables import Block

_COLUMNS: Final = ("n", "min", "mean", "p50", "p90", "p95", "p99", "max")


def describe(report: AnyReport) -> list[Block]:
    """Return all that one report says, for its reader at a terminal."""
    head = [
        (
            f"{report.mode} on {report.device.name}, {report.device.cores} cores,"
            f" {report.started}\n{versions(report)}"
        )
    ]
    if report.incomplete:
        head.insert(0, "INCOMPLETE: the run was interrupted")
    if isinstance(report, RunReport):
        return [*head, *_run_blocks(report)]
    if isinstance(report, StagesReport):
        return [*head, *stages_blocks(report)]
    if isinstance(report, ProjectReport):
        return [*head, *project_blocks(report)]
    if isinstance(report, SubmissionReport):
        return [*head, *submission_blocks(report)]
    return [*head, *peers_blocks(report)]


def versions(report: AnyReport) -> str:
    """Return the versions of the software that took part."""
    return ", ".join(f"{name} {version}" for name, version in report.software.items())


def distributions(named: Mapping[str, Distribution]) -> ReportTable:
    """One row for each distribution, milliseconds."""
    budget = any(d.over_budget is not None for d in named.values())
    return ReportTable(
        ("ms", *_COLUMNS, *(("over budget",) if budget else ())),
        tuple(
            (
                name,
                str(d.n),
                *(f"{getattr(d, column):.3f}" for column in _COLUMNS[1:]),
                *(("" if d.over_budget is None else f"{d.over_budget:.2%}",) if budget else ()),
            )
            for name, d in named.items()
        ),
    )


def run_table(runs: Mapping[str, RunReport]) -> ReportTable:
    """One row for each run of the whole pipeline."""
    rows = []
    for name, report in runs.items():
        work, memory = report.workload, report.memory
        faces = "" if work.faces is None else f", {work.faces} face{'s' * (work.faces != 1)}"
        slope = memory.slope_mb_per_min
        rows.append(
            (
                name,
                f"{work.source}{faces}, {work.width_px}x{work.height_px}",
                f"{work.pace}, landmarks {work.landmarks}",
                work.backend,
                f"{report.frames}",
                f"{report.fps:.1f}",
                f"{report.latency.p50:.2f}",
                f"{report.latency.p95:.2f}",
                f"{report.latency.p99:.2f}",
                f"{report.latency.max:.1f}",
                "" if memory.pss_mb is None else f"{memory.pss_mb:.0f}",
                "" if slope is None else f"{slope:+.2f}",
                f"{report.overhead:.1%}",
            )
        )
    head = ("run", "input", "pace", "faces by", "frames", "frames/s", "p50 ms", "p95 ms", "p99 ms",
            "max ms", "PSS MB", "MB/min", "measuring")  # fmt: skip
    return ReportTable(head, tuple(rows))


def stages_blocks(report: StagesReport) -> list[Block]:
    """Each stage alone, by the clock and in processor time."""
    return [
        distributions(report.stages),
        "Processor time of the same calls, which other work on the machine does not change:",
        distributions(report.cpu),
    ]


def peers_blocks(report: PeersReport) -> list[Block]:
    """Everybody on the same frames in turns."""
    kinds = sorted(
        {
            f"Accuracy: {p.accuracy.data}; {p.accuracy.protocol}; n = {p.accuracy.n}, 95 % Wilson"
            " interval."
            for p in report.peers
            if p.accuracy
        }
    )
    return [
        (f"{report.pictures}; {report.rounds} rounds of {report.frames_per_round} frames in turns,"
        " each in a process of its own on one processor. Times ours: ratios of medians; in our"
        " means are looks of MediaPipe's models and rounds of the detector, which are in fewer than"
        " half of the frames."),
        ReportTable(
            ("peer", "what", "mean ms", "p50 ms", "p95 ms", "times ours", "CPU mean ms",
             "CPU p50 ms", "times ours", "faces found", "accuracy"),
            tuple(_peer_row(peer) for peer in report.peers),
        ),
        *kinds,
    ]  # fmt: skip


def _peer_row(peer: Peer) -> tuple[str, ...]:
    if peer.latency is None:
        return (peer.name, f"absent: {peer.absent}", *("",) * 9)
    share = None if peer.accuracy is None else peer.accuracy.share
    return (
        peer.name,
        f"{peer.what} ({peer.version})" if peer.version else peer.what,
        f"{peer.latency.mean:.2f}",
        f"{peer.latency.p50:.2f}",
        f"{peer.latency.p95:.2f}",
        "" if peer.ratio is None else interval(peer.ratio),
        "" if peer.cpu is None else f"{peer.cpu.mean:.2f}",
        "" if peer.cpu is None else f"{peer.cpu.p50:.2f}",
        "" if peer.cpu_ratio is None else interval(peer.cpu_ratio),
        "" if peer.found is None else f"{peer.found:.0%}",
        "" if share is None else f"{share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})",
    )


def submission_blocks(report: SubmissionReport) -> list[Block]:
    """The standard runs of a board."""
    before = next(iter(report.runs.values())).before
    after = list(report.runs.values())[-1].after
    throttled = any(run.throttled for run in report.runs.values())
    return [
        f"{report.system_name}; {_condition(before)} before, {_condition(after)} after"
        + ("; the processor THROTTLED" if throttled else ""),
        run_table(report.runs),
    ]


def _run_blocks(report: RunReport) -> list[Block]:
    blocks: list[Block] = [
        run_table({report.kind: report}),
        (
            f"bundle {report.workload.bundle}, {report.workload.threads} thread(s) a network;"
            f" {report.frames} frames in {report.seconds:.1f} s, {report.dropped} dropped;"
            f" {report.faces} faces, {report.fresh:.0%} with landmarks of their own frame,"
            f" {report.events} events stored"
        ),
        distributions(
            {"capture to outbox": report.latency}
            | {f"  with {n} face(s)": d for n, d in report.by_faces.items()}
            | {"age when taken": report.age}
            | report.stages
        ),
    ]
    if report.first is not None and report.last is not None:
        blocks.append(distributions({"first minute": report.first, "last minute": report.last}))
    memory = report.memory
    growth = (
        "too short for its growth"
        if memory.slope_mb_per_min is None
        else f"growing by {memory.slope_mb_per_min:+.3f} MB a minute over {memory.over_s:.0f} s"
    )
    pss = "unknown" if memory.pss_mb is None else f"{memory.pss_mb:.0f} MB"
    lines = [
        (
            f"memory: {pss} proportional, {memory.rss_mb:.0f} MB resident, "
            f"peak {memory.peak_mb:.0f} MB, {growth}"
        ),
        f"before: {_condition(report.before)}; after: {_condition(report.after)}",
        f"measuring took {report.overhead:.2%} of the time",
    ]
    if report.startup_ms:
        tries = sorted(report.startup_ms)
        lines.append(
            f"start to first prediction: median {tries[len(tries) // 2]:.0f} ms of {len(tries)}"
            f" tries ({tries[0]:.0f} to {tries[-1]:.0f})"
        )
    within = "within" if report.latency.p95 <= report.budget_ms else "OVER"
    lines.append(
        f"p95 {report.latency.p95:.1f} ms: {within} the budget of {report.budget_ms:g} ms"
        + ("; the processor THROTTLED" if report.throttled else "")
    )
    return [*blocks, "\n".join(lines)]


def _condition(state: MachineCondition) -> str:
    formats = {
        "frequency_mhz": "{:.0f} MHz",
        "temperature_c": "{:.1f} C",
        "throttled": "throttling word {:#x}",
        "load": "load {:.1f}",
    }
    known = [
        text.format(value)
        for name, text in formats.items()
        if (value := getattr(state, name)) is not None
    ]
    return ", ".join(known) or "unknown"

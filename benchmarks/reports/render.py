"""Reports as paragraphs and tables, written for a terminal or as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from tabulate import tabulate

from benchmarks.published.ratios import LEVEL
from benchmarks.reports.schema import (
    PeersReport,
    ProjectReport,
    RunReport,
    StagesReport,
    SubmissionReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.published.validate import LeftOut, Trial
    from benchmarks.reports.schema import (
        AnyReport,
        Distribution,
        FrameProjection,
        Interval,
        MachineCondition,
        Peer,
    )

_COLUMNS: Final = ("n", "min", "mean", "p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Cells as text: one head, rows of the same length."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = str | ReportTable
"""A paragraph or a table."""


def as_text(blocks: Iterable[Block]) -> str:
    """Write blocks for a terminal: the first column to the left, the others to the right."""
    return "\n\n".join(_aligned(block, "plain") for block in blocks)


def as_markdown(blocks: Iterable[Block]) -> str:
    """Write blocks as Markdown."""
    return "\n\n".join(_aligned(block, "pipe") for block in blocks)


def _aligned(block: Block, style: str) -> str:
    if isinstance(block, str):
        return block
    align = ("left", *("right",) * (len(block.head) - 1))
    text: str = tabulate(
        block.rows, block.head, tablefmt=style, colalign=align, disable_numparse=True
    )
    return text


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


def interval(value: Interval, digits: int = 2) -> str:
    """Return an estimate with its interval."""
    return f"{value.estimate:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


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
        " each in a process of its own on one processor."),
        ReportTable(
            ("peer", "what", "p50 ms", "p95 ms", "times ours", "CPU p50 ms", "times ours",
             "faces found", "accuracy"),
            tuple(_peer_row(peer) for peer in report.peers),
        ),
        *kinds,
    ]  # fmt: skip


def _peer_row(peer: Peer) -> tuple[str, ...]:
    if peer.latency is None:
        return (peer.name, f"absent: {peer.absent}", *("",) * 7)
    share = None if peer.accuracy is None else peer.accuracy.share
    return (
        peer.name,
        f"{peer.what} ({peer.version})" if peer.version else peer.what,
        f"{peer.latency.p50:.2f}",
        f"{peer.latency.p95:.2f}",
        "" if peer.ratio is None else interval(peer.ratio),
        "" if peer.cpu is None else f"{peer.cpu.p50:.2f}",
        "" if peer.cpu_ratio is None else interval(peer.cpu_ratio),
        "" if peer.found is None else f"{peer.found:.0%}",
        "" if share is None else f"{share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})",
    )


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
                     ends(frame.fps))
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
            " landmarks: when due, as the daemon runs, or every face in every frame. Parts are"
            " those of 30 pictures a second; a slower board has more due in each of fewer frames."
        ),
        ReportTable(
            ("board", "threads", "landmarks", "p50 ms", "p95 ms", "frames/s"), tuple(frames)
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


def people(faces: int | None) -> str:
    """Say how many faces there are."""
    return "one face" if faces == 1 else f"{faces} faces"


def ends(value: Interval) -> str:
    """Return both ends of an interval, as exactly as they deserve."""
    low, high = (_rounded(end) for end in (value.low, value.high))
    return low if low == high else f"{low} to {high}"


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


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

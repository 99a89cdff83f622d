"""The page docs/research/benchmarks.md, made from the reports in benchmarks/results alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.published.figures import read_boards
from benchmarks.published.validate import trials
from benchmarks.reports.boards_table import boards_table
from benchmarks.reports.projections import project_blocks, validation_summary
from benchmarks.reports.render import (
    distributions,
    peers_blocks,
    run_table,
    stages_blocks,
    submission_blocks,
    versions,
)
from benchmarks.reports.schema import (
    Interval,
    PeersReport,
    ProjectReport,
    RunReport,
    StagesReport,
    SubmissionReport,
    read_report,
)
from benchmarks.reports.tables import ReportTable, as_markdown, interval, people
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from benchmarks.reports.schema import AnyReport
    from benchmarks.reports.tables import Block

_TITLE: Final = "# Benchmarks"
_BOARDS: Final = """How long a picture takes, from its capture until its decisions are made: 95 of
100 take no longer. As the daemon runs with its default bundle, one face in 640x480, thirty in
1920x1080. It plans to use up to 80 of 100 ms for each picture: looking at each face more often
tells more than deciding some hundredths of a second sooner. So a fast board too may take 80 ms
and more for thirty faces, and a slower one looks at each face less often (11 times a second is all
it ever does). Where measuring the faces of a picture leaves no time for
their emotions, these are read from the next picture."""
_BOARDS_NOTES: Final = """*Measured* figures were sent in by owners of the board. *Projected* ones
were not measured on it: they are computed from another machine's times and from what others have
published of the board, and nine in ten networks of a kind lie within the interval ([how far to
trust them](#how-far-to-trust-the-projections)). *Perhaps* means that the budget lies inside the
interval. No Jetson is among them, because no figure for int8 networks on a Jetson's processor was
found.

You have such a board, or another? `edge-bench run --submit my-board.json` takes two minutes. Send
the file in as `benchmarks/results/my-board/submission.json` in a pull request: it replaces the
projection."""
_READING: Final = """How to read the other tables: *capture to outbox* is the time from the moment a
frame is in memory until its decisions are on the disk, in milliseconds. *flat-out* takes the next
picture as soon as the one before is done, *live* takes the newest picture of a camera of 30 frames
a second. *landmarks every* measures the landmarks of every face in every frame, which is more than
the daemon does; *landmarks due* measures them as the daemon does. MediaPipe's models look at a face
every 0.17 s of time in both, so that flat-out fewer pictures have a look in them than a camera's
have: one in six at 30 a second. Synthetic pictures show a moving
face about 150 pixels wide (less with more faces).

`edge-bench docs` writes this page from the reports in `benchmarks/results`, `edge-bench suite`
makes the reports again, and beside each table stands the command for it alone."""
_TRUST: Final = """## How far to trust the projections

`edge-bench project --validate` hides each published figure in turn and predicts it from the same
network elsewhere and from the other networks' ratios, by the arithmetic of the projections."""


def make_page(results: Path) -> str:
    """Write the whole page.

    Raises:
        InputError: There is no report.
    """
    devices = {
        folder: {path.stem: read_report(path) for path in sorted(folder.glob("*.json"))}
        for folder in sorted(path for path in results.iterdir() if path.is_dir())
    }
    every = [report for reports in devices.values() for report in reports.values()]
    if not every:
        raise InputError(f"{results}: holds no report; make some with: edge-bench suite")
    blocks: list[Block] = [_TITLE, _BOARDS, boards_table(every), _BOARDS_NOTES, _READING]
    for folder, reports in devices.items():
        if reports:
            blocks += _device_blocks(reports)
        for changed in sorted(path for path in folder.glob("changes/*") if path.is_dir()):
            blocks += _change_blocks(changed)
    blocks += [_TRUST, *validation_summary(trials(read_boards())), *_from_here(every)]
    return as_markdown(blocks).rstrip() + "\n"


def _from_here(reports: Iterable[AnyReport]) -> list[Block]:
    """How the newest projection's machine predicts what is published of the boards."""
    projects = [r for r in reports if isinstance(r, ProjectReport)]
    if not projects:
        return []
    newest = max(projects, key=lambda report: report.started)
    checks = [
        f"{check.hits} of {check.figures} {check.network_kind} networks of {board.name}"
        for board in newest.boards
        for check in board.checks
    ]
    return [
        (
            f"And from the machine that projects, {newest.device.name}, of which none of them is"
            " published, by the networks that are timed on it in turns with the pipeline, again"
            f" without those of the same family: {'; '.join(checks)} lie in their interval."
        )
    ]


def _device_blocks(reports: Mapping[str, AnyReport]) -> list[Block]:
    first = next(iter(reports.values()))
    device = first.device
    frequency = "" if device.frequency_mhz is None else f" at {device.frequency_mhz:.0f} MHz"
    blocks: list[Block] = [
        f"## {device.name}, {device.cores} cores{frequency}",
        f"{device.machine}, {device.memory_mb / 1000:.1f} GB; {versions(first)}.",
    ]
    incomplete = [name for name, report in reports.items() if report.incomplete]
    if incomplete:
        blocks.append(f"Interrupted, so incomplete: {', '.join(incomplete)}.")
    runs = {name: r for name, r in reports.items() if isinstance(r, RunReport)}
    if throttled := [name for name, report in runs.items() if report.throttled]:
        blocks.append(
            f"**The processor throttled** in {', '.join(throttled)}: kept cooler, it is faster."
        )
    timed = [r for r in reports.values() if isinstance(r, RunReport | ProjectReport)]
    busiest = max((r.before.load for r in timed), default=0.0)
    if busiest > device.cores / 2:
        blocks.append(
            f"**The machine was busy with other work** (load up to {busiest:g} on"
            f" {device.cores} cores): compare processor times, and ratios of what ran in turns,"
            " rather than times by the clock."
        )
    if runs:
        blocks += ["### Whole pipeline", *_runs_blocks(runs)]
    for report in reports.values():
        if isinstance(report, PeersReport):
            blocks += ["### Against other programs", *_peers_summary(report), *peers_blocks(report)]
            blocks.append(_made_by(report))
        elif isinstance(report, StagesReport):
            blocks += ["### Each stage alone", _made_by(report), *stages_blocks(report)]
        elif isinstance(report, SubmissionReport):
            blocks += ["### Sent in by its owner", _made_by(report), *submission_blocks(report)]
        elif isinstance(report, ProjectReport):
            blocks += [
                f"### Projected from here: {people(report.workload.faces)}",
                _made_by(report),
                *project_blocks(report, brief=True),
            ]
    return blocks


def _runs_blocks(runs: Mapping[str, RunReport]) -> list[Block]:
    blocks: list[Block] = [run_table(runs)]
    newest = max(runs.values(), key=lambda report: report.started).workload.bundle
    older = [
        f"`{name}` ({report.started[:10]}, `{report.workload.bundle}`)"
        for name, report in runs.items()
        if report.workload.bundle != newest
    ]
    if older:
        blocks.append(
            f"Bundle `{newest}`, but for runs that were made with another: {', '.join(older)}."
        )
    started = {n: sorted(r.startup_ms) for n, r in runs.items() if r.startup_ms}
    for name, tries in started.items():
        blocks.append(
            f"Start of a process to its first prediction (`{name}`): median"
            f" {tries[len(tries) // 2] / 1e3:.2f} s of {len(tries)} tries."
        )
    first = runs.get("run-1-face")
    if first is not None:
        blocks += [
            (
                f"Stages of `run-1-face`, bundle `{first.workload.bundle}`; load of the machine"
                f" {first.before.load:g} before and {first.after.load:g} after. {_made_by(first)}"
            ),
            distributions(first.stages),
        ]
    for report in runs.values():
        if report.first is not None and report.last is not None:
            blocks.append(
                f"Over {report.seconds:.0f} s: p95 {report.first.p95:.2f} ms in the first minute,"
                f" {report.last.p95:.2f} in the last. {_made_by(report)}"
            )
    return blocks


def _peers_summary(report: PeersReport) -> list[Block]:
    """Our own pipeline over the reference it builds on, the ratio most readers look for."""
    lines = []
    for clock in ("ratio", "cpu_ratio"):
        ratios: dict[str, Interval | None] = {p.name: getattr(p, clock) for p in report.peers}
        what = "by the clock" if clock == "ratio" else "in processor time"
        if (reference := ratios.get("mediapipe")) is not None:
            lines.append(
                "- The whole pipeline with one face takes"
                f" {interval(_inverse(reference))} times as long as MediaPipe's Face Landmarker"
                f" alone {what}."
            )
    return ["\n".join(lines)] if lines else []


def _change_blocks(folder: Path) -> list[Block]:
    """What one change of the code did to the stages it touched, on the same pictures."""
    before, after = (read_report(folder / f"{name}.json") for name in ("before", "after"))
    if not isinstance(before, StagesReport) or not isinstance(after, StagesReport):
        return []
    rows = tuple(
        (stage, str(old.n), f"{old.p50:.3f}", f"{new.p50:.3f}", f"{new.p50 / old.p50:.2f}")
        for stage, old in before.cpu.items()
        if (new := after.cpu.get(stage)) is not None
    )
    return [
        f"### Before and after: {folder.name.replace('-', ' ')}",
        (
            "Processor time, medians, on the same pictures, before the change and after it; of each"
            f" the fastest of ten runs that took turns. {_made_by(after)}"
        ),
        ReportTable(("stage", "n", "before ms", "after ms", "times"), rows),
    ]


def _inverse(ratio: Interval) -> Interval:
    return Interval(estimate=1 / ratio.estimate, low=1 / ratio.high, high=1 / ratio.low)


def _made_by(report: AnyReport) -> str:
    return f"Made by `{report.command}` on {report.started[:10]} ({report.mode})."

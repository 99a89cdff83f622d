"""docs/benchmarks.md, made from the reports in benchmarks/results; nothing is typed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.reports.schema import (
    Distribution,
    Interval,
    PeersReport,
    ProfileReport,
    ProjectReport,
    RunReport,
    StagesReport,
    read_report,
)
from benchmarks.run import AFTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from benchmarks.reports.schema import AnyReport

_HEAD: Final = """# Benchmarks

Made by `edge-bench docs` from the reports in `benchmarks/results`; a test fails while it is stale.
Everything is made again by `edge-bench suite`, one part by the command beside it. Times are
milliseconds. `capture to outbox` is from the moment a frame is in memory until its decisions are
on the disk. Unless a line says `due` or `live`, every face's landmarks are measured in every frame,
which is more than the daemon does, and each picture is taken as soon as the one before is done.
Synthetic pictures show the sample clip's talking man, moving, about 150 pixels wide (less with more
faces).
"""
_BARS_HEAD: Final = ("measure", "at least", "aim", "measured", "")


def make_page(results: Path) -> str:
    """Write the whole page."""
    parts = [_HEAD]
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        reports = {path.stem: read_report(path) for path in sorted(folder.glob("*.json"))}
        if reports:
            parts += _device(reports)
        for changed in sorted(path for path in folder.glob("changes/*") if path.is_dir()):
            parts += _change(changed)
    return "\n".join(parts).rstrip() + "\n"


def _device(reports: Mapping[str, AnyReport]) -> list[str]:
    first = next(iter(reports.values()))
    device = first.device
    frequency = "" if device.frequency_mhz is None else f" at {device.frequency_mhz:.0f} MHz"
    parts = [
        f"## {device.name}, {device.cores} cores{frequency}",
        f"{device.machine}, {device.memory_mb / 1000:.1f} GB; {_versions(first)}.\n",
    ]
    incomplete = [name for name, report in reports.items() if report.incomplete]
    if incomplete:
        parts.append(f"Interrupted, so incomplete: {', '.join(incomplete)}.\n")
    runs = {n: r for n, r in reports.items() if isinstance(r, RunReport)}
    busiest = max((r.before.load for r in runs.values()), default=0.0)
    if busiest > device.cores / 2:
        parts.append(
            f"**The machine was busy with other work** (load up to {busiest:g} on"
            f" {device.cores} cores): times by the clock are those of a share of it, and only"
            " processor times and ratios of those who took turns compare.\n"
        )
    if bars := _bars(reports):
        parts += ["### Bars", _markdown(_BARS_HEAD, bars), ""]
    if runs:
        parts += ["### Whole pipeline", *_runs(runs), ""]
    for report in reports.values():
        if isinstance(report, PeersReport):
            parts += ["### Against others", *_peers(report), ""]
        elif isinstance(report, StagesReport):
            parts += [
                "### Each stage alone",
                _made_by(report),
                "",
                _distributions(report.stages),
                "",
                "Processor time of the same calls, which other work on the machine does not bend:",
                "",
                _distributions(report.cpu),
                "",
            ]
        elif isinstance(report, ProfileReport):
            parts += ["### Where the time goes", *_profile(report), ""]
    projects = [r for r in reports.values() if isinstance(r, ProjectReport)]
    if projects:
        parts += ["### Projected, not measured", *_projects(projects), ""]
    return parts


def _change(folder: Path) -> list[str]:
    """What one change of the code did to the stages it touched, on the same pictures."""
    before, after = (read_report(folder / f"{name}.json") for name in ("before", "after"))
    if not isinstance(before, StagesReport) or not isinstance(after, StagesReport):
        return []
    rows = []
    for stage, old in before.cpu.items():
        if (new := after.cpu.get(stage)) is not None:
            rows.append(
                (stage, str(old.n), f"{old.p50:.3f}", f"{new.p50:.3f}", f"{new.p50 / old.p50:.2f}")
            )
    return [
        f"### Before and after: {folder.name.replace('-', ' ')}",
        (
            "Processor time, medians, on the same pictures, before the change and after it; of each"
            f" the fastest of ten runs that took turns. {_made_by(after)}\n"
        ),
        _markdown(("stage", "n", "before", "after", "times"), rows),
        "",
    ]


def _runs(runs: Mapping[str, RunReport]) -> list[str]:
    rows = []
    for name, report in runs.items():
        work, memory = report.workload, report.memory
        what = f"{work.faces} faces" if work.faces != 1 else "1 face"
        rows.append(
            (
                name,
                f"{what}, {work.width_px}x{work.height_px}, {work.pace}, {work.landmarks}",
                work.backend,
                f"{report.frames}",
                f"{report.fps:.1f}",
                f"{report.latency.p50:.2f}",
                f"{report.latency.p95:.2f}",
                f"{report.latency.p99:.2f}",
                f"{report.latency.max:.1f}",
                "" if memory.pss_mb is None else f"{memory.pss_mb:.0f}",
                "" if memory.slope_mb_per_min is None else f"{memory.slope_mb_per_min:+.2f}",
                f"{report.overhead:.1%}",
            )
        )
    parts = [
        _markdown(
            ("run", "what", "faces by", "frames", "fps", "p50", "p95", "p99", "max", "PSS MB",
             "MB/min", "measuring"),
            rows,
        ),
        "",
    ]  # fmt: skip
    first = runs.get("run-1-face")
    if first is not None:
        parts += [
            (
                f"Stages of `run-1-face`, bundle `{first.workload.bundle}`; load of the machine"
                f" {first.before.load:g} before and {first.after.load:g} after. {_made_by(first)}"
            ),
            "",
            _distributions(first.stages),
        ]
    soak = next((r for r in runs.values() if r.first is not None and r.last is not None), None)
    if soak is not None and soak.first is not None and soak.last is not None:
        parts += [
            "",
            (
                f"Soak of {soak.seconds:.0f} s: p95 {soak.first.p95:.2f} in the first minute,"
                f" {soak.last.p95:.2f} in the last. {_made_by(soak)}"
            ),
        ]
    return parts


def _peers(report: PeersReport) -> list[str]:
    rows = []
    for peer in report.peers:
        if peer.latency is None:
            rows.append((peer.name, f"absent: {peer.absent}", "", "", "", "", "", "", ""))
            continue
        rows.append(
            (
                peer.name,
                peer.what,
                f"{peer.latency.p50:.2f}",
                f"{peer.latency.mean:.2f}",
                "" if peer.ratio is None else _interval(peer.ratio),
                "" if peer.cpu is None else f"{peer.cpu.p50:.2f}",
                "" if peer.cpu_ratio is None else _interval(peer.cpu_ratio),
                "" if peer.found is None else f"{peer.found:.0%}",
                "" if peer.accuracy is None else _percent(peer.accuracy.share),
            )
        )
    parts = [
        (
            f"{report.pictures}; {report.rounds} rounds of {report.frames_per_round} frames in"
            f" turns, each in a process of its own on one processor. {_made_by(report)}\n"
        ),
        _markdown(
            (
                "peer",
                "what",
                "p50",
                "mean",
                "times ours",
                "CPU p50",
                "times ours",
                "faces found",
                "accuracy",
            ),
            rows,
        ),
    ]
    kinds = sorted(
        {
            f"Accuracy: {p.accuracy.data}; {p.accuracy.protocol}; n = {p.accuracy.n}, 95 % Wilson"
            " interval."
            for p in report.peers
            if p.accuracy
        }
    )
    return [*parts, "", *kinds]


def _profile(report: ProfileReport) -> list[str]:
    return [
        (
            f"{report.frames} frames, {report.ms_per_frame:.2f} ms each with the profiler on."
            f" {_made_by(report)}\n"
        ),
        _markdown(
            ("function", "calls a frame", "own ms", "share"),
            (
                (
                    f"`{spot.function}`",
                    f"{spot.calls_per_frame:.1f}",
                    f"{spot.own_ms_per_frame:.3f}",
                    f"{spot.share:.1%}",
                )
                for spot in report.hotspots[:12]
            ),
        ),
    ]


def _projects(reports: Iterable[ProjectReport]) -> list[str]:
    rows, notes = [], []
    for report in reports:
        rows.append(
            (
                report.target,
                report.mode,
                f"{report.total.low:.0f} to {report.total.high:.0f}",
                f"{report.fps.low:.1f} to {report.fps.high:.1f}",
                "; ".join(
                    f"{r.name} {r.measured.p50:.2f} here, {r.published_ms[0]:g} to"
                    f" {r.published_ms[1]:g} there"
                    for r in report.references
                ),
            )
        )
        notes += [*report.assumptions, *(f"Source: {source}." for source in report.sources)]
    return [
        _markdown(("target", "mode", "one frame, one face", "fps", "reference models"), rows),
        "",
        *(f"- {note}" for note in dict.fromkeys(notes)),
    ]


def _bars(reports: Mapping[str, AnyReport]) -> list[tuple[str, ...]]:
    """The bars this project set itself against what was measured; without a report, no line."""
    rows: list[tuple[str, ...]] = []
    peers, stages = reports.get("peers"), reports.get("stages-1-face")
    run, soak = reports.get("run-1-face"), reports.get("soak-1-face")
    if isinstance(peers, PeersReport):
        rows += _peer_bars(peers)
    if isinstance(stages, StagesReport) and stages.workload.faces == 1:
        parts = ("features", "models", "transitions, one face")
        if all(part in stages.cpu for part in parts):
            after_ms = sum(stages.cpu[part].p50 for part in parts)
            what = "everything after the landmarks, per face, p50 ms of processor time"
            rows.append(_most(what, 1.5, 0.7, after_ms))
    if isinstance(run, RunReport):
        rows += _run_bars(run)
    if isinstance(soak, RunReport):
        what = f"640x480, one face, fps sustained {soak.seconds / 60:.0f} minutes"
        rows.append(_least(what, 60, 100, soak.fps))
    return rows


def _peer_bars(report: PeersReport) -> list[tuple[str, ...]]:
    rows = []
    for clock, ratios in (
        ("", {peer.name: peer.ratio for peer in report.peers}),
        (", processor time", {peer.name: peer.cpu_ratio for peer in report.peers}),
    ):
        if (landmarker := ratios.get("mediapipe")) is not None:
            ours = _inverse(landmarker)
            what = f"one face, whole pipeline / MediaPipe Face Landmarker alone{clock}"
            rows.append(_most(what, 1.15, 1.05, ours.estimate, _interval(ours)))
        if (haar := ratios.get("fer-haar")) is not None:
            what = f"fer with Haar / ours{clock}"
            rows.append(_least(what, 5, 10, haar.estimate, _interval(haar)))
    return rows


def _run_bars(report: RunReport) -> list[tuple[str, ...]]:
    rows = []
    if (after := report.stages.get(AFTER)) is not None:
        rows.append(_most("everything after the landmarks, per face, p50 ms", 1.5, 0.7, after.p50))
    rows.append(_most("measuring itself, share of the time, %", 2, 1, report.overhead * 100))
    if report.startup_ms:
        tries = sorted(report.startup_ms)
        what = f"start-up to first event-ready frame, median of {len(tries)}, s"
        rows.append(_most(what, 3, 1.5, tries[len(tries) // 2] / 1e3))
    rows.append(_least("640x480, one face, fps end to end", 30, 60, report.fps))
    rows.append(_most("p95 capture to outbox, ms", 60, 60, report.latency.p95))
    if report.memory.pss_mb is not None:
        rows.append(_most("vision process, MB (PSS)", 300, 300, report.memory.pss_mb))
    return rows


def _most(what: str, bar: float, aim: float, value: float, shown: str = "") -> tuple[str, ...]:
    verdict = "aim" if value <= aim else "met" if value <= bar else "**missed**"
    return what, f"at most {bar:g}", f"{aim:g}", shown or f"{value:.2f}", verdict


def _least(what: str, bar: float, aim: float, value: float, shown: str = "") -> tuple[str, ...]:
    verdict = "aim" if value >= aim else "met" if value >= bar else "**missed**"
    return what, f"{bar:g}", f"{aim:g}", shown or f"{value:.2f}", verdict


def _inverse(ratio: Interval) -> Interval:
    return Interval(estimate=1 / ratio.estimate, low=1 / ratio.high, high=1 / ratio.low)


def _interval(value: Interval) -> str:
    return f"{value.estimate:.2f} ({value.low:.2f} to {value.high:.2f})"


def _percent(value: Interval) -> str:
    return f"{value.estimate:.1%} ({value.low:.1%} to {value.high:.1%})"


def _versions(report: AnyReport) -> str:
    return ", ".join(f"{name} {version}" for name, version in report.software.items())


def _made_by(report: AnyReport) -> str:
    return f"Made by `{report.command}` on {report.started[:10]} ({report.mode})."


def _distributions(named: Mapping[str, Distribution]) -> str:
    return _markdown(
        ("stage", "n", "mean", "p50", "p90", "p95", "p99", "max"),
        (
            (
                name,
                str(d.n),
                *(f"{v:.3f}" for v in (d.mean, d.p50, d.p90, d.p95, d.p99, d.max)),
            )
            for name, d in named.items()
        ),
    )


def _markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [list(row) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

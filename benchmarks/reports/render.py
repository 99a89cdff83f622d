"""Reports as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.reports.schema import (
        Distribution,
        Interval,
        PeersReport,
        ProfileReport,
        ProjectReport,
        Report,
        RunReport,
        StagesReport,
    )

_COLUMNS = ("n", "min", "mean", "p50", "p90", "p95", "p99", "max")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Align columns: the first to the left, the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def distributions(named: Mapping[str, Distribution]) -> str:
    """One line for each distribution, milliseconds."""
    return table(
        ("ms", *_COLUMNS, "over"),
        (
            (
                name,
                str(d.n),
                *(f"{getattr(d, column):.3f}" for column in _COLUMNS[1:]),
                "" if d.over_budget is None else f"{d.over_budget:.2%}",
            )
            for name, d in named.items()
        ),
    )


def interval(value: Interval, digits: int = 2) -> str:
    """An estimate with its interval."""
    return f"{value.estimate:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def _head(report: Report) -> list[str]:
    lines = [
        f"{report.mode} on {report.device.name}, {report.device.cores} cores, {report.started}",
        ", ".join(f"{name} {version}" for name, version in report.software.items()),
    ]
    if report.incomplete:
        lines.insert(0, "INCOMPLETE: the run was interrupted")
    return lines


def show_run(report: RunReport) -> str:
    """The whole run."""
    work = report.workload
    people = "" if work.faces is None else f", {work.faces} faces"
    dropped = f", {report.dropped} dropped" if work.pace == "live" else ""
    parts = _head(report)
    parts += [
        (
            f"{work.source} {work.width_px}x{work.height_px}{people}, {work.pace},"
            f" landmarks {work.landmarks}, {work.backend}, bundle {work.bundle},"
            f" {work.threads} thread(s) a network"
        ),
        (
            f"{report.frames} frames in {report.seconds:.1f} s = {report.fps:.1f} a second"
            f"{dropped}; {report.faces} faces, {report.fresh:.0%} measured on their own frame,"
            f" {report.events} events stored"
        ),
        "",
        distributions(
            {"capture to outbox": report.latency}
            | {f"  with {n} face(s)": d for n, d in report.by_faces.items()}
            | {"age when taken": report.age}
            | report.stages
        ),
        "",
    ]
    if report.first is not None and report.last is not None:
        parts += [
            distributions({"first minute": report.first, "last minute": report.last}),
            "",
        ]
    memory = report.memory
    pss = "not told" if memory.pss_mb is None else f"{memory.pss_mb:.0f} MB"
    slope = (
        "too short for a slope"
        if memory.slope_mb_per_min is None
        else f"{memory.slope_mb_per_min:+.3f} MB a minute over {memory.over_s:.0f} s"
    )
    parts.append(
        f"memory: {pss} proportional, {memory.rss_mb:.0f} MB resident,"
        f" peak {memory.peak_mb:.0f} MB, {slope}"
    )
    parts.append(f"before: {_condition(report.before)}; after: {_condition(report.after)}")
    parts.append(f"measuring took {report.overhead:.2%} of the time")
    if report.startup_ms:
        tries = sorted(report.startup_ms)
        parts.append(
            f"start to first prediction: median {tries[len(tries) // 2]:.0f} ms of"
            f" {len(tries)} tries ({tries[0]:.0f} to {tries[-1]:.0f})"
        )
    verdict = "within" if report.latency.p95 <= report.budget_ms else "OVER"
    parts.append(
        f"p95 {report.latency.p95:.1f} ms: {verdict} the budget of {report.budget_ms:g} ms"
        + ("; the processor THROTTLED" if report.throttled else "")
    )
    return "\n".join(parts)


def show_stages(report: StagesReport) -> str:
    """Each stage alone."""
    parts = [*_head(report), "", distributions(report.stages)]
    return "\n".join([*parts, "", "processor time of the same", distributions(report.cpu)])


def show_profile(report: ProfileReport) -> str:
    """The functions that take most."""
    rows = (
        (
            spot.function,
            f"{spot.calls_per_frame:.1f}",
            f"{spot.own_ms_per_frame:.3f}",
            f"{spot.share:.1%}",
        )
        for spot in report.hotspots
    )
    return "\n".join(
        [
            *_head(report),
            f"{report.frames} frames, {report.ms_per_frame:.2f} ms each with the profiler on",
            "",
            table(("function", "calls a frame", "own ms", "share"), rows),
        ]
    )


def show_project(report: ProjectReport) -> str:
    """What the target would need."""
    rows = [
        (name, f"{report.measured[name].p50:.2f}", f"{i.low:.1f} to {i.high:.1f}")
        for name, i in report.stages.items()
    ]
    rows.append(("one frame", "", f"{report.total.low:.1f} to {report.total.high:.1f}"))
    rows.append(("frames a second", "", f"{report.fps.low:.1f} to {report.fps.high:.1f}"))
    references = [
        f"{r.name}: {r.measured.p50:.2f} ms here, {r.published_ms[0]:g} to {r.published_ms[1]:g} ms"
        f" published, factor {r.factor.low:.2f} to {r.factor.high:.2f}"
        for r in report.references
    ]
    return "\n".join(
        [
            *_head(report),
            f"PROJECTED onto {report.target}; nothing was measured there",
            "",
            table(("stage", "ms here", "ms there"), rows),
            "",
            *references,
            *report.assumptions,
            *(f"source: {source}" for source in report.sources),
        ]
    )


def show_peers(report: PeersReport) -> str:
    """Everyone beside everyone."""
    rows = []
    for peer in report.peers:
        if peer.latency is None:
            rows.append((peer.name, "absent", "", "", "", "", "", ""))
            continue
        rows.append(
            (
                peer.name,
                f"{peer.latency.p50:.2f}",
                f"{peer.latency.p95:.2f}",
                "" if peer.ratio is None else interval(peer.ratio),
                "" if peer.cpu is None else f"{peer.cpu.p50:.2f}",
                "" if peer.cpu_ratio is None else interval(peer.cpu_ratio),
                "" if peer.found is None else f"{peer.found:.0%}",
                "" if peer.accuracy is None else f"{peer.accuracy.share.estimate:.1%}",
            )
        )
    notes = [f"{p.name}: {p.what}{f' ({p.version})' if p.version else ''}" for p in report.peers]
    notes += [f"{p.name} is absent: {p.absent}" for p in report.peers if p.absent]
    kinds = {(p.accuracy.data, p.accuracy.protocol) for p in report.peers if p.accuracy}
    return "\n".join(
        [
            *_head(report),
            (
                f"{report.pictures}; {report.rounds} rounds of {report.frames_per_round} frames"
                " in turns, each on one processor"
            ),
            "",
            table(
                (
                    "peer",
                    "p50 ms",
                    "p95 ms",
                    "times ours",
                    "CPU ms",
                    "times ours",
                    "found",
                    "accuracy",
                ),
                rows,
            ),
            "",
            *notes,
            *(f"accuracy: {data}; {protocol}" for data, protocol in sorted(kinds)),
        ]
    )


def _condition(state: object) -> str:
    found = {
        "frequency_mhz": "{:.0f} MHz",
        "temperature_c": "{:.1f} C",
        "throttled": "throttling word {:#x}",
        "load": "load {:.1f}",
    }
    told = [
        text.format(value)
        for name, text in found.items()
        if (value := getattr(state, name)) is not None
    ]
    return ", ".join(told) or "nothing told"

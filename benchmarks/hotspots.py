"""Where the time of a frame goes, function by function."""

from __future__ import annotations

import cProfile
import pstats
import re
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from benchmarks.host import how_measured, read_device, software
from benchmarks.reports.schema import Hotspot, ProfileReport
from benchmarks.run import Tally, open_loop, warm_up, workload_of
from edge.bundle.installed import configured_bundle

if TYPE_CHECKING:
    from benchmarks.workload import Request
    from edge.config import Config

_WARM_S: Final = 1.0


def profile(
    request: Request, config: Config, *, frames: int, most: int, command: str
) -> ProfileReport:
    """Profile the frame path; Ctrl-C ends it early and marks the report incomplete.

    Args:
        request: What is run.
        config: With which pipeline.
        frames: How many frames.
        most: How many functions to report.
        command: What the user called.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = configured_bundle(config.models)
    profiler = cProfile.Profile()
    tally, done, incomplete = Tally(), 0, False
    with ExitStack() as stack:
        loop = open_loop(stack, request, config, bundle)
        tally.size_px = warm_up(loop, _WARM_S)
        began_s = time.perf_counter()
        try:
            for _ in range(frames):
                profiler.enable()
                loop.step()
                profiler.disable()
                done += 1
        except KeyboardInterrupt:
            profiler.disable()
            incomplete = True
        spent_s = time.perf_counter() - began_s
        workload = workload_of(request, config, bundle, loop, tally)
    done = max(done, 1)
    return ProfileReport(
        mode=how_measured(),
        incomplete=incomplete,
        started=started,
        command=command,
        device=read_device(),
        software=software(),
        workload=workload,
        frames=done,
        ms_per_frame=round(spent_s * 1e3 / done, 4),
        hotspots=_hotspots(profiler, done, most),
    )


def _hotspots(profiler: cProfile.Profile, frames: int, most: int) -> tuple[Hotspot, ...]:
    functions: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
    functions = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # typeshed lacks it
    total_s = sum(own_s for _, _, own_s, _, _ in functions.values()) or 1.0
    ranked = sorted(functions.items(), key=lambda item: -item[1][2])[:most]
    return tuple(
        Hotspot(
            function=short_name(*where),
            calls_per_frame=round(calls / frames, 2),
            own_ms_per_frame=round(own_s * 1e3 / frames, 4),
            share=round(own_s / total_s, 4),
        )
        for where, (_, calls, own_s, _, _) in ranked
    )


def short_name(file: str, line: int, function: str) -> str:
    """Name a function by its place within its package, whatever folder that lies in."""
    if file == "~":
        return re.sub(r"0x[0-9a-f]+", "...", function)
    for mark in ("/site-packages/", "/edge/", "/benchmarks/", "/lib/python"):
        _, found, rest = file.rpartition(mark)
        if found:
            inside = rest if mark == "/site-packages/" else f"{mark.strip('/')}/{rest}"
            return f"{inside}:{line} {function}"
    return f"{file.rsplit('/', 1)[-1]}:{line} {function}"

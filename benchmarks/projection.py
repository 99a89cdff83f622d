"""What boards not at hand would need: intervals, never measurements.

Networks that are published of the boards are timed here, in turns with the pipeline. Each of the
pipeline's networks is then multiplied by what lies between for networks of its kind
(`benchmarks.published.ratios`), the Python around them as float networks are (docs/adr/0007).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.board_simulation import CAMERA_FPS, Simulated
from benchmarks.frame_parts import steady_frames
from benchmarks.host import how_measured, read_device, read_state, software
from benchmarks.published.figures import known_targets, read_boards, read_sources
from benchmarks.published.ratios import ANCHOR_THREADS, LEVEL, Ratio, direct, slower
from benchmarks.published.validate import predict_left_out
from benchmarks.reference_networks import ReferenceNetworks, medians
from benchmarks.reports.schema import (
    BoardProjection,
    DetectorProjection,
    FrameProjection,
    Interval,
    LeftOutCheck,
    PartProjection,
    ProjectReport,
    SettingProjection,
    Workload,
)
from edge.assets import YUNET, find_asset
from edge.bundle.installed import configured_bundle
from emoshift.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.frame_parts import Parts
    from benchmarks.published.figures import Board, Kind
    from benchmarks.reports.schema import Reference
    from benchmarks.workload import Request
    from edge.config import Config

_USUAL: Final = "usual"
_EVERY: Final = "every"
_EVERY_RATE: Final = 10
_SECONDS_A_ROUND: Final = 2.0
_EVERY_FRAMES: Final = 10
_SIMULATED_S: Final = 8.0
"""By the board's time."""
_KINDS: Final[tuple[Kind, ...]] = ("float32", "int8", "opencv")
_ENDS: Final = ("estimate", "low", "high")
_ASSUMPTIONS: Final = (
    (
        "Each network is multiplied by how much slower networks of its kind are: int8 ones in the"
        " TFLite runtime by int8 ones, float ones by float ones, the detector by itself."
    ),
    (
        f"An interval is where {LEVEL:.0%} of networks of the kind are expected, by the spread of"
        " those that are published; a frame's ends have all its parts at that end at once."
    ),
    (
        "Networks that take less here than any that is published are projected with one thread,"
        " whatever the board's setting: nothing says what more would give them."
    ),
    (
        "For Python, NumPy and OpenCV around the networks no published figure was found: they are"
        " taken to be slower by as much as float networks with one thread."
    ),
    (
        "The detector has a thread and a core of its own and is not in the frame; writing an event"
        " to the card, a few times a minute, is not in it either."
    ),
    (
        "As the daemon runs: its loop goes by the board's time, takes the newest of 30 pictures a"
        " second, and its planner cuts each frame to the budget by what the work costs there."
    ),
    (
        "Percentiles are over frames, each projected by itself, from capture on; heat and other"
        " programs are not in them."
    ),
)


def project(
    targets: Sequence[str],
    request: Request,
    config: Config,
    *,
    rounds: int,
    command: str,
    progress: Callable[[str], None] = lambda _: None,
) -> ProjectReport:
    """Time pipeline and published networks in turns, and project the pipeline onto the boards.

    Ctrl-C ends it early; the report is then marked incomplete.

    Raises:
        UsageError: A target is unknown.
        InputError: The models or the sample clip have not been fetched.
    """
    chosen = tuple(targets) or known_targets()
    if unknown := [key for key in chosen if key not in known_targets()]:
        raise UsageError(
            f"--target {unknown[0]}: unknown; the targets are {', '.join(known_targets())}"
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    bundle, before = configured_bundle(config.models), read_state()
    incomplete, done = False, 0
    with steady_frames(request, config, bundle) as (frames, pipeline):
        width_px, height_px = frames.warm_up(1 / CAMERA_FPS)
        networks = ReferenceNetworks(find_asset(YUNET))
        try:
            for done in range(1, rounds + 1):
                pipeline.shed(0)
                frames.run(_USUAL, 1 / CAMERA_FPS, round(_SECONDS_A_ROUND * CAMERA_FPS))
                pipeline.measure_everything()
                frames.run(_EVERY, 1 / _EVERY_RATE, _EVERY_FRAMES)
                networks.run()
                progress(f"round {done} of {rounds}")
        except KeyboardInterrupt:
            if done < 2:
                raise
            incomplete = True
        references = networks.report()
        boards = []
        for number, key in enumerate(chosen, start=1):
            progress(f"board {number} of {len(chosen)}")
            boards.append(
                project_board(
                    key,
                    references,
                    usual=frames.parts(_USUAL),
                    every=frames.parts(_EVERY),
                    run_there=partial(
                        frames.simulate,
                        budget_s=config.health.budget_ms / 1e3,
                        seconds=_SIMULATED_S,
                    ),
                )
            )
        backend = pipeline.finder.name
    return ProjectReport(
        mode="projected" if how_measured() == "measured" else "emulated",
        incomplete=incomplete,
        started=started,
        command=command,
        before=before,
        device=read_device(),
        software=software(),
        workload=Workload(
            source=request.source,
            pace="flat-out",
            landmarks="due",
            width_px=width_px,
            height_px=height_px,
            faces=request.faces,
            backend=backend,
            threads=config.models.thread_count(),
            bundle=bundle.manifest.bundle_id,
        ),
        references=references,
        boards=tuple(boards),
        assumptions=_ASSUMPTIONS,
    )


def project_board(
    key: str,
    references: tuple[Reference, ...],
    *,
    usual: Parts,
    every: Parts,
    run_there: Callable[[Mapping[str, float]], Simulated],
) -> BoardProjection:
    """Project what was timed here onto one board.

    Args:
        key: The board.
        references: Published networks, timed here.
        usual: Frames as the daemon runs at 30 a second, none of them cut.
        every: Frames in which every face is measured and classified.
        run_there: Runs the daemon's loop with each part so many times slower.
    """
    boards = read_boards()
    board = boards[key]
    timed = {kind: medians(references, kind) for kind in _KINDS}
    here_ms = {kind: ms for kind, ms in timed.items() if ms}
    daemons = max(board.cores - 1, 1)
    ratios = {
        threads: {kind: slower(ms, boards, key, kind, threads) for kind, ms in here_ms.items()}
        for threads in {1, daemons}
    }
    used = frozenset().union(*(r.sources for each in ratios.values() for r in each.values()))
    sources = read_sources()
    return BoardProjection(
        key=key,
        name=board.name,
        steps={kind: "; ".join(ratio.steps) for kind, ratio in ratios[daemons].items()},
        checks=_checks(here_ms, board),
        settings=tuple(
            _setting(threads, ratios, here_ms, usual, every, run_there) for threads in (daemons, 1)
        ),
        sources=tuple(text for name, text in sources.items() if name in used),
    )


def _checks(here_ms: Mapping[Kind, Mapping[str, float]], board: Board) -> tuple[LeftOutCheck, ...]:
    """Predict each figure published of the board from this machine, without its family."""
    found = []
    for kind, ms in here_ms.items():
        pairs = direct(ms, board, kind, ANCHOR_THREADS)
        left_out = predict_left_out(pairs, siblings=False)
        if left_out:
            found.append(
                LeftOutCheck(
                    network_kind=kind, hits=sum(one.hit for one in left_out), figures=len(left_out)
                )
            )
    return tuple(found)


def _setting(
    threads: int,
    ratios: Mapping[int, Mapping[Kind, Ratio]],
    here_ms: Mapping[Kind, Mapping[str, float]],
    usual: Parts,
    every: Parts,
    run_there: Callable[[Mapping[str, float]], Simulated],
) -> SettingProjection:
    factors: dict[str, Ratio] = {}
    parts = []
    for name, kind in usual.kinds.items():
        ran = usual.ms[name][usual.ms[name] > 0]
        here = float(np.median(ran)) if len(ran) else 0.0
        with_threads = 1
        if kind == "python":
            factors[name] = ratios[1]["float32"]
        else:
            if here >= min(here_ms[kind].values()):
                with_threads = threads
            factors[name] = ratios[with_threads][kind]
        parts.append(
            PartProjection(
                name=name,
                part_kind=kind,
                threads=with_threads,
                here_ms=round(here, 3),
                share=round(len(ran) / max(len(usual.ms[name]), 1), 3),
                factor=_interval({end: getattr(factors[name], end) for end in _ENDS}),
                ms=_interval({end: here * getattr(factors[name], end) for end in _ENDS}),
            )
        )
    round_ms = float(np.median(usual.rounds_ms)) if len(usual.rounds_ms) else 0.0
    # Without YuNet a network of the TFLite runtime finds the faces.
    ratio = ratios[threads].get("opencv") or ratios[threads]["float32"]
    detector = {end: round_ms * getattr(ratio, end) for end in _ENDS}
    return SettingProjection(
        threads=threads,
        parts=tuple(parts),
        detector=DetectorProjection(
            round_ms=_interval(detector),
            core=_interval(
                {end: min(usual.rounds_per_s * ms / 1e3, 1.0) for end, ms in detector.items()}
            ),
        ),
        due=_frames(
            {
                end: run_there({name: getattr(f, end) for name, f in factors.items()})
                for end in _ENDS
            }
        ),
        every=_frames({end: every_frame(every, factors, end) for end in _ENDS}),
    )


def every_frame(parts: Parts, factors: Mapping[str, Ratio], end: str) -> Simulated:
    """Multiply every part of every frame by one end of its factor."""
    whole: NDArray[np.float64] = np.sum(
        [ms * getattr(factors[name], end) for name, ms in parts.ms.items()], axis=0
    )
    fps = min(float(CAMERA_FPS), 1e3 / float(whole.mean()))
    return Simulated(latency_ms=whole, fps=fps, looks=fps)


def _frames(found: Mapping[str, Simulated]) -> FrameProjection:
    """Span all ends: where frames are cut to a budget, slower parts need not make longer frames."""

    def span(figure: Callable[[Simulated], float]) -> Interval:
        values = {end: figure(one) for end, one in found.items()}
        return _interval(
            {
                "estimate": values["estimate"],
                "low": min(values.values()),
                "high": max(values.values()),
            }
        )

    return FrameProjection(
        p50=span(lambda one: float(np.percentile(one.latency_ms, 50))),
        p95=span(lambda one: float(np.percentile(one.latency_ms, 95))),
        fps=span(lambda one: one.fps),
        looks=span(lambda one: one.looks),
    )


def _interval(ends: Mapping[str, float]) -> Interval:
    return Interval(level=LEVEL, **{end: round(value, 3) for end, value in ends.items()})

"""What a board would need that nobody has at hand: an interval, never a measurement.

Two reference models are measured here, in turns with the pipeline; published figures say what they
take on the board. Each stage is multiplied by what lies between (docs/adr/0007).
"""

from __future__ import annotations

import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.host import read_device, software
from benchmarks.recorder import Recorder
from benchmarks.reference_models import Precision, mobilenet_v1
from benchmarks.reports.schema import Distribution, Interval, ProjectReport, Reference
from benchmarks.reports.statistics import summarise
from benchmarks.run import (
    AFTER,
    LATENCY,
    FrameCounts,
    Loop,
    open_loop,
    record,
    warm_up,
    workload_of,
)
from edge.bundle.installed import configured_bundle
from edge.litert import TFLiteModel
from emoshift.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.workload import Request
    from edge.config import Config

LANDMARKS_SLOWER: Final = 3.0
"""Landmark models were seen to run up to three times slower on a Pi 4 than MobileNet's factor."""
_PIPELINE_FRAMES: Final = 20
_REFERENCE_RUNS: Final = 5
_WARM_S: Final = 1.0
_PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a reference model takes on the board: the best and the worst published, milliseconds.

    Attributes:
        one_thread: How many times slower models are there with one thread instead of all cores.
    """

    low_ms: float
    high_ms: float
    one_thread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetBoard:
    """A board and what is published of it."""

    name: str
    figures: Mapping[str, Figure]
    sources: tuple[str, ...]


def known_targets() -> tuple[str, ...]:
    """Names that `read_target` understands."""
    folder = resources.files("benchmarks") / "targets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def read_target(name: str) -> TargetBoard:
    """Read what is published of a board.

    Raises:
        UsageError: There is no such target.
    """
    if name not in known_targets():
        raise UsageError(f"--target {name}: unknown; the targets are {', '.join(known_targets())}")
    file = resources.files("benchmarks") / "targets" / f"{name}.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    return TargetBoard(
        name=data["name"],
        figures={
            f["model"]: Figure(low_ms=f["ms"][0], high_ms=f["ms"][1], one_thread=f["one_thread"])
            for f in data["figure"]
        },
        sources=tuple(data["sources"].values()),
    )


def project(
    target: TargetBoard,
    request: Request,
    config: Config,
    *,
    rounds: int,
    command: str,
    progress: Callable[[str], None] = lambda _: None,
) -> ProjectReport:
    """Measure pipeline and reference models in turns, and project the pipeline onto the board."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = configured_bundle(config.models)
    models = {name: TFLiteModel(mobilenet_v1(name)) for name in _PRECISIONS}
    recorder, tally = Recorder(rounds * _PIPELINE_FRAMES), FrameCounts()
    spent: dict[str, list[float]] = {name: [] for name in models}
    incomplete = False
    with ExitStack() as stack:
        loop = open_loop(stack, request, config, bundle)
        tally.size_px = warm_up(loop, _WARM_S)
        for model in models.values():
            _run_reference(model)
        try:
            for number in range(rounds):
                _run_pipeline(loop, recorder, tally)
                for name, model in models.items():
                    spent[name].extend(_run_reference(model))
                progress(f"round {number + 1} of {rounds}")
        except KeyboardInterrupt:
            incomplete = True
        workload = workload_of(request, config, bundle, loop, tally)
    measured = {
        name: summarise(recorder.values(name))
        for name in ("faces", "features", "models", "transitions")
    } | {LATENCY: summarise(recorder.values(LATENCY)), AFTER: summarise(recorder.values(AFTER))}
    references = tuple(
        reference(name, summarise(np.array(spent[name]) * 1e3), target.figures[name])
        for name in models
    )
    stages, total = project_stages(measured, {r.name: r for r in references})
    return ProjectReport(
        mode="projected",
        incomplete=incomplete,
        started=started,
        command=command,
        device=read_device(),
        software=software(),
        target=target.name,
        workload=workload,
        references=references,
        measured=measured,
        stages=stages,
        total=total,
        fps=Interval(
            estimate=round(1e3 / total.estimate, 1),
            low=round(1e3 / total.high, 1),
            high=round(1e3 / total.low, 1),
            level=0.0,
        ),
        assumptions=(
            "Low end: every network uses all four cores; high end: one, as configured here.",
            (
                "Finding faces is multiplied by the float32 factor, at the high end by"
                f" {LANDMARKS_SLOWER:g} times that: landmark models were seen that much slower."
            ),
            "The bundle's networks are multiplied by the int8 factor.",
            (
                "Python code around them is multiplied by anything between the smallest and the"
                " largest factor; no published figure covers it."
            ),
            "The interval is no confidence interval: it spans what these figures allow.",
        ),
        sources=target.sources,
    )


def reference(name: str, measured: Distribution, figure: Figure) -> Reference:
    """Compute how many times slower the board is: best figure to worst with one thread."""
    high_ms = figure.high_ms * figure.one_thread
    return Reference(
        name=name,
        measured=measured,
        published_ms=(figure.low_ms, high_ms),
        factor=Interval(
            estimate=round((figure.low_ms * high_ms) ** 0.5 / measured.p50, 3),
            low=round(figure.low_ms / measured.p50, 3),
            high=round(high_ms / measured.p50, 3),
            level=0.0,
        ),
    )


def project_stages(
    measured: Mapping[str, Distribution], references: Mapping[str, Reference]
) -> tuple[dict[str, Interval], Interval]:
    """Multiply each stage's median by its factor; the total is the sum of the stages."""
    fp32, int8 = references["float32"].factor, references["int8"].factor
    factors = {
        "faces": (fp32.low, fp32.high * LANDMARKS_SLOWER),
        "models": (int8.low, int8.high),
        "python": (min(fp32.low, int8.low), max(fp32.high, int8.high)),
    }
    stages = {}
    for name, distribution in measured.items():
        if name in (LATENCY, AFTER):
            continue
        low, high = factors.get(name, factors["python"])
        stages[name] = _interval(distribution.p50 * low, distribution.p50 * high)
    return stages, _interval(
        sum(s.low for s in stages.values()), sum(s.high for s in stages.values())
    )


def _interval(low: float, high: float) -> Interval:
    """Both ends, and their geometric mean as the one number for those who insist."""
    return Interval(
        estimate=round((low * high) ** 0.5, 3), low=round(low, 3), high=round(high, 3), level=0.0
    )


def _run_pipeline(loop: Loop, recorder: Recorder, tally: FrameCounts) -> None:
    for _ in range(_PIPELINE_FRAMES):
        step = loop.step()
        record(recorder, tally, loop.pipeline, step)


def _run_reference(model: TFLiteModel) -> list[float]:
    info = model.inputs[0]
    feed = {0: np.zeros(info.shape, info.dtype)}
    spent = []
    for _ in range(_REFERENCE_RUNS):
        began = time.perf_counter()
        model.run(feed)
        spent.append(time.perf_counter() - began)
    return spent

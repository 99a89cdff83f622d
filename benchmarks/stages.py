"""Each stage alone: fed with what the stage before it made, warm, one after the other."""

from __future__ import annotations

import contextlib
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import cv2
import numpy as np

from benchmarks.delivery import time_delivery
from benchmarks.figures import summarise
from benchmarks.machine import how_measured, read_device, software
from benchmarks.report import StagesReport
from benchmarks.running import Tally, model_files, open_loop, warm_up, workload_of
from edge.clock import read_clock
from edge.errors import UnavailableError
from edge.events import Change, Source, describe_change, to_json
from edge.features.describe import describe
from edge.models.library import configured_bundle
from edge.transitions import TransitionParameters, Watch
from edge.values import Emotion, Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.report import Distribution
    from benchmarks.running import Loop
    from benchmarks.workload import Request
    from edge.config import Config
    from edge.values import Face, Features, Frame, Prediction

T = TypeVar("T")
R = TypeVar("R")

_WARM_S: Final = 1.0
_EVENTS: Final = 100
_DELIVERED: Final = 51


def measure_stages(request: Request, config: Config, *, frames: int, command: str) -> StagesReport:
    """Time every stage over the same frames.

    Ctrl-C leaves the stages out that were not reached, and marks the report incomplete.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = configured_bundle(config.models)
    found: dict[str, Distribution] = {}
    tally = Tally()
    incomplete = False
    with ExitStack() as stack:
        loop = open_loop(stack, request, config, bundle)
        tally.size_px = warm_up(loop, _WARM_S)
        workload = workload_of(request, config, bundle, loop, tally)
        try:
            pictures, found["grab"] = _each(lambda _: loop.source.next_frame(), range(frames))
            _, found["convert to RGB"] = _each(_to_rgb, pictures)
            # The tracker goes by capture times, so each picture counts as taken only now.
            found_in, found["faces"] = _each(lambda picture: _find(loop, picture), pictures)
            pictures, seen = [p for p, _ in found_in], [faces for _, faces in found_in]
            described, found["features"] = _each(
                lambda pair: describe(*pair), list(zip(pictures, seen, strict=True))
            )
            parts: dict[str, list[float]] = {}

            def classify(faces: tuple[Features, ...]) -> tuple[Prediction, ...]:
                predictions = loop.pipeline.ensemble.classify(faces)
                for member in loop.pipeline.ensemble.timings if predictions else ():
                    parts.setdefault(f"models: {member.name}", []).append(member.seconds)
                return predictions

            predicted, found["models"] = _each(classify, described)
            for name, spent in parts.items():
                found[name] = summarise(np.array(spent) * 1e3)
            watch = Watch(TransitionParameters.from_temporal(bundle.manifest.temporal))
            flat = [p for predictions in predicted for p in predictions]
            _, found["transitions, one face"] = _each(watch.watch, flat)
            changes = [sample_change(number) for number in range(_EVENTS)]
            events, found["outbox, one event to disk"] = _each(
                lambda change: loop.outbox.put([change])[0], changes
            )
            _, found["message as JSON"] = _each(to_json, events)
            with contextlib.suppress(UnavailableError):  # no broker here: the stage is left out
                found["outbox to subscriber"] = summarise(time_delivery(changes[:_DELIVERED]))
        except KeyboardInterrupt:
            incomplete = True
    return StagesReport(
        mode=how_measured(),
        incomplete=incomplete,
        started=started,
        command=command,
        device=read_device(),
        software=software(),
        workload=workload,
        models=model_files(bundle),
        stages=found,
    )


def _each(work: Callable[[T], R], inputs: Sequence[T]) -> tuple[list[R], Distribution]:
    """Do the work for each input; the results, and what each took."""
    results, spent = [], np.empty(len(inputs))
    for index, given in enumerate(inputs):
        began = time.perf_counter()
        results.append(work(given))
        spent[index] = time.perf_counter() - began
    return results, summarise(spent * 1e3)


def _find(loop: Loop, picture: Frame) -> tuple[Frame, tuple[Face, ...]]:
    picture = replace(picture, captured_s=time.monotonic())
    return picture, loop.pipeline.finder.find(picture)


def _to_rgb(frame: Frame) -> object:
    return cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)


def sample_change(number: int) -> Change:
    """Make up a change of emotion, as large as a real one."""
    facts = Source(device="bench", camera="bench", model="default-0123456789ab")
    clock = read_clock()
    transition = Transition(
        track=number,
        label=f"{number:010x}",
        before=Emotion.NEUTRAL,
        after=Emotion.HAPPY,
        confidence=0.9,
        onset_s=clock.monotonic_s - 0.5,
        decided_s=clock.monotonic_s,
        dwell_s=10.0,
    )
    return describe_change(transition, source=facts, clock=clock, latency_s=0.02)

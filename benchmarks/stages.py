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
from benchmarks.host import how_measured, read_device, software
from benchmarks.reports.schema import StagesReport
from benchmarks.reports.statistics import summarise
from benchmarks.run import FrameCounts, model_files, open_loop, warm_up, workload_of
from edge.bundle.installed import configured_bundle
from edge.features.extract import describe
from edge.outbox.event import EventSource, TransitionEvent, describe_change
from edge.transitions import TransitionDetector, TransitionParameters
from edge.values import Transition
from emoshift.clock import read_clock
from emoshift.emotions import Emotion
from emoshift.errors import UnavailableError
from emoshift.messages import Transition as Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.reports.schema import Distribution
    from benchmarks.run import Loop
    from benchmarks.workload import Request
    from edge.config import Config
    from edge.values import Face, Features, Frame, Prediction

T = TypeVar("T")
R = TypeVar("R")

_WARM_S: Final = 1.0
_SETTLE_S: Final = 15.0
"""Ends at the first face; a busy machine lets the detector's thread wait for seconds."""
_EVENTS: Final = 100
_DELIVERED: Final = 51


def measure_stages(request: Request, config: Config, *, frames: int, command: str) -> StagesReport:
    """Time every stage over the same frames.

    Ctrl-C keeps what was measured until then and marks the report incomplete.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = configured_bundle(config.models)
    table = _Table()
    tally = FrameCounts()
    incomplete = False
    with ExitStack() as stack:
        loop = open_loop(stack, request, config, bundle)
        tally.size_px = warm_up(loop, _WARM_S)
        workload = workload_of(request, config, bundle, loop, tally)
        try:
            pictures = table.each("grab", lambda _: loop.source.next_frame(), range(frames))
            table.each("convert to RGB", _to_rgb, pictures)
            _reach_steady_state(loop, pictures[0])
            # The tracker goes by capture times, so each picture counts as taken only now.
            found = table.each("faces", lambda picture: _find(loop, picture), pictures)
            described = table.each("features", lambda pair: describe(*pair), found)
            parts: dict[str, list[float]] = {}

            def classify(faces: tuple[Features, ...]) -> tuple[Prediction, ...]:
                predictions = loop.pipeline.ensemble.classify(faces)
                for member in loop.pipeline.ensemble.timings if predictions else ():
                    parts.setdefault(f"models: {member.name}", []).append(member.seconds)
                return predictions

            predicted = table.each("models", classify, described)
            for name, spent in parts.items():
                table.wall[name] = summarise(np.array(spent) * 1e3)
            detector = TransitionDetector(
                TransitionParameters.from_temporal(bundle.manifest.temporal)
            )
            flat = [p for predictions in predicted for p in predictions]
            table.each("transitions, one face", lambda p: detector.update([p]), flat)
            changes = [sample_change(number) for number in range(_EVENTS)]
            events = table.each(
                "outbox, one event to disk", lambda change: loop.outbox.append([change])[0], changes
            )
            table.each("message as JSON", Message.to_json, events)
            with contextlib.suppress(UnavailableError):  # no broker here: the stage is left out
                delivered = time_delivery(changes[:_DELIVERED])
                table.wall["outbox to subscriber"] = summarise(delivered)
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
        stages=table.wall,
        cpu=table.cpu,
    )


def _reach_steady_state(loop: Loop, picture: Frame) -> None:
    """Show one picture until its faces are followed: the detector has a thread of its own."""
    until_s = time.monotonic() + _SETTLE_S
    while not _find(loop, picture)[1] and time.monotonic() < until_s:
        time.sleep(0.02)


class _Table:
    """The stages measured so far, by the clock and in processor time of this thread."""

    def __init__(self) -> None:
        self.wall: dict[str, Distribution] = {}
        self.cpu: dict[str, Distribution] = {}

    def each(self, name: str, work: Callable[[T], R], inputs: Sequence[T]) -> list[R]:
        """Do the work for each input, return the results; an interrupted stage keeps its part."""
        results: list[R] = []
        spent, used = np.empty(len(inputs)), np.empty(len(inputs))
        done = 0
        try:
            for given in inputs:
                began, began_cpu = time.perf_counter(), time.thread_time()
                results.append(work(given))
                used[done] = time.thread_time() - began_cpu
                spent[done] = time.perf_counter() - began
                done += 1
        finally:
            self.wall[name] = summarise(spent[:done] * 1e3)
            self.cpu[name] = summarise(used[:done] * 1e3)
        return results


def _find(loop: Loop, picture: Frame) -> tuple[Frame, tuple[Face, ...]]:
    picture = replace(picture, captured_s=time.monotonic())
    return picture, loop.pipeline.finder.find(picture)


def _to_rgb(frame: Frame) -> object:
    return cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)


def sample_change(number: int) -> TransitionEvent:
    """Make up a change of emotion, as large as a real one."""
    facts = EventSource(device="bench", camera="bench", model="default-0123456789ab")
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

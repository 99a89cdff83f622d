"""The measured run: the daemon's own frame function over a workload, every stage timed."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from benchmarks.delegation import delegated_share
from benchmarks.host import (
    has_throttled,
    how_measured,
    memory_now,
    read_device,
    read_state,
    software,
)
from benchmarks.recorder import Recorder
from benchmarks.reports.schema import MemoryFigures, ModelFile, RunReport, Workload
from benchmarks.reports.statistics import slope, summarise, thin
from benchmarks.workload import SYNTHETIC, Request, open_source, outbox_folder
from edge.assets import LANDMARKER, YUNET, find_asset
from edge.bundle.installed import configured_bundle
from edge.config import Config
from edge.daemon.vision import process_frame
from edge.health.board import give_back_memory
from edge.outbox.event import EventSource
from edge.outbox.store import Outbox
from edge.pipeline import open_pipeline
from emoshift.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workload import FrameSource
    from edge.bundle.loader import Bundle
    from edge.pipeline import Pipeline, Step

LATENCY: Final = "capture to outbox"
AGE: Final = "age when taken"
CPU: Final = "processor time, all threads"
"""What a frame costs whatever else the machine does: grabbing and the detector's thread too."""
AFTER: Final = "after the landmarks, per face"
_STAGES: Final = ("faces", "features", "models", "transitions")
_POLL_EVERY_S: Final = 1.0
_TIDY_EVERY_S: Final = 30.0
"""As often as the daemon gives memory back: at each health message."""
_MOST_FPS: Final = 400
_MINUTE_S: Final = 60.0
_LONGEST_WARM_UP_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One measurement.

    Attributes:
        kind: ``soak`` also compares its first with its last minute.
        request: What is run.
        seconds, frames: How long; the first limit that is reached ends it.
        warm_up_s: How long the pipeline runs before anything counts.
        budget_ms: What capture to outbox should stay below.
        startup_tries: How often the start is measured.
        command: What the user called.
    """

    kind: Literal["run", "soak"] = "run"
    request: Request = field(default_factory=Request)
    seconds: float | None = 30.0
    frames: int | None = None
    warm_up_s: float = 2.0
    budget_ms: float = 100.0
    startup_tries: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise UsageError(f"--frames {self.frames}: expected 1 or more")
        if self.seconds is not None and self.seconds <= 0:
            raise UsageError(f"--seconds {self.seconds:g}: expected more than 0")
        if self.frames is None and self.seconds is None:
            raise UsageError("give --seconds or --frames")

    @property
    def rows(self) -> int:
        """Frames to make room for."""
        live = self.request.settled_pace == "live"
        return self.frames or int((self.seconds or 0) * (self.request.fps if live else _MOST_FPS))

    def is_over(self, frames: int, elapsed_s: float) -> bool:
        """Whether enough has been measured."""
        return (self.frames is not None and frames >= self.frames) or (
            self.seconds is not None and elapsed_s >= self.seconds
        )


@dataclass(slots=True, eq=False)
class FrameCounts:
    """What is counted beside the durations."""

    events: int = 0
    faces: int = 0
    measured: int = 0
    classified: int = 0
    spent_s: float = 0.0  # on measuring
    looked_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    size_px: tuple[int, int] = (0, 0)


def bench_config(
    *,
    backend: str = "auto",
    bundle: str = "default",
    threads: int | Literal["auto"] = 1,
    camera: str = "0",
) -> Config:
    """Make the configuration the pipeline is measured with: everything else as it comes."""
    return Config.model_validate(
        {
            "device": {"name": "bench"},
            "camera": {"source": camera},
            "faces": {"backend": backend},
            "models": {"bundle": bundle, "threads": threads, "allow_unsigned": True},
        }
    )


def measure(
    plan: Plan,
    config: Config,
    *,
    progress: Callable[[str], None] = lambda _: None,
    startup_ms: tuple[float, ...] = (),
) -> RunReport:
    """Run the pipeline and report every stage.

    Ctrl-C ends it early; the report is then marked incomplete.

    Raises:
        InputError, CameraError, UsageError: The source.
        BundleError, UnavailableError, OutputError: As `edge.daemon.vision.run_vision`.
    """
    bundle = configured_bundle(config.models)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    recorder, tally = Recorder(plan.rows), FrameCounts()
    before = read_state()
    with ExitStack() as stack:
        loop = open_loop(stack, plan.request, config, bundle)
        began_s = time.perf_counter()
        dropped = 0
        try:
            tally.size_px = warm_up(loop, plan.warm_up_s)
            dropped = loop.source.dropped
            began_s = time.perf_counter()
            _measure(plan, loop, recorder, tally, progress)
            incomplete = False
        except KeyboardInterrupt:
            incomplete = True
        elapsed_s = time.perf_counter() - began_s
        dropped = loop.source.dropped - dropped
        workload = workload_of(plan.request, config, bundle, loop, tally)
        rss_mb, pss_mb = memory_now()
    return _report(
        plan,
        recorder,
        RunReport(
            kind=plan.kind,
            mode=how_measured(),
            incomplete=incomplete,
            started=started,
            command=plan.command,
            device=read_device(),
            software=software(),
            workload=workload,
            models=model_files(bundle),
            budget_ms=plan.budget_ms,
            seconds=round(elapsed_s, 3),
            frames=len(recorder),
            faces=tally.faces,
            fresh=round(tally.measured / max(tally.faces, 1), 4),
            looks=round(
                tally.classified / max(tally.faces, 1) * len(recorder) / max(elapsed_s, 1e-9), 2
            ),
            events=tally.events,
            fps=round(len(recorder) / max(elapsed_s, 1e-9), 2),
            dropped=dropped,
            latency=summarise(recorder.values(LATENCY), plan.budget_ms),
            by_faces={},
            age=summarise(recorder.values(AGE)),
            stages={},
            memory=_memory(tally, rss_mb, pss_mb),
            before=before,
            after=(after := read_state()),
            throttled=has_throttled(before, after),
            overhead=round(tally.spent_s / max(elapsed_s, 1e-9), 5),
            startup_ms=startup_ms,
            samples_ms={},
        ),
    )


def model_files(bundle: Bundle) -> tuple[ModelFile, ...]:
    """Every model that takes part, with its hash."""
    found = [
        ModelFile(
            name=member.name,
            sha256=member.sha256,
            size_bytes=member.size_bytes,
            delegated=delegated_share(bundle.contents[member.name]),
        )
        for member in bundle.manifest.members
    ]
    for asset in (LANDMARKER, YUNET):
        if (path := find_asset(asset)) is not None:
            content = path.read_bytes()
            found.append(
                ModelFile(
                    name=asset.name,
                    sha256=hashlib.sha256(content).hexdigest(),
                    size_bytes=len(content),
                )
            )
    return tuple(found)


def open_loop(stack: ExitStack, request: Request, config: Config, bundle: Bundle) -> Loop:
    """Open source, outbox and pipeline; the stack closes them."""
    source = open_source(request, config)
    stack.callback(source.close)
    folder = Path(stack.enter_context(outbox_folder()))
    outbox = stack.enter_context(Outbox.open(folder / "outbox.db", writer=True))
    pipeline = stack.enter_context(
        open_pipeline(config, bundle, live=request.settled_pace == "live")
    )
    if request.settled_landmarks == "every":
        pipeline.measure_everything()
    return Loop(source, pipeline, outbox, bundle)


def workload_of(
    request: Request, config: Config, bundle: Bundle, loop: Loop, tally: FrameCounts
) -> Workload:
    """Say what was run, once it has run."""
    return Workload(
        source=request.source.rsplit("/", 1)[-1],
        pace=request.settled_pace,
        landmarks=request.settled_landmarks,
        width_px=tally.size_px[0],
        height_px=tally.size_px[1],
        faces=request.faces if request.source == SYNTHETIC else None,
        backend=loop.pipeline.finder.name,
        threads=config.models.thread_count(),
        bundle=bundle.manifest.bundle_id,
    )


class Loop:
    """The daemon's turn: a frame from the source, through the pipeline, into the outbox."""

    def __init__(
        self, source: FrameSource, pipeline: Pipeline, outbox: Outbox, bundle: Bundle
    ) -> None:
        self.pipeline = pipeline
        self.grab_s = self.cpu_s = 0.0
        self.source = source
        self.outbox = outbox
        self._facts = EventSource(device="bench", camera="bench", model=bundle.manifest.bundle_id)

    def step(self) -> Step:
        """Take one turn."""
        began, began_cpu = time.perf_counter(), time.process_time()
        frame = self.source.next_frame()
        self.grab_s = time.perf_counter() - began
        step = process_frame(frame, self.pipeline, self.outbox, self._facts)
        self.cpu_s = time.process_time() - began_cpu
        return step


def warm_up(loop: Loop, seconds: float) -> tuple[int, int]:
    """Run unmeasured for some seconds, and until a face was found (or `_LONGEST_WARM_UP_S`).

    Returns:
        Size of the picture, pixels.
    """
    began_s = time.perf_counter()
    found = False
    while True:
        step = loop.step()
        found = found or bool(step.predictions)
        elapsed_s = time.perf_counter() - began_s
        if elapsed_s >= max(seconds, 0.0 if found else _LONGEST_WARM_UP_S):
            return step.frame.width_px, step.frame.height_px


def _measure(
    plan: Plan,
    loop: Loop,
    recorder: Recorder,
    tally: FrameCounts,
    progress: Callable[[str], None],
) -> None:
    began_s = looked_s = tidied_s = time.perf_counter()
    flat_out = plan.request.settled_pace == "flat-out"
    while not plan.is_over(len(recorder), time.perf_counter() - began_s):
        step = loop.step()
        done_s = time.perf_counter()
        if flat_out:
            recorder.put("grab", loop.grab_s * 1e3)
        recorder.put(CPU, loop.cpu_s * 1e3)
        record(recorder, tally, loop.pipeline, step)
        del step  # the daemon does not keep one frame while it takes the next either
        if done_s - tidied_s >= _TIDY_EVERY_S:
            tidied_s = done_s
            give_back_memory()
        if done_s - looked_s >= _POLL_EVERY_S:
            looked_s = done_s
            tally.looked_s.append(done_s - began_s)
            tally.rss_mb.append(memory_now()[0])
            recent = recorder.column(LATENCY)[-100:]
            progress(
                f"{done_s - began_s:6.0f} s  {len(recorder):7d} frames"
                f"  p50 {np.nanmedian(recent):6.2f} ms  {tally.rss_mb[-1]:5.0f} MB"
            )
        tally.spent_s += time.perf_counter() - done_s


def record(recorder: Recorder, tally: FrameCounts, pipeline: Pipeline, step: Step) -> None:
    """Write down what the last frame cost, and finish its row."""
    times = pipeline.times
    newest = {stage: times.newest(stage) for stage in _STAGES}
    for stage, seconds in newest.items():
        recorder.put(stage, seconds * 1e3)
    for part, seconds in pipeline.finder.report.stages_s.items():
        recorder.put(f"faces: {part}", seconds * 1e3)
    faces = len(step.faces)
    after_s = newest["features"] + newest["models"] + newest["transitions"]
    if faces:
        members_s = 0.0
        for member in pipeline.ensemble.timings:
            recorder.put(f"models: {member.name}", member.seconds * 1e3)
            members_s += member.seconds
        recorder.put("models: fusion", (newest["models"] - members_s) * 1e3)
    if step.transitions:
        outbox_s = times.newest("outbox")
        recorder.put("outbox", outbox_s * 1e3)
        after_s += outbox_s
    if faces:
        recorder.put(AFTER, after_s * 1e3 / faces)
    recorder.put(AGE, times.newest("wait") * 1e3)
    recorder.put(LATENCY, times.newest("total") * 1e3)
    recorder.put("number of faces", faces)
    recorder.finish_row()
    tally.events += len(step.transitions)
    tally.faces += faces
    tally.measured += pipeline.finder.report.measured
    tally.classified += len(step.predictions)


def _report(plan: Plan, recorder: Recorder, report: RunReport) -> RunReport:
    """Fill in what comes out of the columns."""
    latency = recorder.column(LATENCY)
    count = recorder.column("number of faces")
    hidden = {LATENCY, AGE, "number of faces"}
    stages = recorder.every(name for name in _ordered(recorder.names) if name not in hidden)
    changes: dict[str, object] = {
        "by_faces": {
            str(int(n)): summarise(latency[count == n], plan.budget_ms) for n in np.unique(count)
        },
        "stages": {name: summarise(values) for name, values in stages.items()},
        "samples_ms": {
            name: thin(values) for name, values in ({LATENCY: latency} | stages).items()
        },
    }
    if plan.kind == "soak" and len(recorder):
        per_frame_s = report.seconds / len(recorder)
        minute = max(1, min(len(recorder) // 2, round(_MINUTE_S / per_frame_s)))
        changes["first"] = summarise(latency[:minute], plan.budget_ms)
        changes["last"] = summarise(latency[-minute:], plan.budget_ms)
    return report.model_copy(update=changes)


def _ordered(names: tuple[str, ...]) -> list[str]:
    """Stages in the order of the frame path, parts after their whole."""
    order = ("grab", *_STAGES, "outbox", AFTER)

    def place(name: str) -> tuple[int, bool]:
        whole = name.partition(": ")[0]
        return (order.index(whole) if whole in order else len(order), whole != name)

    return sorted(names, key=place)


def _memory(tally: FrameCounts, rss_mb: float, pss_mb: float | None) -> MemoryFigures:
    settled = len(tally.rss_mb) // 5
    times, sizes = np.array(tally.looked_s[settled:]), np.array(tally.rss_mb[settled:])
    per_s = slope(times, sizes)
    return MemoryFigures(
        pss_mb=None if pss_mb is None else round(pss_mb, 1),
        rss_mb=round(rss_mb, 1),
        peak_mb=round(max([rss_mb, *tally.rss_mb]), 1),
        slope_mb_per_min=None if per_s is None else round(per_s * 60, 4),
        over_s=round(float(np.ptp(times)), 1) if len(times) else 0.0,
    )

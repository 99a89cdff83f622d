"""What a measurement leaves behind: one JSON file that says what was measured, where, and how."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from emoshift.errors import InputError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Final = "emoshift.bench/1"

Mode = Literal["measured", "projected", "emulated"]
"""How the figures came about: on the device itself, computed from another one's, or under an
emulator (whose times mean nothing)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


class Distribution(_Frozen):
    """Durations of one thing, in milliseconds.

    Attributes:
        n: How many.
        over_budget: Share of them above the budget, 0 to 1; ``None`` where none applies.
    """

    n: int
    min: float
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    over_budget: float | None = None


class Interval(_Frozen):
    """An estimate with the ends of its interval; ``level`` is the share of its confidence."""

    estimate: float
    low: float
    high: float
    level: float = 0.95


class MachineInfo(_Frozen):
    """What was measured on.

    Attributes:
        name: Board or processor.
        key: The same as a folder name.
        cores: Processors this process may use.
        frequency_mhz: Highest processor frequency that could be read, ``None`` where none can.
    """

    name: str
    key: str
    machine: str
    system: str
    cores: int
    memory_mb: int
    frequency_mhz: float | None


class MachineCondition(_Frozen):
    """How the device was doing at one instant; ``None`` where it does not say.

    Attributes:
        frequency_mhz: Mean of the processors' present frequencies.
        throttled: The firmware's throttling word on a Raspberry Pi.
        throttle_events: How often the processor has slowed itself down since it was started.
        load: Processes that wanted to run, mean of the last minute.
    """

    frequency_mhz: float | None
    temperature_c: float | None
    throttled: int | None
    throttle_events: int | None
    load: float


class ModelFile(_Frozen):
    """A model that took part."""

    name: str
    sha256: str
    size_bytes: int
    delegated: float | None = None


class MemoryFigures(_Frozen):
    """What the measuring process weighs, megabytes (10^6 bytes).

    Attributes:
        pss_mb, rss_mb: At the end: shared pages counted in part, and in full.
        peak_mb: Largest resident size.
        slope_mb_per_min: Growth of the resident size after the first fifth of the run.
        over_s: What the slope was taken over.
    """

    pss_mb: float | None
    rss_mb: float
    peak_mb: float
    slope_mb_per_min: float | None
    over_s: float


class Workload(_Frozen):
    """What was run.

    Attributes:
        source: Kind of source: ``synthetic``, ``camera`` or the clip's file name.
        pace: ``flat-out`` takes the next picture when the last one is done; ``live`` takes the
            newest there is.
        landmarks: ``every`` face's landmarks are measured in every frame, or when they are ``due``.
        faces: Faces asked for in a synthetic picture; ``None`` for other sources.
        backend: The face back end with its version.
        threads: Threads each network may use.
    """

    source: str
    pace: Literal["flat-out", "live"]
    landmarks: Literal["every", "due"]
    width_px: int
    height_px: int
    faces: int | None
    backend: str
    threads: int
    bundle: str


class Report(_Frozen):
    """What all kinds of reports have in common.

    Attributes:
        incomplete: Whether the run was interrupted: it holds what was measured until then.
        started: RFC 3339.
        command: What makes it again.
        software: Versions by name.
    """

    schema_: Literal["emoshift.bench/1"] = Field(alias="schema", default=SCHEMA)
    mode: Mode
    incomplete: bool = False
    started: str
    command: str
    device: MachineInfo
    software: dict[str, str]


class RunReport(Report):
    """The whole pipeline over some time; `soak` is a longer one.

    Attributes:
        latency: From the capture of a frame until its decisions are in the outbox.
        by_faces: The same, by the number of faces found.
        age: How old a frame was when the pipeline took it.
        stages: Each stage; parts of a stage are named after it (``faces: landmarks``).
        fresh: Share of the faces whose landmarks were measured on their own frame.
        looks: Classifications of each face a second; ``None`` in older reports.
        fps: Frames a second, from the first measured one to the last.
        dropped: Frames nobody was ready for.
        overhead: Share of the time that went into measuring.
        startup_ms: From the start of a process to its first frame with a prediction, each try.
        first, last: Latency of a soak's first and last minute.
        samples_ms: Up to `SAMPLES` of each distribution, in order, evenly spread over the run.
    """

    kind: Literal["run", "soak"]
    workload: Workload
    models: tuple[ModelFile, ...]
    budget_ms: float
    seconds: float
    frames: int
    faces: int
    fresh: float
    looks: float | None = None
    events: int
    fps: float
    dropped: int
    latency: Distribution
    by_faces: dict[str, Distribution]
    age: Distribution
    stages: dict[str, Distribution]
    memory: MemoryFigures
    before: MachineCondition
    after: MachineCondition
    throttled: bool
    overhead: float
    startup_ms: tuple[float, ...] = ()
    first: Distribution | None = None
    last: Distribution | None = None
    samples_ms: dict[str, tuple[float, ...]]


class StagesReport(Report):
    """Each stage alone, warm, one after the other.

    Attributes:
        stages: By the clock.
        cpu: Processor time of the same calls, calling thread only.
    """

    kind: Literal["stages"] = "stages"
    workload: Workload
    models: tuple[ModelFile, ...]
    stages: dict[str, Distribution]
    cpu: dict[str, Distribution] = Field(default_factory=dict)


class Reference(_Frozen):
    """A published network, timed here with one thread."""

    network: str
    network_kind: Literal["float32", "int8", "opencv"]
    measured: Distribution


class PartProjection(_Frozen):
    """One network, or the Python around them all.

    Attributes:
        threads: Threads it is projected with: one where no published network is as small.
        here_ms: Median here, of the frames in which it ran.
        share: Share of the frames in which it ran, at 30 frames a second.
        factor: How many times slower the board is.
        ms: Median there, of the frames in which it runs.
    """

    name: str
    part_kind: Literal["float32", "int8", "python"]
    threads: int
    here_ms: float
    share: float
    factor: Interval
    ms: Interval


class FrameProjection(_Frozen):
    """A whole frame, the detector left out.

    Attributes:
        p50, p95: Milliseconds from capture, of every frame projected by itself.
        fps: Frames a second that it keeps up with, 30 at most.
        looks: Classifications of each face a second.
    """

    p50: Interval
    p95: Interval
    fps: Interval
    looks: Interval


class DetectorProjection(_Frozen):
    """The face detector on its thread.

    Attributes:
        round_ms: Median of a round.
        core: Share of one core at 30 frames a second.
    """

    round_ms: Interval
    core: Interval


class SettingProjection(_Frozen):
    """A board with so many threads for each network.

    Attributes:
        due: Frames as the daemon runs, each cut to its budget.
        every: Frames in which every face is measured and classified.
    """

    threads: int
    parts: tuple[PartProjection, ...]
    detector: DetectorProjection
    due: FrameProjection
    every: FrameProjection


class LeftOutCheck(_Frozen):
    """How many figures published of the board lie where other families of networks put them."""

    network_kind: str
    hits: int
    figures: int


class BoardProjection(_Frozen):
    """What one board would need.

    Attributes:
        key: Name of its file in ``benchmarks/published/boards``.
        steps: How each kind's factor was reached.
        checks: Each published figure predicted from this machine without its family.
        settings: With as many threads as the daemon takes there, and with one.
        sources: Where the published figures stand.
    """

    key: str
    name: str
    steps: dict[str, str]
    checks: tuple[LeftOutCheck, ...]
    settings: tuple[SettingProjection, ...]
    sources: tuple[str, ...]


class ProjectReport(Report):
    """What boards not at hand would need, computed from this machine's figures.

    Attributes:
        before: This machine before it began.
        assumptions: What the figures rest on, one sentence each.
    """

    kind: Literal["project"] = "project"
    before: MachineCondition
    workload: Workload
    references: tuple[Reference, ...]
    boards: tuple[BoardProjection, ...]
    assumptions: tuple[str, ...]


class SubmissionReport(Report):
    """The standard runs on one board, to be sent in by its owner.

    Attributes:
        system_name: The operating system as it calls itself.
        runs: By name.
    """

    kind: Literal["submission"] = "submission"
    system_name: str
    runs: dict[str, RunReport]


class Accuracy(_Frozen):
    """How many of the same pictures a classifier gets right."""

    data: str
    protocol: str
    n: int
    right: int
    share: Interval


class Peer(_Frozen):
    """One contestant.

    Attributes:
        latency: Time a frame by the clock.
        cpu: Processor time a frame, all threads; the same on a quiet machine.
        ratio: Its median time a frame over ours (the first peer's), by the clock.
        cpu_ratio: The same of processor time.
        absent: Why it did not run; empty where it did.
        found: Share of the frames in which it found a face.
    """

    name: str
    what: str
    version: str = ""
    latency: Distribution | None = None
    cpu: Distribution | None = None
    ratio: Interval | None = None
    cpu_ratio: Interval | None = None
    found: float | None = None
    accuracy: Accuracy | None = None
    absent: str = ""
    samples_ms: tuple[float, ...] = ()


class PeersReport(Report):
    """Everyone on the same pictures in turns, each on one processor."""

    kind: Literal["peers"] = "peers"
    pictures: str
    rounds: int
    frames_per_round: int
    peers: tuple[Peer, ...]


AnyReport = Annotated[
    RunReport | StagesReport | ProjectReport | SubmissionReport | PeersReport,
    Field(discriminator="kind"),
]
_ANY: Final[TypeAdapter[Any]] = TypeAdapter(AnyReport)


def write_report(path: Path, report: Report) -> None:
    """Write a report, or raise `OutputError`."""
    text = json.dumps(report.model_dump(mode="json", by_alias=True), indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why.strerror or why}") from why


def read_report(path: Path) -> AnyReport:
    """Read any kind of report.

    Raises:
        InputError: It is missing, no report, or one of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make one with: edge-bench run -o FILE") from None
    except (OSError, ValueError) as why:
        raise InputError(f"{path}: not a report ({why})") from why
    found = data.get("schema") if isinstance(data, dict) else None
    if found != SCHEMA:
        raise InputError(
            f"{path}: schema is {found!r}, expected {SCHEMA}; measure again with this version"
        )
    try:
        report: AnyReport = _ANY.validate_python(data)
    except ValidationError as why:
        first = why.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}; measure again") from None
    return report


def json_schema() -> dict[str, Any]:
    """JSON Schema of every report."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        **_ANY.json_schema(),
    }

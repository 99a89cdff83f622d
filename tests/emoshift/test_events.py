"""The event message: golden text, schema, clock mapping, and reading what others wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.values import Emotion, Transition
from emoshift.clock import ClockReading, date_of, read_clock
from emoshift.events import Change, Event, Source, describe_change, from_json, to_json
from emoshift.messages import (
    SCHEMAS,
    Health,
    Info,
    Percentiles,
    Presence,
    Status,
    read_schema,
    summarise_class,
)

SOURCE = Source(device="room-12", camera="front", model="default-1")
CLOCK = ClockReading(monotonic_s=100.0, utc_s=1_800_000_000.0, synced=True)
SMILE = Transition(
    track=3,
    label="kx3q",
    before=Emotion.NEUTRAL,
    after=Emotion.HAPPY,
    confidence=0.91234,
    onset_s=99.5,
    decided_s=99.98,
    dwell_s=12.404,
)
CHANGE = describe_change(SMILE, source=SOURCE, clock=CLOCK, latency_s=0.0414)
BOOT = "0123456789abcdef0123456789abcdef"
EVENT = Event(boot_id=BOOT, seq=17, change=CHANGE)
GOLDEN = (
    '{"schema":"emoshift.transition/1","event_id":"0123456789abcdef0123456789abcdef:17",'
    '"boot_id":"0123456789abcdef0123456789abcdef","seq":17,"device":"room-12","camera":"front",'
    '"track":"kx3q","from":"neutral","to":"happy","confidence":0.912,'
    '"onset":"2027-01-15T07:59:59.500Z","decided":"2027-01-15T07:59:59.980Z","dwell_s":12.4,'
    '"latency_ms":41,"clock_synced":true,"historical":false,"degraded":false,"model":"default-1"}'
)
EVENT_SCHEMA = jsonschema.Draft202012Validator(read_schema("transition"))
AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def test_golden_event() -> None:
    """An event is written exactly as the contract says, keys in its order."""
    assert to_json(EVENT) == GOLDEN


def test_first_emotion_comes_from_unknown() -> None:
    """A face's first settled emotion comes from `unknown`."""
    first = describe_change(replace(SMILE, before=None), source=SOURCE, clock=CLOCK, latency_s=0.0)
    text = to_json(Event(boot_id=BOOT, seq=1, change=first))
    assert json.loads(text)["from"] == "unknown"
    assert from_json(text).change.before is None


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
dates = st.integers(0, 4_000_000_000_000).map(lambda ms: date_of(ms / 1000))
changes = st.builds(
    Change,
    device=names,
    camera=names,
    model=names,
    track=names,
    before=st.none() | st.sampled_from(Emotion),
    after=st.sampled_from(Emotion),
    confidence=st.floats(0, 1).map(lambda x: round(x, 3)),
    onset=dates,
    decided=dates,
    dwell_s=st.floats(0, 1e6).map(lambda x: round(x, 2)),
    latency_ms=st.integers(0, 100_000),
    clock_synced=st.booleans(),
    degraded=st.booleans(),
)
events = st.builds(
    Event,
    boot_id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    seq=st.integers(1, 2**53 - 1),
    change=changes,
    historical=st.booleans(),
)


@settings(deadline=None)
@given(events)
def test_round_trip_and_schema(event: Event) -> None:
    """Every event survives writing and reading, and fits the schema."""
    text = to_json(event)
    assert from_json(text) == event
    EVENT_SCHEMA.validate(json.loads(text))


@settings(deadline=None)
@given(
    onset=st.floats(0, 1e6),
    late=st.floats(0, 100),
    utc=st.floats(0, 4e9),
    jump=st.floats(-4e9, 4e9),
)
def test_a_clock_step_keeps_order_and_durations(
    onset: float, late: float, utc: float, jump: float
) -> None:
    """Whatever the wall clock does, onset is not after decided and their distance holds."""
    moved = replace(SMILE, onset_s=onset, decided_s=onset + late)
    clock = ClockReading(monotonic_s=onset + late, utc_s=max(0.0, utc + jump), synced=False)
    change = describe_change(moved, source=SOURCE, clock=clock, latency_s=0.0)
    assert change.onset <= change.decided
    if change.onset.timestamp() > 0:
        assert (change.decided - change.onset).total_seconds() == pytest.approx(late, abs=0.0021)


def test_late_clock_moves_the_dates() -> None:
    """A clock that is set after the event moves both dates, and the event says so."""
    early = replace(CHANGE, clock_synced=False)
    moved = early.moved(3600.5)
    assert moved.clock_synced
    assert (moved.onset - early.onset).total_seconds() == 3600.5
    assert moved.decided - moved.onset == early.decided - early.onset


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        pytest.param("7", "expected an object", id="number"),
        pytest.param("{}", "schema: missing", id="nothing in it"),
        pytest.param(GOLDEN.replace("transition/1", "transition/9"), "schema: found", id="schema"),
        pytest.param(GOLDEN.replace('"seq":17', '"seq":18'), "event_id", id="another event's id"),
        pytest.param(GOLDEN.replace('"seq":17', '"seq":0'), "seq: found 0", id="seq zero"),
        pytest.param(GOLDEN.replace('"seq":17', '"seq":true'), "seq: expected", id="seq no number"),
        pytest.param(GOLDEN.replace("0.912", "NaN"), "confidence: found nan", id="NaN"),
        pytest.param(GOLDEN.replace('"happy"', '"glad"'), "unknown emotion", id="emotion"),
        pytest.param(GOLDEN.replace("07:59:59.980Z", "nine"), "decided: found", id="date"),
        pytest.param(GOLDEN.replace("59.980Z", "59.980"), "decided: found", id="no zone"),
        pytest.param(GOLDEN.replace('"kx3q"', f'"{"x" * 300}"'), "track: expected", id="long text"),
    ],
)
def test_unreadable(text: str, complaint: str) -> None:
    """A message that is none is refused with the key that is wrong."""
    with pytest.raises(ValueError, match=complaint):
        from_json(text)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    """Noise raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"\w"):
        from_json(data)


def test_unknown_keys_are_ignored() -> None:
    """A later minor version may say more without breaking readers."""
    assert from_json(GOLDEN[:-1] + ',"mood":"new"}') == EVENT


class Told(Protocol):
    """Any message besides events."""

    def to_json(self) -> str:
        """Write it."""
        ...


OTHERS = [
    pytest.param(
        "status",
        Status(
            device="room-12",
            state=Presence.ONLINE,
            session=1_800_000_000,
            instance="0123456789ab",
            run="ba9876543210",
            protocol="5",
        ),
        '{"schema":"emoshift.status/1","device":"room-12","state":"online","session":1800000000,'
        '"instance":"0123456789ab","run":"ba9876543210","protocol":"5"}',
        id="status",
    ),
    pytest.param(
        "info",
        Info(
            device="room-12",
            camera="front",
            software="0.1.0",
            model="default-1",
            isolation="namespace",
            min_faces=5,
            face_finder="direct (yunet)",
            face_finder_reason="runs on every board",
        ),
        '{"schema":"emoshift.info/1","device":"room-12","camera":"front","software":"0.1.0",'
        '"model":"default-1","isolation":"namespace","min_faces":5,'
        '"face_finder":"direct (yunet)","face_finder_reason":"runs on every board"}',
        id="info",
    ),
    pytest.param(
        "class",
        summarise_class(
            {Emotion.HAPPY: 3, Emotion.NEUTRAL: 2, None: 1},
            device="room-12",
            camera="front",
            at=AT,
            min_faces=5,
        ),
        '{"schema":"emoshift.class/1","device":"room-12","camera":"front",'
        '"at":"2026-11-21T09:30:00.000Z","suppressed":false,"faces":6,"states":{"angry":0,'
        '"disgust":0,"fear":0,"happy":3,"sad":0,"surprise":0,"neutral":2,"unknown":1}}',
        id="class",
    ),
    pytest.param(
        "class",
        summarise_class({Emotion.HAPPY: 3}, device="room-12", camera="front", at=AT, min_faces=5),
        '{"schema":"emoshift.class/1","device":"room-12","camera":"front",'
        '"at":"2026-11-21T09:30:00.000Z","suppressed":true,"faces":null,"states":null}',
        id="class too small",
    ),
    pytest.param(
        "health",
        Health(
            device="room-12",
            camera="front",
            at=AT,
            camera_state="streaming",
            fps=29.97,
            frames=900,
            dropped_frames=3,
            faces=2,
            outbox_depth=0,
            outbox_dropped=0,
            outbox_state="ready",
            stages={"total": Percentiles(p50_ms=20.0, p95_ms=31.0, p99_ms=40.123)},
            temperature_c=61.24,
            drift=0.0812,
            drift_blendshapes=0.0812,
            brightness=0.4118,
            sharpness=218.44,
        ),
        '{"schema":"emoshift.health/1","device":"room-12","camera":"front",'
        '"at":"2026-11-21T09:30:00.000Z","camera_state":"streaming","fps":29.97,"frames":900,'
        '"dropped_frames":3,"faces":2,"stages":{"total":{"p50_ms":20.0,"p95_ms":31.0,'
        '"p99_ms":40.12}},"outbox_depth":0,"outbox_dropped":0,"outbox_state":"ready","level":0,'
        '"temperature_c":61.2,"throttled":null,"drift":0.081,"abstained":null,'
        '"faces_too_small":0,"landmarks_age_s":null,"drift_blendshapes":0.081,'
        '"drift_confidence":null,"brightness":0.412,"sharpness":218.4}',
        id="health",
    ),
]


@pytest.mark.parametrize(("kind", "message", "golden"), OTHERS)
def test_other_messages(kind: str, message: Told, golden: str) -> None:
    """Every other message is written exactly so, and fits its schema."""
    assert message.to_json() == golden
    jsonschema.validate(json.loads(golden), read_schema(kind))


# Keys that came after the first devices, whose messages must stay readable without them.
LATER = {"health": {"drift_blendshapes", "drift_confidence", "brightness", "sharpness"}}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schemas_are_schemas_and_closed(kind: str) -> None:
    """Each schema is valid and allows no key besides those it lists: nothing else is ever told."""
    schema = read_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    later = set(schema["properties"]) - set(schema["required"])
    assert later == LATER.get(kind, set())
    assert set(schema["required"]) <= set(schema["properties"])


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.none() | st.sampled_from(Emotion), st.integers(0, 40)),
    least=st.integers(1, 30),
)
def test_small_classes_are_never_described(counts: dict[Emotion | None, int], least: int) -> None:
    """Below the smallest group no count leaves, above it the states add up to the faces."""
    told = summarise_class(counts, device="d", camera="c", at=AT, min_faces=least)
    body = json.loads(told.to_json())
    if sum(counts.values()) < least:
        assert (body["suppressed"], body["faces"], body["states"]) == (True, None, None)
    else:
        assert sum(body["states"].values()) == body["faces"] == sum(counts.values())


def test_real_clock() -> None:
    """The device's own clocks can be read, and date the present."""
    now = read_clock()
    assert now.date(now.monotonic_s).year >= 2024
    assert now.date(now.monotonic_s - 60) < now.date(now.monotonic_s)

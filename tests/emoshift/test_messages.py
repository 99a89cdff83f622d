"""The contract: golden texts, and good and bad messages as model and schema judge them alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoshift.emotions import EMOTIONS, STATES, Emotion
from emoshift.messages import (
    MAX_PAYLOAD_BYTES,
    MODELS,
    BootNumbers,
    Health,
    Info,
    Ledger,
    LostNumbers,
    MessageError,
    Percentiles,
    Presence,
    Problem,
    Replay,
    Status,
    Transition,
    read_message,
    read_schema,
    summarise_class,
)
from emoshift.topics import Address, Kind, read_topic

BOOT = "0123456789abcdef0123456789abcdef"
AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
TOPIC = "emoshift/v1/school/room-12"
NOW_MS = 1_800_000_000_000
SCHEMAS = {kind: jsonschema.Draft202012Validator(read_schema(kind)) for kind in Kind}

GOLDEN = {
    Kind.TRANSITION: (
        '{"schema":"emoshift.transition/1","event_id":"0123456789abcdef0123456789abcdef:17",'
        '"boot_id":"0123456789abcdef0123456789abcdef","seq":17,"device":"room-12",'
        '"camera":"front","track":"kx3q","from":"neutral","to":"happy","confidence":0.912,'
        '"onset":"2027-01-15T07:59:59.500Z","decided":"2027-01-15T07:59:59.980Z",'
        '"dwell_s":12.4,"latency_ms":41,"clock_synced":true,"historical":false,'
        '"degraded":false,"model":"default-1"}'
    ),
    Kind.STATUS: (
        '{"schema":"emoshift.status/1","device":"room-12","state":"online","session":1800000000,'
        '"instance":"0123456789ab","run":"ba9876543210","protocol":"5"}'
    ),
    Kind.INFO: (
        '{"schema":"emoshift.info/1","device":"room-12","camera":"front","software":"0.1.0",'
        '"model":"default-1","isolation":"namespace","min_faces":5,"publish":"transitions",'
        '"face_finder":"direct (yunet)","face_finder_reason":"runs on every board",'
        '"capture":"1280x720 MJPG, 30 frames a second","false_changes_per_min":0.5,'
        '"site_layer":"","card":null,"history":[]}'
    ),
    Kind.CLASS: (
        '{"schema":"emoshift.class/1","device":"room-12","camera":"front",'
        '"at":"2026-11-21T09:30:00.000Z","suppressed":false,"faces":6,"states":{"angry":0,'
        '"disgust":0,"fear":0,"happy":3,"sad":0,"surprise":0,"neutral":2,"unknown":1},"window_s":null,"changes":null}'
    ),
    Kind.HEALTH: (
        '{"schema":"emoshift.health/1","device":"room-12","camera":"front",'
        '"at":"2026-11-21T09:30:00.000Z","camera_state":"streaming","fps":29.97,"frames":900,'
        '"dropped_frames":3,"faces":2,"stages":{"total":{"p50_ms":20.0,"p95_ms":31.0,'
        '"p99_ms":40.12,"count":900,"sum_ms":18000.0}},"outbox_depth":0,"outbox_dropped":0,'
        '"outbox_state":"ready",'
        '"outbox_damaged":0,"outbox_set_aside":0,"level":0,'
        '"temperature_c":61.2,"throttled":null,"drift":0.081,"abstained":null,'
        '"faces_too_small":0,"landmarks_age_s":null,"drift_blendshapes":0.081,'
        '"drift_confidence":null,"brightness":0.412,"sharpness":218.4,"interval_s":30.0,'
        '"advice":null}'
    ),
    Kind.LEDGER: (
        '{"schema":"emoshift.ledger/1","device":"room-12","boots":[{"boot_id":'
        '"0123456789abcdef0123456789abcdef","kept_from":3,"settled":17}],"lost":[{"boot_id":'
        '"0123456789abcdef0123456789abcdef","first":5,"last":6,"reason":"damaged"}]}'
    ),
    Kind.REPLAY: (
        '{"schema":"emoshift.replay/1","device":"room-12","boot_id":'
        '"0123456789abcdef0123456789abcdef","first":3,"last":17}'
    ),
}
"""Exactly what devices in the field send."""

WRITTEN = {
    Kind.TRANSITION: Transition(
        event_id=f"{BOOT}:17",
        boot_id=BOOT,
        seq=17,
        device="room-12",
        camera="front",
        track="kx3q",
        before="neutral",
        after="happy",
        confidence=0.912,
        onset=datetime(2027, 1, 15, 7, 59, 59, 500_000, tzinfo=UTC),
        decided=datetime(2027, 1, 15, 7, 59, 59, 980_000, tzinfo=UTC),
        dwell_s=12.4,
        latency_ms=41,
        clock_synced=True,
        historical=False,
        degraded=False,
        model="default-1",
    ),
    Kind.STATUS: Status(
        device="room-12",
        state=Presence.ONLINE,
        session=1_800_000_000,
        instance="0123456789ab",
        run="ba9876543210",
        protocol="5",
    ),
    Kind.INFO: Info(
        device="room-12",
        camera="front",
        software="0.1.0",
        model="default-1",
        isolation="namespace",
        min_faces=5,
        face_finder="direct (yunet)",
        face_finder_reason="runs on every board",
        capture="1280x720 MJPG, 30 frames a second",
        false_changes_per_min=0.5,
    ),
    Kind.CLASS: summarise_class(
        {Emotion.HAPPY: 3, Emotion.NEUTRAL: 2, None: 1},
        device="room-12",
        camera="front",
        at=AT,
        min_faces=5,
    ),
    Kind.HEALTH: Health(
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
        stages={
            "total": Percentiles(p50_ms=20.0, p95_ms=31.0, p99_ms=40.123, count=900, sum_ms=18000.0)
        },
        temperature_c=61.24,
        drift=0.0812,
        drift_blendshapes=0.0812,
        brightness=0.4118,
        sharpness=218.44,
    ),
    Kind.LEDGER: Ledger(
        device="room-12",
        boots=[BootNumbers(boot_id=BOOT, kept_from=3, settled=17)],
        lost=[LostNumbers(boot_id=BOOT, first=5, last=6, reason="damaged")],
    ),
    Kind.REPLAY: Replay(device="room-12", boot_id=BOOT, first=3, last=17),
}
EVENT = WRITTEN[Kind.TRANSITION]


@pytest.mark.parametrize("kind", list(Kind))
def test_golden(kind: Kind) -> None:
    """Every message is written exactly so, read back the same, and fits its schema."""
    assert WRITTEN[kind].to_json() == GOLDEN[kind]
    assert MODELS[kind].from_json(GOLDEN[kind]).to_json() == GOLDEN[kind]
    SCHEMAS[kind].validate(json.loads(GOLDEN[kind]))


def changed(kind: Kind, **keys: Any) -> dict[str, Any]:
    """A good message with other values; ``...`` takes a key out."""
    body = {**json.loads(GOLDEN[kind]), **keys}
    return {key: value for key, value in body.items() if value is not ...}


STATES_OF_SIX = json.loads(GOLDEN[Kind.CLASS])["states"]
GOOD = {
    "a key of a later version": (Kind.TRANSITION, {"added": {"deep": 1}}),
    "a part with a key of a later version": (
        Kind.HEALTH,
        {"stages": {"total": {"p50_ms": 1, "p95_ms": 2, "p99_ms": 3, "p999_ms": 4}}},
    ),
    "from unknown": (Kind.TRANSITION, {"from": "unknown"}),
    "a date without decimals": (Kind.TRANSITION, {"onset": "2027-01-15T07:59:59Z"}),
    "a date with six decimals": (Kind.TRANSITION, {"onset": "2027-01-15T07:59:59.500001Z"}),
    "a date with an offset": (Kind.TRANSITION, {"onset": "2027-01-15T13:29:59.5+05:30"}),
    "onset when it was decided": (Kind.TRANSITION, {"onset": "2027-01-15T07:59:59.980Z"}),
    "a whole number for a number": (Kind.TRANSITION, {"confidence": 1, "dwell_s": 0}),
    "a clean stop": (Kind.STATUS, {"state": "stopped"}),
    "a device of MQTT 3.1.1": (Kind.STATUS, {"protocol": "3.1.1"}),
    "an older device's info": (
        Kind.INFO,
        dict.fromkeys(
            ["face_finder", "face_finder_reason", "capture", "false_changes_per_min", "site_layer"],
            ...,
        ),
    ),
    "a suppressed class": (Kind.CLASS, {"suppressed": True, "faces": None, "states": None}),
    "an older device's health": (
        Kind.HEALTH,
        dict.fromkeys(["drift_blendshapes", "drift_confidence", "brightness", "sharpness"], ...),
    ),
    "the oldest device's health": (
        Kind.HEALTH,
        dict.fromkeys(["abstained", "faces_too_small", "landmarks_age_s", "drift"], ...),
    ),
    "the age of landmarks": (Kind.HEALTH, {"landmarks_age_s": {"p50": 0.1, "p95": 0.5}}),
    "no stage yet": (Kind.HEALTH, {"stages": {}}),
}
BAD = {
    "no schema": (Kind.TRANSITION, {"schema": ...}),
    "another schema": (Kind.TRANSITION, {"schema": "emoshift.transition/2"}),
    "another message's schema": (Kind.STATUS, {"schema": "emoshift.info/1"}),
    "no emotion before": (Kind.TRANSITION, {"from": ...}),
    "the name of our attribute for a key": (Kind.TRANSITION, {"from": ..., "before": "sad"}),
    "a repeated emotion": (Kind.TRANSITION, {"from": "happy"}),
    "an unknown emotion": (Kind.TRANSITION, {"to": "glad"}),
    "to unknown": (Kind.TRANSITION, {"to": "unknown"}),
    "numbered from zero": (Kind.TRANSITION, {"seq": 0, "event_id": f"{BOOT}:0"}),
    "a number that JSON cannot keep": (Kind.TRANSITION, {"seq": 2**53}),
    "a truth for a number": (Kind.TRANSITION, {"seq": True}),
    "a number as text": (Kind.TRANSITION, {"confidence": "0.9"}),
    "a fraction for a whole number": (Kind.TRANSITION, {"latency_ms": 1.5}),
    "more than certain": (Kind.TRANSITION, {"confidence": 1.5}),
    "a number for a truth": (Kind.TRANSITION, {"historical": 0}),
    "capitals in an id": (Kind.TRANSITION, {"boot_id": BOOT.upper()}),
    "a camera's name with a space": (Kind.TRANSITION, {"camera": "front left"}),
    "a long name": (Kind.TRANSITION, {"camera": "c" * 65}),
    "a name that ends in a hyphen": (Kind.STATUS, {"device": "room-"}),
    "an empty track": (Kind.TRANSITION, {"track": ""}),
    "a long track": (Kind.TRANSITION, {"track": "x" * 129}),
    "a control character": (Kind.TRANSITION, {"track": "a\x00b"}),
    "a date in words": (Kind.TRANSITION, {"decided": "nine"}),
    "a date without a zone": (Kind.TRANSITION, {"decided": "2027-01-15T07:59:59.980"}),
    "a date with a space": (Kind.TRANSITION, {"decided": "2027-01-15 07:59:59.980Z"}),
    "a date without seconds": (Kind.TRANSITION, {"decided": "2027-01-15T07:59Z"}),
    "a date with seven decimals": (Kind.TRANSITION, {"decided": "2027-01-15T07:59:59.9800000Z"}),
    "a thirteenth month": (Kind.TRANSITION, {"decided": "2027-13-15T07:59:59.980Z"}),
    "a date as a number": (Kind.TRANSITION, {"decided": 1_800_000_000}),
    "another presence": (Kind.STATUS, {"state": "asleep"}),
    "an instance that is none": (Kind.STATUS, {"instance": "me"}),
    "MQTT 4": (Kind.STATUS, {"protocol": "4"}),
    "another isolation": (Kind.INFO, {"isolation": "hope"}),
    "classes of nobody": (Kind.INFO, {"min_faces": 0}),
    "suppressed, and described": (Kind.CLASS, {"suppressed": True}),
    "described, and empty": (Kind.CLASS, {"faces": None, "states": None}),
    "a state missing": (Kind.CLASS, {"states": {"happy": 6}}),
    "less than nobody": (Kind.CLASS, {"states": {**STATES_OF_SIX, "happy": -3}}),
    "an unknown camera state": (Kind.HEALTH, {"camera_state": "dreaming"}),
    "a percentile missing": (Kind.HEALTH, {"stages": {"total": {"p50_ms": 1}}}),
    "a stage's name with a space": (
        Kind.HEALTH,
        {"stages": {"the faces": {"p50_ms": 1, "p95_ms": 2, "p99_ms": 3}}},
    ),
    "a negative rate": (Kind.HEALTH, {"fps": -1}),
    "no outbox": (Kind.HEALTH, {"outbox_depth": ...}),
    "a share above one": (Kind.HEALTH, {"abstained": 1.01}),
}
BEYOND_A_SCHEMA = {
    "onset after the decision": (Kind.TRANSITION, {"onset": "2027-01-15T07:59:59.981Z"}),
    "another event's id": (Kind.TRANSITION, {"seq": 18}),
    "faces that are not the sum of states": (Kind.CLASS, {"faces": 7}),
    "the thirtieth of February": (Kind.TRANSITION, {"onset": "2027-02-30T07:59:59.500Z"}),
    "a fraction that is whole": (Kind.TRANSITION, {"latency_ms": 41.0}),
}
"""JSON Schema compares no values with each other; the model does."""


@pytest.mark.parametrize(
    ("kind", "keys", "good", "fits"),
    [
        *(pytest.param(*case, True, True, id=name) for name, case in GOOD.items()),
        *(pytest.param(*case, False, False, id=name) for name, case in BAD.items()),
        *(pytest.param(*case, False, True, id=name) for name, case in BEYOND_A_SCHEMA.items()),
    ],
)
def test_model_and_schema_agree(kind: Kind, keys: dict[str, Any], good: bool, fits: bool) -> None:
    """What the model reads the schema allows; what it refuses the schema forbids, if it can."""
    body = changed(kind, **keys)
    assert SCHEMAS[kind].is_valid(body) is fits
    if good:
        message = read_message(f"{TOPIC}/{kind}", json.dumps(body).encode(), received_ms=NOW_MS)
        SCHEMAS[kind].validate(json.loads(message.body.to_json()))
    else:
        with pytest.raises(MessageError):
            MODELS[kind].from_json(json.dumps(body))


@settings(deadline=None)
@given(
    kind=st.sampled_from(list(Kind)),
    data=st.data(),
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([*STATES, "5", "room-1"])
    | st.lists(st.text(max_size=3), max_size=2),
)
def test_they_agree_on_any_value(kind: Kind, data: st.DataObject, value: object) -> None:
    """Whatever stands at a key: what is read fits, and what does not fit is refused."""
    key = data.draw(st.sampled_from(sorted(json.loads(GOLDEN[kind]))))
    body = changed(kind, **{key: value})
    try:
        MODELS[kind].from_json(json.dumps(body))
    except MessageError:
        return
    SCHEMAS[kind].validate(body)


@pytest.mark.parametrize("kind", list(Kind))
def test_schemas_are_open(kind: Kind) -> None:
    """Each schema is valid and allows keys that it does not list, as readers must."""
    schema = read_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "additionalProperties" not in json.dumps(schema)
    assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("payload", "problem", "says"),
    [
        pytest.param(b"", Problem.MALFORMED, "JSON", id="empty"),
        pytest.param(b"{", Problem.MALFORMED, "JSON", id="cut short"),
        pytest.param(b"\xff\xfe", Problem.MALFORMED, "JSON", id="no text"),
        pytest.param(b"[" * 5000, Problem.MALFORMED, "JSON", id="deeply nested"),
        pytest.param(b"7", Problem.MALFORMED, "object", id="a number"),
        pytest.param(
            GOLDEN[Kind.TRANSITION].replace("0.912", "NaN").encode(),
            Problem.MALFORMED,
            "confidence",
            id="not a number",
        ),
        pytest.param(b" " * (MAX_PAYLOAD_BYTES + 1), Problem.OVERSIZED, "bytes", id="oversized"),
        pytest.param({"schema": "emoshift.transition/2"}, Problem.SCHEMA, "schema", id="schema"),
        pytest.param({"schema": ...}, Problem.SCHEMA, "schema", id="no schema"),
        pytest.param({"confidence": 1.5}, Problem.MALFORMED, "confidence", id="no probability"),
        pytest.param({"onset": "nine"}, Problem.MALFORMED, "onset: .* RFC 3339", id="no date"),
        pytest.param({"device": "room-2"}, Problem.FORGED, "room-2", id="another device's name"),
        pytest.param({"seq": 18}, Problem.FORGED, "event_id", id="another event's id"),
        pytest.param(
            {"onset": "2030-01-01T00:00:00Z", "decided": "2030-01-01T00:00:01Z"},
            Problem.FORGED,
            "ahead",
            id="from the future",
        ),
        pytest.param(
            {"onset": "9999-12-31T23:30:00-01:00", "decided": "9999-12-31T23:30:00-01:00"},
            Problem.MALFORMED,
            "onset",
            id="beyond the calendar",
        ),
    ],
)
def test_why_it_is_refused(payload: bytes | dict[str, Any], problem: Problem, says: str) -> None:
    """A message that is wrong is refused, its kind of fault named, and where it is."""
    if isinstance(payload, dict):
        payload = json.dumps(changed(Kind.TRANSITION, **payload)).encode()
    with pytest.raises(MessageError, match=says) as refused:
        read_message(f"{TOPIC}/transition", payload, received_ms=NOW_MS)
    assert refused.value.problem is problem
    assert refused.value.address == Address("school", "room-12")


def test_a_clock_nobody_has_set_may_be_ahead() -> None:
    """Only a clock that claims to be right is held to it."""
    ahead = {"onset": "2030-01-01T00:00:00Z", "decided": "2030-01-01T00:00:01Z"}
    body = changed(Kind.TRANSITION, clock_synced=False, **ahead)
    read_message(f"{TOPIC}/transition", json.dumps(body).encode(), received_ms=NOW_MS)


@pytest.mark.parametrize(
    "topic",
    [
        "emoshift/v2/school/room-1/status",
        "emoshift/v1/school/room-1",
        "emoshift/v1/school/room-1/status/more",
        "emoshift/v1/School/room-1/status",
        "emoshift/v1/school/room-1/picture",
        "emoshift/v1/school/room-1\n/status",
        "emoshift/v1/school//status",
        "",
    ],
)
def test_foreign_topics(topic: str) -> None:
    """A topic that is none of the contract names no device."""
    assert read_topic(topic) is None
    with pytest.raises(MessageError) as refused:
        read_message(topic, b"{}")
    assert (refused.value.problem, refused.value.address) == (Problem.TOPIC, None)


@settings(deadline=None)
@given(st.sampled_from(list(Kind)), st.binary(max_size=300))
def test_noise(kind: Kind, payload: bytes) -> None:
    """No bytes whatever raise anything but a refusal."""
    with pytest.raises(MessageError):
        read_message(f"{TOPIC}/{kind}", payload)


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
dates = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


@settings(deadline=None)
@given(
    boot_id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    seq=st.integers(1, 2**53 - 1),
    device=names,
    track=names,
    emotions=st.lists(st.sampled_from(STATES), min_size=2, max_size=2, unique=True),
    confidence=st.floats(0, 1).map(lambda x: round(x, 3)),
    moments=st.lists(dates, min_size=2, max_size=2).map(sorted),
    dwell_s=st.floats(0, 1e6).map(lambda x: round(x, 2)),
    latency_ms=st.integers(0, 100_000),
    flags=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_round_trip(
    boot_id: str,
    seq: int,
    device: str,
    track: str,
    emotions: list[Any],
    confidence: float,
    moments: list[datetime],
    dwell_s: float,
    latency_ms: int,
    flags: list[bool],
) -> None:
    """Every event survives writing and reading, and fits the schema."""
    before, after = emotions if emotions[1] in EMOTIONS else reversed(emotions)
    event = Transition(
        event_id=f"{boot_id}:{seq}",
        boot_id=boot_id,
        seq=seq,
        device=device,
        camera=device,
        track=track,
        before=before,
        after=after,
        confidence=confidence,
        onset=moments[0],
        decided=moments[1],
        dwell_s=dwell_s,
        latency_ms=latency_ms,
        clock_synced=flags[0],
        historical=flags[1],
        degraded=flags[2],
        model=track,
    )
    assert Transition.from_json(event.to_json()) == event
    SCHEMAS[Kind.TRANSITION].validate(json.loads(event.to_json()))


def test_dates_are_written_in_utc() -> None:
    """Whatever offset a date was read or given with, it is written in UTC with milliseconds."""
    body = changed(Kind.TRANSITION, onset="2027-01-15T13:29:59.5+05:30")
    read = Transition.from_json(json.dumps(body))
    assert read == EVENT
    eastern = timezone(timedelta(hours=-5))
    assert (
        EVENT.model_copy(update={"onset": EVENT.onset.astimezone(eastern)}).to_json()
        == (GOLDEN[Kind.TRANSITION])
    )


def test_a_late_clock_moves_the_dates() -> None:
    """A clock that is set after the event moves both dates, and the event says so."""
    early = EVENT.model_copy(update={"clock_synced": False})
    moved = early.moved(3600.5)
    assert moved.clock_synced
    assert (moved.onset - early.onset).total_seconds() == 3600.5
    assert moved.decided - moved.onset == early.decided - early.onset


@pytest.mark.parametrize(
    ("sent", "drift", "abstained", "brightness"),
    [
        pytest.param({}, None, None, None, id="an older device sends none"),
        pytest.param({"drift": None, "abstained": None}, None, None, None, id="not known yet"),
        pytest.param({"abstention": 0.2, "drift": 0.31}, 0.31, 0.2, None, id="the first name"),
        pytest.param(
            {"drift": 0.31, "abstained": 0.2, "brightness": 0.5}, 0.31, 0.2, 0.5, id="all of it"
        ),
    ],
)
def test_what_health_may_leave_out(
    sent: dict[str, Any], drift: float | None, abstained: float | None, brightness: float | None
) -> None:
    """Drift, abstention and brightness are read where they are sent."""
    gone = dict.fromkeys(["drift", "abstained", "brightness", "sharpness"], ...)
    read = Health.from_json(json.dumps(changed(Kind.HEALTH, **{**gone, **sent})))
    assert (read.drift, read.abstained, read.brightness) == (drift, abstained, brightness)


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.none() | st.sampled_from(Emotion), st.integers(0, 40)),
    least=st.integers(1, 30),
)
def test_small_classes_are_never_described(counts: dict[Emotion | None, int], least: int) -> None:
    """Below the smallest group no count leaves, above it the states add up to the faces."""
    summary = summarise_class(counts, device="d", camera="c", at=AT, min_faces=least)
    body = json.loads(summary.to_json())
    if sum(counts.values()) < least:
        assert (body["suppressed"], body["faces"], body["states"]) == (True, None, None)
    else:
        assert sum(body["states"].values()) == body["faces"] == sum(counts.values())

"""Messages: what is believed, and what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.contract import (
    MAX_PAYLOAD_BYTES,
    Address,
    Kind,
    Problem,
    RefusedMessage,
    Transition,
    read_message,
    read_topic,
)
from dashboard.simulate.classroom import Classroom
from tests.support.dashboard import NOW_MS

SCHEMAS = Path("edge/schemas")
TOPIC = "emoshift/v1/school/room-1/transition"


def fresh() -> Classroom:
    return Classroom(Address("school", "room-1"), seed=1)


def tell(**changed: object) -> bytes:
    body = json.loads(fresh().change(NOW_MS).payload)
    return json.dumps({**body, **changed}).encode()


def problem_of(topic: str, payload: bytes) -> Problem:
    with pytest.raises(RefusedMessage) as refused:
        read_message(topic, payload, received_ms=NOW_MS)
    return refused.value.problem


def test_every_kind_is_read():
    """What a simulated device tells is believed, each kind as what it is."""
    room = fresh()
    told = [room.status("online"), room.info(), room.health(NOW_MS), room.summary(NOW_MS)]
    told.append(room.change(NOW_MS))
    read = [read_message(m.topic, m.payload, received_ms=NOW_MS) for m in told]
    assert [type(m.body).__name__ for m in read] == [
        "Status",
        "Info",
        "Health",
        "ClassSummary",
        "Transition",
    ]
    assert {m.address for m in read} == {Address("school", "room-1")}


def test_a_key_of_a_later_version_is_ignored():
    """What a later version adds to a message does not make it wrong."""
    message = read_message(TOPIC, tell(added=1), received_ms=NOW_MS)
    assert not hasattr(message.body, "added")


@pytest.mark.parametrize("kind", list(Kind))
def test_simulated_devices_speak_the_published_schemas(kind):
    """The simulator's messages satisfy the JSON Schemas that come with the device."""
    jsonschema = pytest.importorskip("jsonschema")
    path = SCHEMAS / f"{kind}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    room = fresh()
    message = {
        Kind.STATUS: lambda: room.status("online"),
        Kind.INFO: room.info,
        Kind.HEALTH: lambda: room.health(NOW_MS),
        Kind.CLASS: lambda: room.summary(NOW_MS),
        Kind.TRANSITION: lambda: room.change(NOW_MS),
    }[kind]()
    jsonschema.validate(json.loads(message.payload), json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        pytest.param(b"", Problem.MALFORMED, id="empty"),
        pytest.param(b"{", Problem.MALFORMED, id="cut short"),
        pytest.param(b"\xff\xfe", Problem.MALFORMED, id="no text"),
        pytest.param(b"[" * 5000, Problem.MALFORMED, id="deeply nested"),
        pytest.param(b" " * (MAX_PAYLOAD_BYTES + 1), Problem.OVERSIZED, id="oversized"),
        pytest.param(tell(schema="emoshift.transition/2"), Problem.SCHEMA, id="unknown schema"),
        pytest.param(tell(confidence=1.5), Problem.MALFORMED, id="no probability"),
        pytest.param(tell(confidence="0.9"), Problem.MALFORMED, id="a number as text"),
        pytest.param(tell(seq=0), Problem.MALFORMED, id="numbered from zero"),
        pytest.param(tell(to="bored"), Problem.MALFORMED, id="unknown emotion"),
        pytest.param(tell(**{"from": "sad", "to": "sad"}), Problem.MALFORMED, id="no change"),
        pytest.param(tell(track="a\x00b"), Problem.MALFORMED, id="control character"),
        pytest.param(tell(onset="2026-11-21 09:00"), Problem.MALFORMED, id="date without a zone"),
        pytest.param(tell(onset="2027-01-01T00:00:00.000Z"), Problem.MALFORMED, id="onset late"),
        pytest.param(tell(device="room-2"), Problem.FORGED, id="another device's name"),
        pytest.param(tell(event_id="f" * 32 + ":1"), Problem.FORGED, id="another event's id"),
        pytest.param(
            tell(onset="2030-01-01T00:00:00.000Z", decided="2030-01-01T00:00:01.000Z"),
            Problem.FORGED,
            id="from the future",
        ),
    ],
)
def test_refused(payload, problem):
    """A message that is wrong is refused, and its kind of fault named."""
    assert problem_of(TOPIC, payload) is problem


@pytest.mark.parametrize(
    "topic",
    [
        "emoshift/v2/school/room-1/status",
        "emoshift/v1/school/room-1",
        "emoshift/v1/School/room-1/status",
        "emoshift/v1/school/room-1/picture",
        "emoshift/v1/school/room-1\n/status",
        "",
    ],
)
def test_foreign_topics(topic):
    """A topic that is none of the contract names no device."""
    with pytest.raises(RefusedMessage) as refused:
        read_topic(topic)
    assert refused.value.problem is Problem.TOPIC
    assert refused.value.address is None


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(payload):
    """No payload whatever raises anything but a refusal."""
    with pytest.raises(RefusedMessage):
        read_message(TOPIC, payload, received_ms=NOW_MS)


@given(
    st.dictionaries(
        st.sampled_from(sorted(Transition.model_json_schema()["properties"])),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
        min_size=1,
        max_size=3,
    )
)
def test_any_field_is_refused_or_read(changed):
    """No value in any field raises anything but a refusal."""
    payload = json.dumps({**json.loads(tell()), **changed}).encode()
    try:
        message = read_message(TOPIC, payload, received_ms=NOW_MS)
    except RefusedMessage:
        return
    assert message.address == Address("school", "room-1")


@pytest.mark.parametrize(
    ("told", "drift", "abstained", "brightness"),
    [
        pytest.param({}, None, None, None, id="an older device tells none"),
        pytest.param({"drift": None, "abstained": None}, None, None, None, id="not known yet"),
        pytest.param(
            {"drift": 0.31, "abstention": 0.2, "brightness": 0.5, "sharpness": 90.0},
            0.31,
            0.2,
            0.5,
            id="all of it",
        ),
    ],
)
def test_what_health_may_leave_out(room, told, drift, abstained, brightness):
    """Drift, abstention, brightness and sharpness are read where they are told."""
    message = room.health(NOW_MS)
    body = json.loads(message.payload)
    for name in ("drift", "abstained", "brightness", "sharpness"):
        body.pop(name, None)
    read = read_message(message.topic, json.dumps(body | told).encode(), received_ms=NOW_MS).body
    assert (read.drift, read.abstained, read.brightness) == (drift, abstained, brightness)

"""A decided transition as an event: its dates come from the clock, whatever the clock does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.outbox.event import EventSource, describe_change
from edge.values import Transition
from emoshift.clock import ClockReading
from emoshift.emotions import Emotion

SOURCE = EventSource(device="room-12", camera="front", model="default-1")
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
BOOT = "0123456789abcdef0123456789abcdef"
GOLDEN = (
    '{"schema":"emoshift.transition/1","event_id":"0123456789abcdef0123456789abcdef:17",'
    '"boot_id":"0123456789abcdef0123456789abcdef","seq":17,"device":"room-12","camera":"front",'
    '"track":"kx3q","from":"neutral","to":"happy","confidence":0.912,'
    '"onset":"2027-01-15T07:59:59.500Z","decided":"2027-01-15T07:59:59.980Z","dwell_s":12.4,'
    '"latency_ms":41,"clock_synced":true,"historical":false,"degraded":false,"model":"default-1"}'
)


def test_golden_event() -> None:
    """A transition becomes exactly this message, keys in the order of the contract."""
    change = describe_change(SMILE, source=SOURCE, clock=CLOCK, latency_s=0.0414)
    assert change.numbered(BOOT, 17).to_json() == GOLDEN


def test_first_emotion_comes_from_unknown() -> None:
    """A face's first settled emotion comes from `unknown`."""
    first = describe_change(replace(SMILE, before=None), source=SOURCE, clock=CLOCK, latency_s=0.0)
    assert json.loads(first.numbered(BOOT, 1).to_json())["from"] == "unknown"


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
    change.numbered(BOOT, 1)  # a message of the contract
    if change.onset.timestamp() > 0:
        assert (change.decided - change.onset).total_seconds() == pytest.approx(late, abs=0.0021)

"""What is true now: late news, silence, small classes, many listeners."""

from __future__ import annotations

import asyncio
import json
from functools import reduce

import pytest

from dashboard.i18n import choose_language
from dashboard.live.hub import Hub
from dashboard.live.state import (
    CLASS_STALE_MS,
    SILENT_MS,
    DeviceState,
    attention,
    fold,
    presence,
    shown_summary,
)
from dashboard.web.rate_limit import FREE_TRIES, Key, Throttle
from emoshift.messages import Message, read_message
from emoshift.settings import BrokerSettings
from emoshift.topics import Address
from tests.support.dashboard import NOW_MS

ROOM = Address("school", "room-1")


def read(message, **values) -> Message:
    body = {**json.loads(message.payload), **values}
    return read_message(message.topic, json.dumps(body).encode(), received_ms=NOW_MS)


def after(*messages: Message, retained: bool = False) -> DeviceState:
    empty = DeviceState(address=ROOM)
    return reduce(lambda s, m: fold(s, m, arrived_ms=NOW_MS, retained=retained), messages, empty)


def test_presence_over_time(room):
    """A device is online while it says something, and silent when it does not."""
    state = after(read(room.status("online")))
    assert presence(state, NOW_MS) == "online"
    assert presence(state, NOW_MS + SILENT_MS + 1) == "silent"
    gone = fold(state, read(room.status("offline")), arrived_ms=NOW_MS)
    assert presence(gone, NOW_MS) == "offline"
    earlier = after(read(room.status("online", session=5)))
    late = fold(earlier, read(room.status("offline")), arrived_ms=NOW_MS)
    assert presence(late, NOW_MS) == "online"


def test_a_device_that_is_never_heard_falls_silent(room):
    """A broker that still keeps "online" of a device that is gone does not convince for long."""
    kept = after(read(room.status("online")), retained=True)
    assert presence(kept, NOW_MS) == presence(kept, NOW_MS + SILENT_MS) == "online"
    assert presence(kept, NOW_MS + SILENT_MS + 1) == "silent"
    again = fold(kept, read(room.status("online")), arrived_ms=NOW_MS + SILENT_MS, retained=True)
    assert presence(again, NOW_MS + SILENT_MS + 1) == "silent"
    alive = fold(again, read(room.health(NOW_MS)), arrived_ms=NOW_MS + SILENT_MS)
    assert presence(alive, NOW_MS + SILENT_MS + 1) == "online"


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
def test_setting_the_clock_hides_no_class(room, step_ms):
    """What arrives after the clock was set, either way, is as fresh as ever."""
    state = after(read(room.status("online")), read(room.summary(NOW_MS)))
    later = room.summary(NOW_MS + 60_000)
    received_ms = NOW_MS + 60_000 + step_ms
    message = read_message(later.topic, later.payload, received_ms=received_ms)
    state = fold(state, message, arrived_ms=NOW_MS + 60_000)
    assert presence(state, NOW_MS + 61_000) == "online"
    assert shown_summary(state, NOW_MS + 61_000, min_faces=5) is not None


@pytest.mark.parametrize(
    ("changed", "later_ms", "reported"),
    [
        pytest.param({}, 0, True, id="large enough"),
        pytest.param({"suppressed": True, "faces": None, "states": None}, 0, False, id="withheld"),
        pytest.param({}, CLASS_STALE_MS + 1, False, id="stale"),
    ],
)
def test_what_is_shown_of_a_class(room, changed, later_ms, reported):
    """A class is shown while it is large enough, fresh, and its device online."""
    state = after(read(room.status("online")), read(room.summary(NOW_MS), **changed))
    found = shown_summary(state, NOW_MS + later_ms, min_faces=5)
    assert (found is not None) is reported


def test_the_stricter_wish_counts(room):
    """A device that asks for a larger class is obeyed; one that asks for less is not."""
    here, summary = read(room.status("online")), read(room.summary(NOW_MS))
    strict = after(here, summary, read(room.info(), min_faces=25))
    loose = after(here, summary, read(room.info(), min_faces=1))
    assert shown_summary(strict, NOW_MS, min_faces=5) is None
    assert shown_summary(loose, NOW_MS, min_faces=25) is None
    assert shown_summary(loose, NOW_MS, min_faces=5) is not None


def test_attention(room):
    """The gravest need comes first."""
    health = read(room.health(NOW_MS), camera_state="lost", level=3, temperature_c=85.0)
    state = after(read(room.status("online")), health, read(room.info(), isolation="none"))
    reasons = [
        reason for _, reason in attention(state, NOW_MS, problems={ROOM: 2}, drift_rise={ROOM: 0.3})
    ]
    assert reasons == ["camera", "problems", "hot", "isolation", "degraded", "drift"]


def test_listeners_hear_each_event_once(room):
    """A listener hears of its own device alone, copies left out, and never blocks the hub."""

    async def story() -> None:
        hub = Hub(BrokerSettings())
        hub.devices[ROOM] = DeviceState(address=ROOM)
        with hub.listen(ROOM) as mine, hub.listen(Address("school", "other")) as other:
            event = read(room.change(NOW_MS))
            for _ in range(3):
                hub.apply(event, False)
            assert mine.queue.qsize() == 1
            assert other.queue.empty()
            for _ in range(1000):
                hub.apply(read(room.change(NOW_MS)), False)
            assert mine.overrun

    asyncio.run(story())


def test_throttle_grows_and_forgives():
    """A few tries are free; then the wait doubles; success forgives."""
    throttle, mine, other = Throttle(), Key("pair", "a"), Key("pair", "b")
    for _ in range(FREE_TRIES["pair"]):
        assert throttle.begin(mine, now_s=0) == 0
    first = throttle.begin(mine, now_s=0)
    assert throttle.begin(mine, now_s=first) == 0
    assert throttle.begin(mine, now_s=first) == 2 * first
    assert throttle.begin(other, now_s=0) == 0
    throttle.succeed(mine)
    assert throttle.begin(mine, now_s=0) == 0


@pytest.mark.parametrize(
    ("cookie", "accepted", "wanted"),
    [
        ("de", "en", "de"),
        (None, "de-AT,de;q=0.9,en;q=0.5", "de"),
        (None, "it,en;q=0.5,de;q=0.7", "de"),
        ("xx", "it", "en"),
        (None, ";;q=x", "en"),
    ],
)
def test_language(cookie, accepted, wanted):
    """The viewer's choice counts, then the browser's, then English."""
    assert choose_language(cookie, accepted) == wanted

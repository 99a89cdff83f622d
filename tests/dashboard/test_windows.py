"""What viewers see: windows of time with noise, the same for every question, released once."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from dashboard.simulate.classroom import Classroom
from dashboard.store import schema as t
from dashboard.store.batch import gather
from dashboard.store.read import Archive
from dashboard.store.retention import RetentionPolicy, purge
from dashboard.store.windows import DELAY_MIN, WINDOW_MIN, Minute, count_window, release_windows
from dashboard.store.write import HistoryWriter
from emoshift.emotions import EMOTIONS, STATES
from emoshift.messages import Message, read_message
from emoshift.noisy_counts import LEAST_COUNT
from emoshift.topics import Address
from tests.attacks.seating import observe
from tests.support.dashboard import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE_MS = 60_000
WINDOW_MS = WINDOW_MIN * MINUTE_MS
START_MS = NOW_MS // WINDOW_MS * WINDOW_MS
"""A lesson begins with a window here."""


def read(message) -> Message:
    at = json.loads(message.payload)
    return read_message(message.topic, json.dumps(at).encode(), received_ms=NOW_MS)


def lesson(room: Classroom, minutes: int, *, start_ms: int = START_MS) -> Iterator[Message]:
    """A change every five seconds, a summary after each."""
    for at_ms in range(start_ms + 1000, start_ms + minutes * MINUTE_MS, 5000):
        for message in (room.change(at_ms), room.summary(at_ms)):
            yield read_message(message.topic, message.payload, received_ms=at_ms)


def store(engine, room: Classroom, minutes: int, **more: int) -> int:
    """Store a lesson; return the device's number."""
    HistoryWriter(engine).write(gather(lesson(room, minutes, **more)))
    device = Archive(engine).device(room.address)
    assert device is not None
    return device.id


def class_of(faces: int) -> Classroom:
    """A classroom of so many faces that the camera sees."""
    seed = 1
    while (
        room := Classroom(Address("school", "room-1"), seed=seed)
    ).faces != faces or not room.sees:
        seed += 1
    return room


def release(engine, device: int, now_ms: int) -> None:
    """Release what is over by then, with noise that is the same in every run of the tests."""
    release_windows(engine, device, now_ms=now_ms, min_faces=5, chance=random.Random(now_ms))


def whole(engine, device: int):
    return Archive(engine, windows=True).class_history(
        device, START_MS - WINDOW_MS, START_MS + 10 * WINDOW_MS
    )


def test_windows_are_told_a_while_after_their_end(engine):
    """Nothing of a window that lasts; its means and changes once it is over for a minute."""
    device = store(engine, class_of(24), 25)
    end_ms = START_MS + WINDOW_MS
    for now_ms, shown in (
        (end_ms + DELAY_MIN * MINUTE_MS - 1, 0),
        (end_ms + DELAY_MIN * MINUTE_MS, 1),
        (end_ms + WINDOW_MS + DELAY_MIN * MINUTE_MS, 2),
    ):
        release(engine, device, now_ms)
        assert len(whole(engine, device)) == shown
    first = whole(engine, device)[0]
    assert first.start_ms == START_MS
    assert first.minutes == WINDOW_MIN
    exact = Archive(engine).class_history(device, START_MS, end_ms)
    assert first.faces == pytest.approx(sum(b.faces for b in exact) / len(exact), abs=25)
    assert sum(first.states) == pytest.approx(1)


def test_what_is_told_never_changes(engine):
    """Asked again, or after events and summaries came late, a window says what it said."""
    room = class_of(24)
    device = store(engine, room, 20)
    now_ms = START_MS + 2 * WINDOW_MS + DELAY_MIN * MINUTE_MS
    release(engine, device, now_ms)
    before = whole(engine, device)
    HistoryWriter(engine).write(gather(lesson(room, 20)))
    with engine.begin() as connection:
        connection.execute(update(t.CLASS).values(happy=t.CLASS.c.happy + 1000))
        connection.execute(delete(t.EVENT))
    for _ in range(3):
        release(engine, device, now_ms)
        assert whole(engine, device) == before


def test_no_two_questions_can_be_set_against_each_other(engine):
    """Whatever span is asked for, the answer is made of whole windows, the same ones."""
    device = store(engine, class_of(24), 60)
    release(engine, device, START_MS + 8 * WINDOW_MS)
    archive = Archive(engine, windows=True)
    by_start = {bucket.start_ms: bucket for bucket in whole(engine, device)}
    assert len(by_start) == 6
    for start_ms in range(START_MS - MINUTE_MS, START_MS + 3 * WINDOW_MS, 73_000):
        for width_ms in (MINUTE_MS, 9 * MINUTE_MS, 11 * MINUTE_MS, 45 * MINUTE_MS):
            for bucket in archive.class_history(device, start_ms, start_ms + width_ms):
                assert bucket == by_start[bucket.start_ms]
                assert start_ms <= bucket.start_ms
                assert bucket.start_ms + WINDOW_MS <= start_ms + width_ms


def test_a_window_with_a_small_minute_tells_nothing(engine):
    """One summary that was withheld, or one of too small a class, withholds its window."""
    device = store(engine, class_of(24), 30)
    with engine.begin() as connection:
        at = t.CLASS.c.minute == START_MS // MINUTE_MS + 3
        connection.execute(update(t.CLASS).where(at).values(hidden=1))
    now_ms = START_MS + 5 * WINDOW_MS
    release(engine, device, now_ms)
    assert [b.start_ms for b in whole(engine, device)] == [
        START_MS + WINDOW_MS,
        START_MS + 2 * WINDOW_MS,
    ]
    small = Archive(engine, windows=True).newest_window(device, now_ms=now_ms)
    assert small is not None
    assert small.states is not None


def test_a_class_below_the_dashboards_limit_is_not_kept(engine):
    """A device that publishes smaller classes than the dashboard may show: nothing is kept."""
    room = class_of(24)
    HistoryWriter(engine, min_faces=25).write(gather(lesson(room, 20)))
    device = Archive(engine).device(room.address)
    assert device is not None
    assert Archive(engine).class_history(device.id, 0, START_MS + 9 * WINDOW_MS) == []
    with engine.connect() as connection:
        rows = connection.execute(select(t.CLASS)).all()
    assert rows
    assert all(getattr(row, name) == 0 for row in rows for name in (*STATES, "shown"))


def test_what_a_device_made_noisy_is_told_as_it_is():
    """Windows of a device in class mode get no second noise."""
    minute = Minute(shown=1, hidden=0, windows=1, states=(0, 0, 3, 9, 4, 0, 8, 0))
    counts = count_window([minute], {"happy": 5}, min_faces=5, chance=random.Random(1))
    assert counts == (minute.states, tuple(5 if e == "happy" else 0 for e in EMOTIONS))


@given(
    states=st.lists(st.integers(0, 30), min_size=len(STATES), max_size=len(STATES)),
    changes=st.dictionaries(st.sampled_from(EMOTIONS), st.integers(0, 30)),
    seed=st.integers(0, 2**32),
)
def test_small_cells_are_withheld(states, changes, seed):
    """No count below three is shown, whatever the class."""
    minute = Minute(shown=1, hidden=0, windows=0, states=tuple(states))
    counts = count_window([minute] * 3, changes, min_faces=5, chance=random.Random(seed))
    assert (counts is None) == (sum(states) < 5)
    for found in counts or ():
        assert all(count == 0 or count >= LEAST_COUNT for count in found)


def test_a_face_counts_once(engine):
    """However often one face changes in a window, it moves the counts by one."""
    rows = []
    for seed in range(40):
        minute = Minute(shown=1, hidden=0, windows=0, states=(0, 0, 0, 20, 0, 0, 0, 0))
        counts = count_window([minute], {"happy": 20}, min_faces=5, chance=random.Random(seed))
        assert counts is not None
        rows.append(counts[1][EMOTIONS.index("happy")])
    assert 17 < sum(rows) / len(rows) < 23
    room = class_of(24)
    device = store(engine, room, 20)
    with engine.begin() as connection:
        connection.execute(update(t.EVENT).values(track="one", after=STATES.index("happy")))
    release(engine, device, START_MS + 3 * WINDOW_MS)
    with engine.connect() as connection:
        told_happy = connection.execute(select(t.CLASS_WINDOW.c.to_happy)).scalars().all()
    assert all(count < 20 for count in told_happy)  # one and noise, where 120 changes were stored


def test_no_pupil_is_told_with_certainty() -> None:
    """An observer who knows the seating, and all others' states at every second, is never sure."""
    for faces in (6, 25):
        found = observe(faces=faces, pupils=150, windows=4, viewer=True)
        assert found.certain == 0
        assert found.surest < 0.99


def test_a_clock_that_was_ahead_hides_nothing(engine):
    """What was stored and released under a date of the future holds up no window of now."""
    room = class_of(24)
    far_ms = START_MS + 365 * 86_400_000
    device = store(engine, room, 10, start_ms=far_ms)
    release(engine, device, far_ms + 2 * WINDOW_MS)
    store(engine, room, 10)
    now_ms = START_MS + WINDOW_MS + DELAY_MIN * MINUTE_MS
    release(engine, device, now_ms)
    assert len(whole(engine, device)) == 1
    newest = Archive(engine, windows=True).newest_window(device, now_ms=now_ms)
    assert newest.start_ms == START_MS


def test_windows_are_released_before_their_events_go(engine):
    """A class that no viewer has looked at for long still has what changed in it."""
    device = store(engine, class_of(24), 20)
    policy = RetentionPolicy(events_days=1, minutes_days=400, audit_days=1, devices_days=400)
    now_ms = START_MS + 2 * 86_400_000
    purge(engine, policy, now_ms=now_ms, min_faces=5)
    assert Archive(engine).count_events() == 0
    newest = Archive(engine, windows=True).newest_window(device, now_ms=now_ms)
    assert newest.start_ms == START_MS + WINDOW_MS


@pytest.mark.parametrize("asked", [25, 5])
def test_what_a_device_asks_for_counts_in_that_too(engine, asked):
    """The stricter of the two limits holds, whoever releases a window."""
    room = class_of(24)
    said = room.info(min_faces=asked)
    HistoryWriter(engine).write(
        gather([read_message(said.topic, said.payload, received_ms=START_MS)])
    )
    device = store(engine, room, 20)
    policy = RetentionPolicy(events_days=1, minutes_days=400, audit_days=1, devices_days=400)
    purge(engine, policy, now_ms=START_MS + 86_400_000, min_faces=5)
    with engine.connect() as connection:
        shown = connection.execute(
            select(t.CLASS_WINDOW.c.shown).where(t.CLASS_WINDOW.c.device == device)
        ).scalars()
        assert set(shown) == {asked == 5}

"""History: each event once, minutes that add up, nothing shown that points at somebody."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from sqlalchemy import select, text

from dashboard.simulate.classroom import Classroom
from dashboard.store import schema as t
from dashboard.store.accounts import IDLE_MS, People, Role
from dashboard.store.batch import Batch, gather
from dashboard.store.database import await_store, open_engine, open_store
from dashboard.store.events import MINUTE_MS
from dashboard.store.lessons import end_lesson, start_lesson
from dashboard.store.migrations import STEPS, migrate, version
from dashboard.store.read import Archive
from dashboard.store.retention import RetentionPolicy, purge
from dashboard.store.write import HistoryWriter
from emoshift.emotions import EMOTIONS
from emoshift.errors import StoreError, UnavailableError, UsageError
from emoshift.messages import Message, MessageError, Problem, Transition, read_message
from emoshift.topics import Address
from tests.support.dashboard import NOW_MS

ROOM = Address("school", "room-1")
MINUTE = NOW_MS // MINUTE_MS * MINUTE_MS


def read(message, received_ms=NOW_MS) -> Message:
    return read_message(message.topic, message.payload, received_ms=received_ms)


def changed(message, **values) -> Message:
    body = {**json.loads(message.payload), **values}
    return read_message(message.topic, json.dumps(body).encode(), received_ms=NOW_MS)


def a_lesson(room: Classroom, minutes: int = 3) -> list[Message]:
    reported = []
    for at_ms in range(MINUTE, MINUTE + minutes * MINUTE_MS, 6000):
        reported.append(read(room.change(at_ms + 1000), at_ms + 1500))
        reported.append(read(room.summary(at_ms + 2000), at_ms + 2500))
    return reported


def test_each_event_once(engine, room):
    """However often and in whatever parts a lesson is delivered, it is stored once."""
    lesson, history, chance = a_lesson(room), HistoryWriter(engine), random.Random(1)
    first = history.write(gather(lesson))
    again = [history.write(gather(chance.sample(lesson, 20))) for _ in range(5)]
    other = HistoryWriter(engine).write(gather(lesson))
    assert (first.new, first.duplicates) == (30, 0)
    assert [w.new for w in (*again, other)] == [0] * 6
    archive = Archive(engine)
    device = archive.device(ROOM)
    buckets = archive.class_history(device.id, MINUTE, MINUTE + 10 * MINUTE_MS)
    assert archive.count_events() == 30
    assert sum(sum(bucket.changes) for bucket in buckets) == 30
    assert archive.missing(device.id) == 0


@trying(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.integers(0, 29), max_size=12), max_size=12))
def test_any_delivery_order_counts_the_same(tmp_path_factory, parts):
    """Minutes add up to the events stored, in whatever order and how often those came."""
    reported = a_lesson(Classroom(ROOM, seed=1))
    lesson = [message for message in reported if isinstance(message.body, Transition)]
    engine = open_store(str(tmp_path_factory.mktemp("law") / "history.db"))
    history = HistoryWriter(engine)
    for part in parts:
        history.write(gather(lesson[index] for index in part))
    wanted = len({index for part in parts for index in part})
    with engine.connect() as connection:
        rows = connection.execute(select(t.TALLY)).all()
    engine.dispose()
    assert Archive(engine).count_events() == wanted
    assert sum(sum(row[2:]) for row in rows) == wanted


def test_a_small_class_is_not_reported(engine):
    """A minute with one summary withheld is withheld, its transitions with it."""
    room, history = Classroom(ROOM, seed=1), HistoryWriter(engine)
    lesson = a_lesson(room, minutes=3)
    hidden = changed(
        room.summary(MINUTE + MINUTE_MS + 59_000), suppressed=True, faces=None, states=None
    )
    history.write(gather([*lesson, hidden]))
    archive = Archive(engine)
    buckets = archive.class_history(1, MINUTE, MINUTE + 3 * MINUTE_MS)
    assert [b.start_ms for b in buckets] == [MINUTE, MINUTE + 2 * MINUTE_MS]
    assert all(sum(b.states) == pytest.approx(1) for b in buckets)


def test_history_belongs_where_it_began(engine, room):
    """An event that comes hours late is placed at its onset; one without a clock at its arrival."""
    late = changed(room.change(NOW_MS - 5 * 3_600_000), historical=True)
    unset = changed(room.change(1_000_000), clock_synced=False)
    HistoryWriter(engine).write(gather([late, unset]))
    events = list(Archive(engine).events(1, 0, 2 * NOW_MS))
    assert [event.historical for event in events] == [False, True]
    assert NOW_MS - 1000 < events[0].placed_ms <= NOW_MS
    assert abs(events[1].placed_ms - (NOW_MS - 5 * 3_600_000)) < 1000


def test_another_devices_boot_is_forged(engine, room):
    """A device that sends events of another's outbox is not believed."""
    mine = room.change(NOW_MS)
    thief = json.loads(mine.payload) | {"device": "room-2", "seq": 9}
    thief["event_id"] = f"{thief['boot_id']}:9"
    stolen = read_message(
        mine.topic.replace("room-1", "room-2"), json.dumps(thief).encode(), received_ms=NOW_MS
    )
    written = HistoryWriter(engine).write(gather([read(mine), stolen]))
    assert written.new == 1
    problems = Archive(engine).problems()
    assert [(p.address.device, p.problem, p.count) for p in problems] == [("room-2", "forged", 1)]


def test_problems_of_strangers_share_one_entry(engine, room):
    """Refused messages are counted by device; inventing names fills no table."""
    history, batch = HistoryWriter(engine), gather([read(room.status("online"))])
    for number in range(100):
        stranger = Address("school", f"invented-{number}")
        why = MessageError(Problem.MALFORMED, "wrong", stranger)
        batch.refuse(why, received_ms=NOW_MS)
    batch.refuse(MessageError(Problem.SCHEMA, "schema", ROOM), received_ms=NOW_MS)
    history.write(batch)
    history.write(gather([]))
    found = {(str(p.address), p.problem): p.count for p in Archive(engine).problems()}
    assert found == {("-/-", "malformed"): 100, ("school/room-1", "schema"): 1}


@pytest.mark.parametrize(
    ("reported", "wanted"),
    [
        pytest.param([("online", 3), ("offline", 2)], "online", id="a late will means nothing"),
        pytest.param([("stopped", 3), ("online", 3)], "stopped", id="in any order"),
        pytest.param([("offline", 3), ("online", 4)], "online", id="back again"),
    ],
)
def test_presence(engine, room, reported, wanted):
    """The session number says which status is the last, not the order of arrival."""
    history = HistoryWriter(engine)
    for state, session in reported:
        history.write(gather([read(room.status(state, session=session))]))
    assert Archive(engine).device(ROOM).status["state"] == wanted


def test_health_and_notes(engine, room):
    """Health is kept by minute, and what changes is noted."""
    messages = [read(room.health(NOW_MS + m), NOW_MS + m) for m in (0, MINUTE_MS, 2 * MINUTE_MS)]
    HistoryWriter(engine).write(gather([read(room.status("online")), read(room.info()), *messages]))
    archive = Archive(engine)
    found = archive.health_history(1, MINUTE, MINUTE + 10 * MINUTE_MS)
    assert len(found) == 3
    assert found[0][1]["stages"]["total"]["p95_ms"] > 0
    assert {note.what for note in archive.notes(1)} == {"online", "info"}


def test_retention(engine, room):
    """What is too old goes, what is not stays."""
    old = [changed(room.change(NOW_MS - 100 * 86_400_000)) for _ in range(3)]
    HistoryWriter(engine).write(gather([*old, *a_lesson(room)]))
    gone = purge(
        engine,
        RetentionPolicy(events_days=90, minutes_days=400, audit_days=180, devices_days=400),
        now_ms=NOW_MS,
        min_faces=5,
    )
    assert gone == 3
    assert Archive(engine).count_events() == 30
    purge(
        engine,
        RetentionPolicy(events_days=90, minutes_days=99, audit_days=180, devices_days=400),
        now_ms=NOW_MS,
        min_faces=5,
    )
    with engine.connect() as connection:
        first = connection.execute(select(t.TALLY.c.minute).order_by(t.TALLY.c.minute)).scalar()
    assert first >= MINUTE // MINUTE_MS - 1


def test_lessons(engine, room):
    """A lesson that begins ends the one before; only a running one can be ended."""
    HistoryWriter(engine).write(gather([read(room.status("online"))]))
    start_lesson(engine, 1, title="Mathematics", by="anna", now_ms=NOW_MS)
    start_lesson(engine, 1, title="Biology", by="anna", now_ms=NOW_MS + 10)
    assert end_lesson(engine, 1, by=None, now_ms=NOW_MS + 20)
    assert not end_lesson(engine, 1, by=None, now_ms=NOW_MS + 30)
    found = [(x.title, x.started_ms, x.ended_ms) for x in Archive(engine).lessons(1)]
    assert found == [
        ("Biology", NOW_MS + 10, NOW_MS + 20),
        ("Mathematics", NOW_MS, NOW_MS + 10),
    ]


def test_people(engine):
    """Passwords are hashed, sessions expire, a new password ends them."""
    people = People(engine)
    people.put("anna", "correct horse", Role.ADMIN)
    account = people.check("anna", "correct horse")
    assert account is not None
    assert account.role is Role.ADMIN
    assert people.check("anna", "wrong horse") is None
    assert people.check("nobody", "correct horse") is None
    secret = people.begin_session(account, now_ms=NOW_MS)
    assert people.session(secret, now_ms=NOW_MS + IDLE_MS) is not None
    assert people.session(secret, now_ms=NOW_MS + 3 * IDLE_MS) is None
    assert people.session("forged", now_ms=NOW_MS) is None
    ahead = people.begin_session(account, now_ms=NOW_MS + 365 * 86_400_000)
    assert people.session(ahead, now_ms=NOW_MS) is None  # the clock was ahead, and has been set
    slightly = people.begin_session(account, now_ms=NOW_MS + 60_000)
    assert people.session(slightly, now_ms=NOW_MS) is not None
    people.put("anna", "another horse", Role.VIEWER)
    assert people.session(secret, now_ms=NOW_MS) is None
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT password FROM account")).scalar()
    assert stored.startswith("$argon2id$")
    with pytest.raises(UsageError, match="at least"):
        people.put("ben", "short", Role.VIEWER)


def test_migration_keeps_what_was_there(database, room):
    """A database of the first version becomes one of this, with its events."""
    engine = open_engine(database)
    migrate(engine)
    HistoryWriter(engine).write(gather(a_lesson(room)))
    with engine.begin() as connection:  # what a program of the first version leaves
        later = (t.ENROLMENT, t.REGISTRY, t.ACCESS, t.CLASS_GROUP, t.KNOWN_BROWSER, t.AUDIT)
        for table in (*later, t.ANNOTATION, t.MARK, t.SESSION, t.ACCOUNT, t.LESSON):
            table.drop(connection)
        connection.execute(text("UPDATE schema_version SET version = 1"))
    assert version(engine) == 1
    assert migrate(engine) == 1
    assert version(engine) == len(STEPS)
    assert Archive(engine).count_events() == 30
    assert People(engine).accounts() == []
    engine.dispose()


def test_newer_database(database):
    """A database of a later version is refused, and says what to do."""
    engine = open_store(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    with pytest.raises(StoreError, match="version 99"):
        open_store(database)
    engine.dispose()


@pytest.mark.parametrize("setting", ["mysql://x", "/nowhere/at/all/x.db"])
def test_no_database(setting):
    """A database that cannot be opened is said in one line."""
    with pytest.raises(StoreError):
        open_store(setting)


def test_an_undone_batch_can_be_written_again(engine, room):
    """A transaction that fails leaves nothing behind, not even numbers learned in it."""
    history = HistoryWriter(engine)
    lesson = a_lesson(room)
    broken = Batch(seen={ROOM: NOW_MS})
    broken.transitions.append((ROOM, None, NOW_MS))
    with pytest.raises(AttributeError):
        history.write(broken)
    assert history.write(gather(lesson)).new == 30


@pytest.mark.slow
def test_a_locked_file_is_waited_for(tmp_path):
    """A file that another process holds for long is no fault that only a person could mend."""
    setting, stop = str(tmp_path / "history.db"), threading.Event()
    open_store(setting).dispose()
    with contextlib.closing(sqlite3.connect(setting, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked"):
            open_store(setting)
    engine = await_store(setting, stop)
    assert engine is not None
    engine.dispose()


def test_a_store_is_waited_for(postgres):
    """A worker that starts before its database waits for it; told to stop, it gives up."""
    setting, stop = postgres.make_database(), threading.Event()
    postgres.stop()
    stop.set()
    assert await_store(setting, stop) is None
    with pytest.raises(UnavailableError):
        open_store(setting)
    stop.clear()
    threading.Timer(1, postgres.start).start()
    engine = await_store(setting, stop)
    assert engine is not None
    assert version(engine) == len(STEPS)
    engine.dispose()


def test_numbers_that_leap(engine, room):
    """An event numbered absurdly far ahead is stored beside the others, each still once."""
    near = [read(room.change(NOW_MS)) for _ in range(5)]
    boot = json.loads(room.change(NOW_MS).payload)["boot_id"]
    far = changed(room.change(NOW_MS), seq=2**53 - 1, event_id=f"{boot}:{2**53 - 1}")
    assert HistoryWriter(engine).write(gather([far, *near])).new == 6
    again = HistoryWriter(engine).write(gather([*near, far, *near]))
    assert (again.new, again.duplicates) == (0, 11)


def test_drift_is_judged_by_its_rise(engine):
    """A device's drift is compared with its own first week; a young device is left out."""
    hours = {"steady": (24 * 30, 3.0, 3.0), "risen": (24 * 30, 3.0, 3.4), "young": (24, 3.0, 9.0)}
    history = HistoryWriter(engine)
    for name, (ago, first, last) in hours.items():
        room = Classroom(Address("school-1", name), seed=1)
        for at in (ago, ago - 5, 5, 1):
            drift = first if at > 24 else last
            at_ms = MINUTE // 3_600_000 * 3_600_000 - at * 3_600_000
            message = json.loads(room.health(at_ms).payload) | {"drift": drift}
            body = json.dumps(message).encode()
            history.write(gather([read_message(room.health(at_ms).topic, body, received_ms=at_ms)]))
    rise = Archive(engine).drift_rise(now_ms=MINUTE)
    assert {a.device: round(value, 2) for a, value in rise.items()} == {"steady": 0, "risen": 0.4}


def test_windows_of_time_are_counted_once(engine, room):
    """A device that publishes windows alone: its counts and changes stand in the minute, once."""
    changes = dict.fromkeys(EMOTIONS, 0) | {"happy": 4}
    reported = changed(room.summary(NOW_MS), window_s=600, changes=changes)
    history = HistoryWriter(engine)
    for _ in range(3):  # the publisher repeats it while the device lives
        history.write(gather([reported]))
    archive = Archive(engine)
    assert archive.count_tallied() == 4
    (bucket,) = archive.class_history(1, NOW_MS - 60_000, NOW_MS + 60_000)
    assert bucket.changes is not None
    assert sum(bucket.changes) == 4


def test_a_withheld_moment_that_comes_late_withholds_its_minute(engine, room):
    """Two workers may store a minute's summaries in any order: the small class shows in neither."""
    large, later = (changed(room.summary(NOW_MS + ms)) for ms in (20_000, 40_000))
    small = changed(room.summary(NOW_MS + 30_000), suppressed=True, faces=None, states=None)
    one, other = HistoryWriter(engine), HistoryWriter(engine)
    for history, batch in ((one, [large, later]), (other, [small]), (other, [small])):
        history.write(gather(batch))
    assert Archive(engine).class_history(1, NOW_MS, NOW_MS + 60_000) == []
    HistoryWriter(engine).write(gather([changed(room.summary(NOW_MS + 60_000))]))
    one.write(gather([changed(room.summary(NOW_MS + 100_000)), _moved(small, 60_000)]))
    assert Archive(engine).class_history(1, NOW_MS, NOW_MS + 120_000) == []


def _moved(message: Message, by_ms: int) -> Message:
    later = message.body.at + timedelta(milliseconds=by_ms)
    return replace(message, body=message.body.model_copy(update={"at": later}))


def test_what_the_broker_kept_is_no_sign_of_life(engine, room):
    """A device that is gone grows old, however often its retained messages are read again."""
    kept, later_ms = [room.status("online"), room.info(), room.health(NOW_MS)], NOW_MS + 86_400_000
    history = HistoryWriter(engine)
    history.write(gather(read(message) for message in kept))
    history.write(gather((read(message, later_ms) for message in kept), retained=True))
    (device,) = Archive(engine).devices()
    assert device.seen_ms == NOW_MS
    assert len(Archive(engine).health_history(device.id, NOW_MS - 60_000, later_ms)) == 1
    history.write(gather([read(room.health(later_ms), later_ms)]))
    assert Archive(engine).devices()[0].seen_ms == later_ms


def test_a_device_that_the_broker_alone_knows_is_enrolled(engine, room):
    """It is seen when what is kept of it is first read."""
    HistoryWriter(engine).write(gather([read(room.status("online"))], retained=True))
    assert Archive(engine).devices()[0].seen_ms == NOW_MS


def test_a_refusal_can_be_stored(engine, room):
    """Whatever a message holds, what is said of it is text that both databases take."""
    body = json.loads(room.health(NOW_MS).payload)
    body["stages"] = {"a\0\nb": next(iter(body["stages"].values()))}
    history, batch = HistoryWriter(engine), Batch()
    history.write(gather([read(room.status("online"))]))
    with pytest.raises(MessageError) as refused:
        read_message(room.health(NOW_MS).topic, json.dumps(body).encode(), received_ms=NOW_MS)
    batch.refuse(refused.value, received_ms=NOW_MS)
    history.write(batch)
    (problem,) = Archive(engine).problems()
    assert r"stages.a\x00\nb" in problem.detail

"""Which devices are believed: invented names hide nobody, are shown nowhere and leave nothing."""

from __future__ import annotations

import asyncio
import json

import paho.mqtt.client as paho
import pytest
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select

from dashboard.cli import main
from dashboard.live.hub import Hub
from dashboard.simulate.classroom import Classroom
from dashboard.store import schema as t
from dashboard.store.batch import gather
from dashboard.store.database import open_store
from dashboard.store.read import Archive
from dashboard.store.registry import WAITING, approve, enrolments, forget_device
from dashboard.store.retention import RetentionPolicy, purge
from dashboard.store.write import HistoryWriter
from emoshift.local_broker import free_port
from emoshift.messages import Message, Problem, read_message
from emoshift.settings import BrokerSettings
from emoshift.topics import Address, Kind
from tests.support.dashboard import NOW_MS
from tests.support.waiting import wait_until

ROOM, REAL = Address("school", "room-1"), Address("school", "room-2")


def status_of(address: Address, received_ms: int = NOW_MS) -> Message:
    message = Classroom(address, seed=1).status("online")
    return read_message(message.topic, message.payload, received_ms=received_ms)


def fakes(count: int, *, start: int = 0, received_ms: int = NOW_MS) -> list[Message]:
    return [status_of(Address("fake", f"d{n}"), received_ms) for n in range(start, start + count)]


def count(engine, table) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar() or 0)


def test_a_flood_of_names(engine):
    """Of twenty thousand names the stated number is approved, a few wait, nothing else is kept."""
    history = HistoryWriter(engine, automatic=10)
    history.write(gather([status_of(ROOM)]))
    for start in range(0, 20_000, 2000):
        history.write(gather(fakes(2000, start=start)))
    assert count(engine, t.DEVICE) == 10
    assert len(enrolments(engine, approved=False)) == WAITING
    problems = {p.problem: p.count for p in Archive(engine).problems()}
    assert problems == {Problem.UNKNOWN_DEVICE: 20_000 - 9}
    approve(engine, REAL, by="anna", now_ms=NOW_MS)  # nobody can crowd a name out
    history.write(gather([status_of(REAL)]))
    assert Archive(engine).addresses() >= {ROOM, REAL}


def test_waiting_makes_room(engine):
    """A name that is not heard again makes room in the list for a device that is."""
    history = HistoryWriter(engine, automatic=0)
    history.write(gather(fakes(WAITING)))
    later_ms = NOW_MS + 3_600_000
    history.write(gather([status_of(REAL, later_ms)]))
    assert [one.address for one in enrolments(engine, approved=False)] == [REAL]
    approve(engine, REAL, by="anna", now_ms=later_ms)
    history.write(gather([status_of(REAL, later_ms)]))
    assert Archive(engine).addresses() == {REAL}


def test_forgetting_leaves_nothing(engine):
    """A forgotten device is gone from every table; other writers learn of it; it waits again."""
    room = Classroom(ROOM, seed=1)
    reported = [room.status("online"), room.info(), room.health(NOW_MS), room.summary(NOW_MS)]
    reported += [room.change(NOW_MS + n) for n in range(20)]
    batch = gather([read_message(m.topic, m.payload, received_ms=NOW_MS) for m in reported])
    one, other = HistoryWriter(engine), HistoryWriter(engine)
    one.write(batch)
    other.write(batch)
    assert forget_device(engine, ROOM, now_ms=NOW_MS) >= 20
    for table in (t.DEVICE, t.EVENT, t.BOOT, t.TALLY, t.CLASS, t.HEALTH, t.NOTE):
        assert count(engine, table) == 0, table
    for history in (one, other):
        history.write(batch)
        assert count(engine, t.DEVICE) == 0
    approve(engine, ROOM, by="anna", now_ms=NOW_MS)
    assert one.write(batch).new == 20
    assert other.write(batch).duplicates == 20


def test_ageing(engine):
    """Boots without events go, and devices that were silent for long."""
    room, day_ms = Classroom(ROOM, seed=1), 86_400_000
    reported = [room.change(NOW_MS)]
    history = HistoryWriter(engine)
    history.write(gather([read_message(m.topic, m.payload, received_ms=NOW_MS) for m in reported]))
    keep = RetentionPolicy(events_days=10, minutes_days=400, audit_days=10, devices_days=100)
    purge(engine, keep, now_ms=NOW_MS + 50 * day_ms)
    assert (count(engine, t.BOOT), count(engine, t.DEVICE)) == (0, 1)
    again = json.loads(room.change(NOW_MS + 50 * day_ms).payload)
    topic = reported[0].topic
    message = read_message(topic, json.dumps(again).encode(), received_ms=NOW_MS + 50 * day_ms)
    assert history.write(gather([message])).new == 1
    assert len(list(Archive(engine).events(1, 0, NOW_MS + 99 * day_ms))) == 1
    purge(engine, keep, now_ms=NOW_MS + 200 * day_ms)
    assert count(engine, t.DEVICE) == 0


def test_the_hub_knows_enrolled_devices_alone(sqlite):
    """Live pages hold what a worker has enrolled; what is forgotten leaves them."""
    engine = open_store(sqlite)
    HistoryWriter(engine).write(gather([status_of(ROOM)]))
    archive = Archive(engine)

    async def story() -> None:
        hub = Hub(BrokerSettings())
        hub.restore(archive.devices())
        for message in fakes(5000):
            hub.apply(message, False)
        assert set(hub.devices) == {ROOM}
        HistoryWriter(engine).write(gather([status_of(REAL)]))
        assert hub.retain(archive.addresses()) == {REAL}
        hub.restore(archive.devices())
        assert hub.devices[REAL].status is not None
        forget_device(engine, ROOM, now_ms=NOW_MS)
        assert hub.retain(archive.addresses()) == set()
        assert set(hub.devices) == {REAL}

    asyncio.run(story())
    engine.dispose()


def test_commands(sqlite):
    """Devices are added, approved and forgotten by name; what is wrong is one line."""
    engine = open_store(sqlite)
    HistoryWriter(engine, automatic=0).write(gather([status_of(ROOM)]))
    engine.dispose()

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["devices", *arguments, "--database", sqlite])
        return done.exit_code, done.output

    assert run("list", "--waiting") == (0, "school/room-1\twaiting\n")
    assert run("approve", "school/room-2")[0] == 2
    assert run("add", "Not A Name")[0] == 2
    assert run("approve", "school/room-1")[0] == 0
    assert run("add", "school/room-2")[0] == 0
    assert run("list")[1].count("approved") == 2
    port = str(free_port())  # nobody listens there, which the log says
    code, said = run("forget", "school/room-1", "--broker", f"127.0.0.1:{port}")
    assert code == 0
    assert said.startswith("school/room-1: forgotten, 0 rows deleted\nWarning: retained messages")
    assert run("forget", "school/room-9")[0] == 2


@pytest.mark.broker
def test_forgetting_clears_retained_messages(sqlite, mqtt):
    """What the broker keeps of a forgotten device is cleared; that of others stays."""
    engine = open_store(sqlite)
    HistoryWriter(engine).write(gather([status_of(ROOM)]))
    engine.dispose()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.connect("127.0.0.1", mqtt)
    client.loop_start()
    for address in (ROOM, REAL):
        for kind in (Kind.STATUS, Kind.INFO, Kind.CLASS, Kind.HEALTH):
            client.publish(address.topic(kind), b"{}", qos=1, retain=True).wait_for_publish(10)
    here = ("--database", sqlite, "--broker", f"127.0.0.1:{mqtt}")
    assert CliRunner().invoke(main, ["devices", "forget", str(ROOM), *here]).exit_code == 0
    kept: list[str] = []
    client.on_message = lambda _c, _u, message: kept.append(message.topic)
    client.subscribe("emoshift/#")
    wait_until(lambda: len(kept) >= 4)
    client.disconnect()
    client.loop_stop()
    assert {topic.split("/")[3] for topic in kept} == {"room-2"}


@pytest.mark.parametrize("to", [2, 3])
def test_what_is_known_stays_known(sqlite, to):
    """A database of an earlier version keeps its devices, approved, and its viewers' classes."""
    from dashboard.store.accounts import People
    from dashboard.store.database import open_engine
    from dashboard.store.migrations import migrate

    engine = open_engine(sqlite)
    migrate(engine, to=to)
    with engine.begin() as connection:
        row = {"site": "school", "name": "room-1", "first_seen_ms": 1, "seen_ms": NOW_MS}
        connection.execute(t.DEVICE.insert(), row)
        if to == 2:
            values = {"name": "ben", "role": "viewer", "password": "x", "disabled": False}
            connection.execute(t.ACCOUNT.insert(), values)
    migrate(engine)
    assert [(one.address, one.approved) for one in enrolments(engine)] == [(ROOM, True)]
    assert People(engine).places("ben") == (["*"] if to == 2 else [])
    engine.dispose()

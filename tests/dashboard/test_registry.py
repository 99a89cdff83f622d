"""Which devices are believed: invented names hide nobody, are shown nowhere and leave nothing."""

from __future__ import annotations

import asyncio
import json
import time

import paho.mqtt.client as paho
import pytest
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select

from dashboard.cli import main
from dashboard.live.hub import Hub
from dashboard.simulate.classroom import Classroom
from dashboard.store import schema as t
from dashboard.store.accounts import People, Role
from dashboard.store.batch import gather
from dashboard.store.database import open_store
from dashboard.store.dead_letters import DeadLetters
from dashboard.store.lessons import write_note
from dashboard.store.read import Archive
from dashboard.store.registry import (
    OF_DEVICE,
    WAITING,
    approve,
    enrolments,
    forget_device,
)
from dashboard.store.repair import repair_device
from dashboard.store.retention import RetentionPolicy, purge
from dashboard.store.windows import release_windows
from dashboard.store.write import HistoryWriter
from emoshift.errors import UsageError
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
    device = Archive(engine).device(ROOM).id
    People(engine).put("anna", "a long password", Role.VIEWER)
    write_note(engine, device, author="anna", at_ms=NOW_MS, text="group work")
    release_windows(engine, device, now_ms=NOW_MS + 3_600_000, min_faces=5)
    assert count(engine, t.CLASS_WINDOW) == count(engine, t.ANNOTATION) == 1
    one.set_aside(ROOM.topic(Kind.TRANSITION), b"{}", "refused", received_ms=NOW_MS)
    one.set_aside(REAL.topic(Kind.TRANSITION), b"{}", "refused", received_ms=NOW_MS)
    assert forget_device(engine, ROOM, now_ms=NOW_MS) >= 20
    assert [letter.topic for letter in DeadLetters(engine).read()] == [REAL.topic(Kind.TRANSITION)]
    for table in (*OF_DEVICE, t.DEVICE, t.EVENT):
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
    purge(engine, keep, now_ms=NOW_MS + 50 * day_ms, min_faces=5)
    assert (count(engine, t.BOOT), count(engine, t.DEVICE)) == (0, 1)
    again = json.loads(room.change(NOW_MS + 50 * day_ms).payload)
    topic = reported[0].topic
    message = read_message(topic, json.dumps(again).encode(), received_ms=NOW_MS + 50 * day_ms)
    assert history.write(gather([message])).new == 1
    assert len(list(Archive(engine).events(1, 0, NOW_MS + 99 * day_ms))) == 1
    purge(engine, keep, now_ms=NOW_MS + 200 * day_ms, min_faces=5)
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


def test_a_repair_undoes_what_was_forged(engine):
    """Forged numbers go, the forged status is forgotten, a claimed boot id returns to its owner."""
    room, thief = Classroom(ROOM, seed=1), Classroom(REAL, seed=2)
    history = HistoryWriter(engine)
    events = [room.change(NOW_MS + n) for n in range(8)]
    stolen = json.loads(events[-1].payload)
    claimed = "e" * 32
    forged = [
        (thief.address.topic(Kind.TRANSITION), renumbered(stolen, thief, claimed, 5)),
        (events[0].topic, renumbered(stolen, room, stolen["boot_id"], 2**53 - 1)),
        (room.status("offline").topic, status_with(room, "offline", session=int(time.time()))),
    ]
    messages = [(m.topic, m.payload) for m in events] + forged
    store_all(history, messages)
    number = Archive(engine).device(ROOM).id
    assert Archive(engine).missing(number) > 2**50
    mine = [(events[0].topic, renumbered(stolen, room, claimed, n)) for n in (1, 2)]
    assert store_all(history, mine).new == 0  # the boot id is the thief's
    assert repair_device(engine, ROOM, boots=[claimed]) == 2
    assert Archive(engine).device(ROOM).status is None
    assert Archive(engine).missing(number) == 0
    assert Archive(engine).count_events() == Archive(engine).count_tallied() == 8
    store_all(history, [(room.status("online").topic, status_with(room, "online", session=7))])
    assert Archive(engine).device(ROOM).status["session"] == 7
    assert store_all(history, mine).new == 2
    with pytest.raises(UsageError, match="no such device"):
        repair_device(engine, Address("school", "nowhere"))
    with pytest.raises(UsageError, match="no event of this boot id"):
        repair_device(engine, ROOM, boots=["f" * 32])


def renumbered(body: dict, room: Classroom, boot: str, seq: int) -> str:
    """Return an event under another number."""
    name = {"boot_id": boot, "seq": seq, "event_id": f"{boot}:{seq}"}
    return json.dumps({**body, **name, "device": room.address.device})


def status_with(room: Classroom, state: str, *, session: int) -> str:
    return json.dumps({**json.loads(room.status(state).payload), "session": session})


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def store_all(history: HistoryWriter, messages: list[tuple[str, str]]):
    read = [read_message(topic, _bytes(body), received_ms=NOW_MS) for topic, body in messages]
    return history.write(gather(read))


def test_pages_follow_a_repair(sqlite):
    """The live pages believe what the history believes after a repair, with a lower number too."""
    engine = open_store(sqlite)
    room = Classroom(ROOM, seed=1)
    high = status_with(room, "offline", session=int(time.time()))
    store_all(HistoryWriter(engine), [(room.status("offline").topic, high)])
    archive = Archive(engine)

    async def story() -> None:
        hub = Hub(BrokerSettings())
        hub.restore(archive.devices())
        low = read_message(
            room.status("online").topic, room.status("online").payload, received_ms=NOW_MS
        )
        hub.apply(low, False)
        assert hub.devices[ROOM].status.state == "offline"
        version = archive.registry_version()
        repair_device(engine, ROOM)
        assert archive.registry_version() > version
        hub.correct(archive.devices())
        assert hub.devices[ROOM].status is None
        hub.apply(low, False)
        assert hub.devices[ROOM].status.state == "online"

    asyncio.run(story())
    engine.dispose()


@pytest.mark.broker
def test_the_repair_command(sqlite, mqtt):
    """It clears the status at the broker, too, and says what it did."""
    engine = open_store(sqlite)
    HistoryWriter(engine).write(gather([status_of(ROOM)]))
    engine.dispose()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.connect("127.0.0.1", mqtt)
    client.loop_start()
    for kind in (Kind.STATUS, Kind.INFO):
        client.publish(ROOM.topic(kind), b"{}", qos=1, retain=True).wait_for_publish(10)
    here = ("--database", sqlite, "--broker", f"127.0.0.1:{mqtt}")
    done = CliRunner().invoke(main, ["devices", "repair", str(ROOM), *here])
    assert (done.exit_code, done.output) == (
        0,
        "school/room-1: its next status is believed, 0 events deleted\n",
    )
    kept: list[str] = []
    client.on_message = lambda _c, _u, message: kept.append(message.topic)
    client.subscribe("emoshift/#")
    wait_until(lambda: kept)
    client.disconnect()
    client.loop_stop()
    assert kept == [ROOM.topic(Kind.INFO)]


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
    assert run("forget", "school/room-2", "school/room-9")[0] == 2  # which forgets neither
    assert "school/room-2\tapproved" in run("list")[1]


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
        for kind in (Kind.STATUS, Kind.INFO, Kind.CLASS, Kind.HEALTH, Kind.LEDGER):
            client.publish(address.topic(kind), b"{}", qos=1, retain=True).wait_for_publish(10)
    here = ("--database", sqlite, "--broker", f"127.0.0.1:{mqtt}")
    assert CliRunner().invoke(main, ["devices", "forget", str(ROOM), *here]).exit_code == 0
    kept: list[str] = []
    client.on_message = lambda _c, _u, message: kept.append(message.topic)
    client.subscribe("emoshift/#")
    wait_until(lambda: len(kept) >= 5)
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

"""Workers: nothing lost and nothing doubled, whatever stops or starts again."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.ingest.worker import Worker
from dashboard.simulate.classroom import Classroom, make_school
from dashboard.simulate.publish import PublishingLoad, Simulator
from dashboard.store.database import open_store
from dashboard.store.read import Archive
from emoshift.errors import UsageError
from emoshift.local_broker import free_port, local_broker
from emoshift.topics import Address
from tests.support.dashboard import settings
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.dashboard.postgres import Postgres
    from dashboard.config import Config

pytestmark = pytest.mark.broker


@contextlib.contextmanager
def working(config: Config) -> Iterator[Worker]:
    """A worker on a thread of this process."""
    engine, stop = open_store(config.history.database), threading.Event()
    worker = Worker(config, engine)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        archive = Archive(engine)
        name = config.worker.name
        wait_until(lambda: any(w.connected for w in archive.workers() if w.name == name))
        yield worker
    finally:
        stop.set()
        thread.join(timeout=30)
        engine.dispose()


def publish(port: int, messages: list[tuple[str, bytes]]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def simulate(config: Config, *, events: int, rate: float = 4000) -> None:
    reported = Simulator(config.broker, make_school(6, seed=1), connections=2).run(
        PublishingLoad(rate=rate, events=events), threading.Event()
    )
    assert reported.transitions == events


def test_everything_is_stored(mqtt, database, history):
    """What devices publish is in the history, each event once, in both databases."""
    config = settings(mqtt, database)
    with working(config) as worker:
        simulate(config, events=500)
        archive = history(database)
        wait_until(lambda: archive.count_events() == 500)
        assert len(archive.devices()) == 6
        assert worker.figures.refused == 0
        wait_until(lambda: archive.devices()[0].status["state"] == "stopped")
        assert sum(archive.missing(d.id) for d in archive.devices()) == 0


def test_two_workers_share(mqtt, postgres, history):
    """Two workers with one shared subscription store each event once, and both work."""
    database = postgres.make_database()
    first = settings(mqtt, database, worker={"name": "worker-1", "shared": True})
    second = settings(mqtt, database, worker={"name": "worker-2", "shared": True})
    with working(first) as one, working(second) as two:
        simulate(first, events=1000)
        archive = history(database)
        wait_until(lambda: archive.count_events() == 1000)
    assert one.figures.new + two.figures.new == 1000
    assert min(one.figures.new, two.figures.new) > 200
    assert one.figures.duplicates + two.figures.duplicates == 0


def test_bad_messages_are_counted(mqtt, sqlite, history):
    """What is malformed, oversized, unknown or forged is counted at its device, and not stored."""
    room = Classroom(Address("school", "room-1"), seed=1)
    good, topic = room.change(1_795_254_000_000), "emoshift/v1/school/room-1/transition"
    forged = json.loads(good.payload) | {"device": "room-2"}
    unknown = json.loads(good.payload) | {"schema": "emoshift.transition/9"}
    config = settings(mqtt, sqlite)
    with working(config) as worker:
        publish(mqtt, [(room.status("online").topic, room.status("online").payload)])
        publish(
            mqtt,
            [
                (topic, b"{"),
                (topic, b" " * 20_000),
                (topic, json.dumps(forged).encode()),
                (topic, json.dumps(unknown).encode()),
                ("emoshift/v1/school/room-1/picture", b"{}"),
                (good.topic, good.payload),
            ],
        )
        archive = history(sqlite)
        wait_until(lambda: worker.figures.refused == 5 and archive.count_events() == 1)
    assert {(str(p.address), p.problem) for p in archive.problems()} == {
        ("school/room-1", "malformed"),
        ("school/room-1", "oversized"),
        ("school/room-1", "forged"),
        ("school/room-1", "schema"),
        ("-/-", "topic"),
    }


def test_the_broker_keeps_what_comes_while_no_worker_is_there(mqtt, sqlite, history):
    """Events published while the worker is away are stored when it is back."""
    config = settings(mqtt, sqlite)
    with working(config):
        simulate(config, events=50)
    simulate(config, events=60)  # other boots: the same seed, but numbers go on from 1
    with working(config) as worker:
        archive = history(sqlite)
        wait_until(lambda: archive.count_events() == 60 and worker.figures.received > 0)


@pytest.mark.slow
def test_the_database_may_go_away(mqtt, postgres: Postgres, history):
    """While the database is down events wait; when it is back they are stored, each once."""
    config = settings(mqtt, postgres.make_database())
    with working(config) as worker:
        postgres.stop()
        try:
            simulate(config, events=400)
            wait_until(lambda: worker.figures.stalled)
        finally:
            postgres.start()
        archive = history(config.history.database)
        wait_until(lambda: archive.count_events() == 400)
        assert not worker.figures.stalled


@pytest.mark.slow
def test_restarts_lose_and_double_nothing(tmp_path, sqlite, history):
    """Killed workers and a restarted broker: every event is there, once."""
    port = free_port()
    config = settings(port, sqlite)
    archive = history(sqlite)
    rooms = make_school(4, seed=3)
    stop = threading.Event()

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dashboard", "worker"]
        return subprocess.Popen([*command, "--broker", f"127.0.0.1:{port}", "--database", sqlite])

    with contextlib.ExitStack() as stack:
        first = contextlib.ExitStack()
        first.enter_context(local_broker(tmp_path, port=port, persistent=True))
        worker = start()
        stack.callback(lambda: (worker.terminate(), worker.wait()))
        wait_until(lambda: any(w.connected for w in archive.workers()))
        simulator = Simulator(config.broker, rooms, connections=2)
        published: list[int] = []
        thread = threading.Thread(
            target=lambda: published.append(
                simulator.run(PublishingLoad(rate=150, events=3000), stop).transitions
            )
        )
        thread.start()
        for _ in range(3):  # a worker that is killed in the middle of its work
            stop.wait(2)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = start()
        first.close()  # and a broker that is restarted
        stack.enter_context(local_broker(tmp_path, port=port, persistent=True))
        thread.join(timeout=120)
        assert published == [3000]
        wait_until(lambda: archive.count_events() == 3000, timeout_s=60)
    assert sum(archive.missing(device.id) for device in archive.devices()) == 0


@pytest.mark.slow
def test_an_old_broker(tmp_path, sqlite, history):
    """A broker that speaks MQTT 3.1.1 alone is served too, with nothing to configure."""
    pytest.importorskip("amqtt")
    port = free_port()
    config = settings(port, sqlite)
    with (
        local_broker(tmp_path, port=port, use_mosquitto=False) as broker,
        working(config) as worker,
    ):
        assert broker.name == "amqtt"
        simulate(config, events=100, rate=200)
        archive = history(sqlite)
        wait_until(lambda: archive.count_events() == 100)
        assert worker.figures.refused == 0


def test_a_school_without_a_camera_ends(mqtt, sqlite):
    """Simulated devices whose cameras are all lost have no transitions to wait for."""
    rooms = make_school(1, seed=8)
    assert not rooms[0].sees
    with pytest.raises(UsageError, match="--seed"):
        Simulator(settings(mqtt, sqlite).broker, rooms).run(
            PublishingLoad(rate=100, events=5), threading.Event()
        )

"""Three subscribers and a broker that is killed again and again: who asks again misses nothing."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from emoshift.messages import Transition
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import Gap, NewEvent, listen
from tests.faults.report import add_to_report
from tests.faults.test_storm import WHOLE
from tests.support.brokers import MOSQUITTO, BrokerProcess, wait_until
from tests.support.events import changes
from tests.support.publishing import Running, make_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.outbox.store import Outbox

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]

KILLS, EVERY_S = (20, 2.0) if WHOLE else (3, 1.0)
RATE_HZ = 40
SETTINGS = Path(__file__).parents[2] / "packaging/mosquitto/emoshift.conf"


class Helper:
    """A subscriber with the helper, a name and a state file; it can be stopped and started."""

    def __init__(self, port: int, state: Path) -> None:
        self.came: Counter[str] = Counter()
        self.gaps: list[Gap] = []
        self._port = port
        self._state = state
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        broker = Broker(host="127.0.0.1", port=self._port, client_id="archive")
        for news in listen(broker, self._stop, state=self._state):
            if isinstance(news, NewEvent):
                self.came[news.event.track] += 1
            elif isinstance(news, Gap):
                self.gaps.append(news)

    def restart(self, away_s: float) -> None:
        """Be away for a while."""
        self.stop()
        time.sleep(away_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(30.0)


class Plain:
    """A subscriber as others write them: back first, and it asks for nothing."""

    def __init__(self, port: int) -> None:
        self.came: Counter[str] = Counter()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("emoshift/v1/#", qos=1)
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/transition"):
            self.came[Transition.from_json(message.payload).track] += 1

    def stop(self) -> None:
        """End."""
        self._client.disconnect()
        self._client.loop_stop()


def store(outbox: Outbox, stop: threading.Event, count: list[int]) -> None:
    """Store events until told to stop."""
    while not stop.wait(1 / RATE_HZ):
        outbox.append(changes(1, start=count[0]))
        count[0] += 1


def lost_by(came: Counter[str], count: int) -> int:
    return sum(f"t{i}" not in came for i in range(count))


@pytest.mark.timeout(600)
def test_three_subscribers(
    tmp_path: Path, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dashboard and the helper get every event, whoever else is back first."""
    dashboard = pytest.importorskip("dashboard.ingest.worker")
    from dashboard.config import load_config
    from dashboard.store.database import open_store
    from dashboard.store.read import Archive

    settings = f"{SETTINGS.read_text()}\npersistence_location {tmp_path}/broker/\n"
    chance, count, stop = random.Random(7), [0], threading.Event()
    database = str(tmp_path / "dashboard.db")
    with BrokerProcess(tmp_path / "broker", settings=settings, persistence=True) as broker:
        config = load_config(
            None,
            broker={"host": "127.0.0.1", "port": broker.port},
            history={"database": database},
            devices={"automatic": True},
        )
        engine = open_store(database)
        archive = Archive(engine)
        worker = dashboard.Worker(config, engine)
        working = threading.Thread(target=worker.run, args=(stop,))
        working.start()
        plain, helper = Plain(broker.port), Helper(broker.port, tmp_path / "state.json")
        wait_until(lambda: any(w.connected for w in archive.workers()))
        storing = threading.Thread(target=store, args=(outbox, stop, count))
        with Running(make_config(tmp_path, broker.port), grace_s=10.0):
            storing.start()
            wait_until(lambda: count[0] >= 2 * RATE_HZ)
            for number in range(KILLS):
                time.sleep(EVERY_S * chance.uniform(0.5, 1.5))
                broker.kill()
                time.sleep(chance.uniform(0.1, 1.5))
                broker.start()
                if number % 5 == 2:
                    helper.restart(0.5)
            after_s = count[0] + RATE_HZ
            wait_until(lambda: count[0] >= after_s)
            ended_s, stopping = time.monotonic(), count[0]
            stop_storing(stop, storing, outbox)
            working.join(30.0)
            total = count[0]
            stop.clear()
            working = threading.Thread(target=worker_again, args=(dashboard, config, engine, stop))
            working.start()
            missing = wait_for_all(archive.count_events, helper, total)
            took_s = time.monotonic() - ended_s
        helper.stop()
        plain.stop()
        stop.set()
        working.join(30.0)
        stored = archive.count_events()
        engine.dispose()
    assert stopping <= total
    add_to_report(
        capsys,
        "three subscribers, broker killed",
        {
            "broker": f"{broker.kind} with packaging/mosquitto/emoshift.conf",
            "broker killed": KILLS,
            "events decided": total,
            "stored by the dashboard": stored,
            "lost at the dashboard": total - stored,
            "lost at the helper (restarted in between)": lost_by(helper.came, total),
            "passed on twice by the helper": sum(n > 1 for n in helper.came.values()),
            "gaps reported by the helper, filled since": len(helper.gaps),
            "lost at a subscriber that asks for nothing": lost_by(plain.came, total),
            "until everything was there (s)": round(took_s, 1),
        },
    )
    assert missing == 0
    assert (stored, lost_by(helper.came, total)) == (total, 0)
    assert max(helper.came.values()) == 1


def stop_storing(stop: threading.Event, storing: threading.Thread, outbox: Outbox) -> None:
    stop.set()
    storing.join()
    wait_until(lambda: outbox.stats().depth == 0, 60.0)


def worker_again(dashboard, config, engine, stop) -> None:
    """The dashboard's worker is restarted, too."""
    dashboard.Worker(config, engine).run(stop)


def wait_for_all(stored: Callable[[], int], helper: Helper, total: int) -> int:
    """Wait until both have everything; returns how many are missing in the end."""
    until_s = time.monotonic() + 90.0
    while time.monotonic() < until_s:
        if stored() == total and lost_by(helper.came, total) == 0:
            return 0
        time.sleep(0.2)
    return max(total - stored(), lost_by(helper.came, total))

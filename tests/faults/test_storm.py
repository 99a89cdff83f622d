"""Both processes and the broker killed hundreds of times, the wire cut in between: nothing is lost.

The whole storm runs with ``EMOSHIFT_FAULTS=1`` (``make test-faults``): at least 20,000 events and
300 kills. Without it a small one does, so that the plain suite notices what breaks.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from edge.outbox.store import Outbox
from tests.faults.processes import Child, decide, publish
from tests.faults.report import add_to_report
from tests.support.brokers import BadWire, BrokerProcess
from tests.support.publishing import Listening
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker

WHOLE = os.environ.get("EMOSHIFT_FAULTS") == "1"
EVENTS, KILLS = (20_000, 300) if WHOLE else (300, 12)

CONFIG = """
[device]
site = "school"
name = "room-12"
[outbox]
path = "{outbox}"
[mqtt]
host = "127.0.0.1"
port = {port}
"""
FAULTS = {
    "kill vision": 6,
    "kill publish": 6,
    "kill both": 2,
    "kill broker": 1,
    "cut": 2,
    "cut in mid-acknowledgement": 2,
    "stall": 1,
}


class Storm:
    """The daemon's processes, a broker, a bad wire between them, a subscriber, and a ledger."""

    def __init__(self, folder: Path, broker: BrokerProcess, wire: BadWire, ear: Listening) -> None:
        self.outbox = folder / "outbox.db"
        self.ledger = folder / "ledger"
        self.ledger.touch()
        config = folder / "edge.toml"
        config.write_text(CONFIG.format(outbox=self.outbox, port=wire.port))
        self.broker = broker
        self.wire = wire
        self.ear = ear
        self.injected: Counter[str] = Counter()
        self.broker_kills = 0
        self.outages_s: list[float] = []
        self.vision = Child(decide, lambda n: (str(self.outbox), str(self.ledger), n, 120.0))
        self.publish = Child(publish, lambda _: (str(config), str(folder / "publish.log")))
        self.chance = random.Random(20261121)

    @property
    def kills(self) -> int:
        """Processes killed so far."""
        return self.vision.kills + self.publish.kills + self.broker_kills

    def committed(self) -> list[tuple[str, str]]:
        """Event id and track of every event that the vision process knows to be stored."""
        lines = self.ledger.read_text().split("\n")[:-1]  # the last may be cut by a kill
        return [(a, b) for a, _, b in (line.partition(" ") for line in lines)]

    def inject(self) -> None:
        """Do one thing to it."""
        fault = self.chance.choices(list(FAULTS), weights=list(FAULTS.values()))[0]
        self.injected[fault] += 1
        match fault:
            case "kill vision":
                self.vision.kill()
                self.vision.start()
            case "kill publish":
                self.publish.kill()
                self.publish.start()
            case "kill both":
                self.vision.kill()
                self.publish.kill()
                self.publish.start()
                self.vision.start()
            case "kill broker":
                self.broker.kill()
                self.broker_kills += 1
                time.sleep(self.chance.uniform(0.05, 1.0))
                self.broker.start()
            case "cut":
                self.wire.cut()
            case "cut in mid-acknowledgement":
                self.wire.cut_after(self.chance.randrange(1, 200))
            case "stall":
                self.wire.block()
                time.sleep(self.chance.uniform(0.1, 1.0))
                self.wire.unblock()


@pytest.mark.timeout(2400)
def test_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every committed event reaches the subscriber once, whatever is killed or cut."""
    started_s = time.monotonic()
    with (
        BrokerProcess(tmp_path / "broker") as broker,
        BadWire(broker.port) as wire,
        Listening(broker.port) as ear,
    ):
        storm = Storm(tmp_path, broker, wire, ear)
        storm.publish.start()
        storm.vision.start()
        try:
            while storm.kills < KILLS or len(storm.committed()) < EVENTS:
                time.sleep(storm.chance.uniform(0.1, 0.8))
                storm.inject()
            storm.vision.kill()
            calm_s = time.monotonic()
            with Outbox.open(storm.outbox, writer=False) as outbox:
                wait_until(lambda: outbox.stats().depth == 0, 120.0)
            with contextlib.suppress(TimeoutError):  # the report below says what is missing
                # What a request before the last cut asked for is asked for again after 30 s.
                wait_until(lambda: len(ear.tracks) >= len(storm.committed()), 60.0)
        finally:
            storm.vision.kill()
            storm.publish.stop()
        report = _report(storm, calm_s - started_s)
    add_to_report(capsys, "storm of kills", report)
    assert report["events lost"] == 0
    assert report["events repeated after the helper"] == 0
    assert report["gaps reported and never filled"] == 0


def _report(storm: Storm, seconds: float) -> dict[str, object]:
    reported = Counter(storm.ear.tracks)
    committed = [track for _, track in storm.committed()]
    missing = [track for track in committed if track not in reported]
    gaps = sum(gap.count for gap in storm.ear.gaps)
    with Outbox.open(storm.outbox, writer=False) as outbox:
        set_aside, losses = outbox.stats().set_aside, outbox.losses()
    lost_and_reported = sum(loss.count for loss in losses)
    return {
        "broker": storm.broker.kind,
        "seconds": round(seconds),
        "faults injected": dict(storm.injected),
        "processes killed": storm.kills,
        "events committed": len(committed),
        "events passed on": sum(reported.values()),
        "events lost": len(missing),
        "set aside": set_aside,
        "reported as lost by the ledger": lost_and_reported,
        "events repeated after the helper": sum(n - 1 for n in reported.values()),
        "gaps reported and never filled": gaps - storm.ear.late,
    }

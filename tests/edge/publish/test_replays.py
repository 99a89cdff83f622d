"""Sending again what subscribers have asked for, without a broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge.outbox.store import Outbox
from edge.publish.ledger import Replays
from emoshift.clock import boot_session
from emoshift.messages import Replay
from tests.support.clocks import SetClock
from tests.support.events import changes

if TYPE_CHECKING:
    from pathlib import Path

    from emoshift.mqtt.connection import OutgoingMessage


def test_an_event_that_cannot_be_sent_takes_no_room(tmp_path: Path) -> None:
    """One that is too large for the broker is passed over: no answer to it will ever come."""
    sent: list[str] = []

    def send(message: OutgoingMessage) -> int:
        track = json.loads(message.payload)["track"]
        if track == "t1":
            return -1
        sent.append(track)
        return len(sent)

    clock = SetClock()
    with Outbox.open(tmp_path / "outbox.db", writer=True, clock=clock) as outbox:
        stored = outbox.append(changes(4))
        assert outbox.ack([row.id for row in outbox.peek()])
        replays = Replays(
            outbox,
            base="emoshift/v1/school/room-12",
            device="room-12",
            clock=clock,
            boot_session=boot_session(),
        )
        wanted = Replay(device="room-12", boot_id=stored[0].boot_id, first=1, last=4)
        replays.request(wanted.to_json().encode())
        for _ in range(8):
            replays.send_pending(send, window=1)
            replays.acknowledge(len(sent))
    assert sent == ["t0", "t2", "t3"]

"""Tells subscribers what was sent and what is lost, and sends again what they ask for."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from edge.publish.delivery import finalise_event
from emoshift.messages import BootNumbers, Ledger, LostNumbers, MessageError, Replay
from emoshift.mqtt.connection import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.outbox.losses import Loss
    from edge.outbox.settings import BootRange
    from edge.outbox.store import Outbox
    from emoshift.clock import ClockReading

log = logging.getLogger(__name__)

LEDGER_EVERY_S: Final = 10.0
"""How often the ledger is made anew where something has changed."""
BOOTS: Final = 32
LOSSES: Final = 64
"""How many boot ids and losses a ledger names: it stays below 16 kB."""
REQUESTS: Final = 32
"""How many requests wait at a time; more are dropped, for subscribers ask again."""
LARGEST_REQUEST_BYTES: Final = 1024
AT_A_TIME: Final = 10
"""Events sent again at a time, so that new ones do not wait for them."""
MOST_EVENTS: Final = 10_000
"""The most events of one request."""


class LedgerKeeper:
    """Makes the ledger when it is due.

    Args:
        outbox: Knows the numbers.
        base: The device's topic.
        device: Its name.
    """

    def __init__(self, outbox: Outbox, *, base: str, device: str) -> None:
        self._outbox = outbox
        self._topic = f"{base}/ledger"
        self._device = device
        self._sent = ""
        self._due_s = 0.0

    def restart(self, now_s: float) -> None:
        """On a new connection it is due again, shortly after the first events."""
        self._sent = ""
        self._due_s = now_s + 1.0

    def repeat(self) -> None:
        """Send it at the next occasion though nothing has changed."""
        self._sent = ""

    def cleared(self) -> OutgoingMessage:
        """Return the message that removes the ledger from the broker."""
        return OutgoingMessage(topic=self._topic, payload="", qos=1, retain=True)

    def due(self, now_s: float, *, largest_bytes: int | None) -> OutgoingMessage | None:
        """Return the message to send now, if it is due and says something new."""
        if now_s < self._due_s:
            return None
        self._due_s = now_s + LEDGER_EVERY_S
        runs, losses = self._outbox.runs(), self._outbox.losses()
        for share in (1, 2, 4, 8):  # the latest part, where all of it is too large for the broker
            message = self._message(runs[-(BOOTS // share) :], losses[-(LOSSES // share) :])
            if largest_bytes is None or message.size_bytes <= largest_bytes:
                break
        if message.payload == self._sent:
            return None
        self._sent = message.payload
        return message

    def _message(self, runs: list[BootRange], losses: list[Loss]) -> OutgoingMessage:
        ledger = Ledger(
            device=self._device,
            boots=[
                BootNumbers(boot_id=r.boot_id, kept_from=r.kept_from, settled=r.settled)
                for r in runs
            ],
            lost=[
                LostNumbers(boot_id=x.boot_id, first=x.first, last=x.last, reason=x.reason)  # type: ignore[arg-type] # checked by the model
                for x in losses
            ],
        )
        return OutgoingMessage(topic=self._topic, payload=ledger.to_json(), qos=1, retain=True)


class Replays:
    """Events that subscribers have asked for again; the only thing that anybody can ask for.

    Args:
        outbox: Keeps them.
        base: The device's topic.
        device: Its name.
        clock: Reads the clocks.
        boot_session: This run of the kernel.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        base: str,
        device: str,
        clock: Callable[[], ClockReading],
        boot_session: str,
    ) -> None:
        self.topic = f"{base}/replay"
        self._outbox = outbox
        self._to = f"{base}/transition"
        self._device = device
        self._clock = clock
        self._boot_session = boot_session
        self._requests: deque[tuple[str, int, int]] = deque()
        self._tokens: set[int] = set()

    def request(self, payload: bytes) -> None:
        """Take in a request; anything that is none is ignored."""
        if len(payload) > LARGEST_REQUEST_BYTES or len(self._requests) >= REQUESTS:
            return
        try:
            request = Replay.from_json(payload)
        except MessageError as why:
            log.debug("no request for events: %s", why)
            return
        last = min(request.last, request.first + MOST_EVENTS - 1)
        wanted = (request.boot_id, request.first, last)
        if request.device == self._device and wanted not in self._requests:
            self._requests.append(wanted)

    def restart(self) -> None:
        """On a new connection nothing is under way."""
        self._tokens.clear()

    def send_pending(self, send: Callable[[OutgoingMessage], int], *, window: int) -> bool:
        """Send some events again; true when a request has been answered to its end."""
        room = min(AT_A_TIME, window) - len(self._tokens)
        if not self._requests or room <= 0:
            return False
        boot_id, first, last = self._requests.popleft()
        rows = self._outbox.sent(boot_id, first, last, limit=room)
        for row in rows:
            event = finalise_event(row, now=self._clock(), boot_session=self._boot_session)
            payload = event.model_copy(update={"historical": True, "backlog": True}).to_json()
            token = send(OutgoingMessage(topic=self._to, payload=payload, qos=1, retain=False))
            if token >= 0:  # one that was not sent is never acknowledged
                self._tokens.add(token)
        if len(rows) == room and rows[-1].event.seq < last:
            self._requests.appendleft((boot_id, rows[-1].event.seq + 1, last))
            return False
        return True

    def acknowledge(self, token: int) -> bool:
        """The broker has answered a message; false if it was none of these."""
        if token not in self._tokens:
            return False
        self._tokens.remove(token)
        return True

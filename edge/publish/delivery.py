"""From the outbox to the broker: in order, a window at a time, gone only when acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emoshift.mqtt.connection import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.outbox.records import Row
    from edge.outbox.store import Outbox
    from emoshift.clock import ClockReading
    from emoshift.messages import Transition

HISTORICAL_AFTER_S: Final = 10.0
"""An event told later than this is history: nothing should be switched because of it."""
FLUSH_EVERY_S: Final = 1.0
FLUSH_AT: Final = 200
"""Acknowledged rows are removed in batches, which spares the disk. Those of a lost batch are told
again, and dropped by their ``event_id``."""


def present(row: Row, *, now: ClockReading, kernel: str) -> Transition:
    """Return the event as it is told now: dated by a clock set since, marked if it is late.

    Only within the run of the kernel that stored it can the monotonic clock tell what the date was
    and how long ago it is.
    """
    event = row.event
    if row.kernel != kernel:
        return event.model_copy(update={"historical": True})
    if now.synced and not event.clock_synced:
        moved_s = now.offset_s - (row.utc_s - row.monotonic_s)
        event = event.moved(moved_s)
    late = now.monotonic_s - row.monotonic_s > HISTORICAL_AFTER_S
    return event.model_copy(update={"historical": late})


class Delivery:
    """Keeps the window of events that were sent and not acknowledged.

    Args:
        outbox: Where they come from.
        topic: Where they go.
        clock: Reads the clocks.
        kernel: This run of the kernel.
    """

    def __init__(
        self, outbox: Outbox, *, topic: str, clock: Callable[[], ClockReading], kernel: str
    ) -> None:
        self._outbox = outbox
        self._topic = topic
        self._clock = clock
        self._kernel = kernel
        self._cursor = 0
        self._generation = outbox.generation
        self._in_flight: dict[int, int] = {}  # token -> row id
        self._taken: list[int] = []
        self._flushed_s = 0.0
        self._more = True

    @property
    def more(self) -> bool:
        """Whether the outbox held more than the window had room for."""
        return self._more

    @property
    def in_flight(self) -> int:
        """How many events the broker has yet to acknowledge."""
        return len(self._in_flight)

    def restart(self) -> None:
        """On a new connection everything not acknowledged is sent again, oldest first."""
        self._cursor = 0
        self._more = True
        self._in_flight.clear()

    def fill(self, send: Callable[[Message], int], *, window: int) -> int:
        """Send as many events as the window has room for; returns how many."""
        self._follow_outbox()
        room = window - len(self._in_flight)
        if room <= 0:
            return 0
        now, sent, taken = self._clock(), 0, set(self._taken)
        for row in self._outbox.peek(after=self._cursor, limit=room + len(taken)):
            if sent == room:
                break
            self._cursor = row.id
            if row.id in taken:
                continue
            payload = present(row, now=now, kernel=self._kernel).to_json()
            token = send(Message(topic=self._topic, payload=payload, qos=1, retain=False))
            self._in_flight[token] = row.id
            sent += 1
        self._more = sent == room
        return sent

    def take(self, token: int) -> bool:
        """The broker has taken a message; false if it was none of the events."""
        row = self._in_flight.pop(token, None)
        if row is None:
            return False
        self._taken.append(row)
        return True

    def refuse(self, token: int) -> bool:
        """The broker has refused a message; the event stays. False if it was none of them."""
        return self._in_flight.pop(token, None) is not None

    def flush(self, *, force: bool = False) -> None:
        """Remove what was taken from the outbox, now and then or when there is much of it."""
        if not self._taken:
            return
        now_s = self._clock().monotonic_s
        due = force or len(self._taken) >= FLUSH_AT or now_s - self._flushed_s >= FLUSH_EVERY_S
        if due:
            self._follow_outbox()
            self._flushed_s = now_s
            if self._outbox.ack(self._taken):
                self._taken.clear()

    def _follow_outbox(self) -> None:
        """After the file was opened anew its row ids may mean other events: start over."""
        if self._generation != self._outbox.generation:
            self._generation = self._outbox.generation
            self._taken.clear()
            self.restart()

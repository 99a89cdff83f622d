"""From the outbox to the broker: in order, a window at a time, gone only when acknowledged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emoshift.mqtt.connection import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.outbox.records import StoredEvent
    from edge.outbox.store import Outbox
    from emoshift.clock import ClockReading
    from emoshift.messages import Transition

HISTORICAL_AFTER_S: Final = 10.0
"""An event sent later than this is history: nothing should be switched because of it."""
FLUSH_EVERY_S: Final = 1.0
FLUSH_AT: Final = 200
"""Acknowledged rows are removed in batches, which spares the disk. Those of a lost batch are sent
again, and dropped by their ``event_id``."""
BACKLOG: Final = 1000
"""While more events than this wait at the start of a connection, new ones go before them."""
TRIES: Final = 3
"""An event refused so often, while others were taken, is set aside."""
RETRY_S: Final = 1.0
"""Half of the time after which a refused event is tried again; doubled each time, 64 s at most."""
SAME_FOR_ALL: Final = 3
"""When so many events are refused and none is taken, it is not the events."""

log = logging.getLogger(__name__)


def finalise_event(row: StoredEvent, *, now: ClockReading, boot_session: str) -> Transition:
    """Return the event as it is sent now: dated by a clock set since, marked if it is late.

    Only within the run of the kernel that stored it does the monotonic clock show what the date was
    and how long ago it is.
    """
    event = row.event
    if row.boot_session != boot_session:
        return event.model_copy(update={"historical": True})
    if now.synced and not event.clock_synced:
        moved_s = now.offset_s - (row.utc_s - row.monotonic_s)
        event = event.moved(moved_s)
    late = now.monotonic_s - row.monotonic_s > HISTORICAL_AFTER_S
    return event.model_copy(update={"historical": late})


@dataclass(slots=True)
class _Suspect:
    """An event that the broker has refused.

    Attributes:
        reason: What it said last.
        proofs: How often it was refused although other events had been taken since.
        acknowledged: How many events had been acknowledged at the last refusal.
        due_s: When it is tried again.
        tries: How often it was refused.
    """

    reason: str = ""
    proofs: int = 0
    acknowledged: int = -1
    due_s: float = 0.0
    tries: int = 0


class Delivery:
    """Keeps the window of events that were sent and not acknowledged.

    In order, with two exceptions. While more than `BACKLOG` events wait, new ones go first, marked
    ``backlog``. And an event that the broker refuses is tried later; when it was refused
    `TRIES` times while others were taken, it is set aside in the outbox.

    Args:
        outbox: Where they come from.
        topic: Where they go.
        clock: Reads the clocks.
        boot_session: This run of the kernel.
    """

    def __init__(
        self, outbox: Outbox, *, topic: str, clock: Callable[[], ClockReading], boot_session: str
    ) -> None:
        self._outbox = outbox
        self._topic = topic
        self._clock = clock
        self._boot_session = boot_session
        self._cursor = 0
        self._split: int | None = None
        self._live_cursor = 0
        self._generation = outbox.generation
        self._in_flight: dict[int, int] = {}  # token -> row id
        self._acknowledged: list[int] = []
        self._acknowledged_count = 0
        self._suspects: dict[int, _Suspect] = {}
        self._flushed_s = 0.0
        self._has_more = True
        self.largest_bytes: int | None = None

    @property
    def has_more(self) -> bool:
        """Whether the outbox held more than the window had room for."""
        return self._has_more or self._retry_due()

    @property
    def in_flight(self) -> int:
        """How many events the broker has yet to acknowledge."""
        return len(self._in_flight)

    @property
    def refuses_all(self) -> bool:
        """Whether the broker has refused several events and taken none since."""
        last = [s for s in self._suspects.values() if s.acknowledged == self._acknowledged_count]
        return len(last) >= SAME_FOR_ALL

    def restart(self) -> None:
        """On a new connection everything not acknowledged is sent again, oldest first."""
        self._cursor = 0
        self._has_more = True
        self._in_flight.clear()
        self._split = None
        if self._outbox.stats().depth > BACKLOG:
            self._split = self._outbox.newest_id() + 1
            self._live_cursor = self._split - 1

    def send_pending(self, send: Callable[[OutgoingMessage], int], *, window: int) -> int:
        """Send as many events as the window has room for; returns how many."""
        self._follow_outbox()
        room = window - len(self._in_flight)
        if room <= 0:
            return 0
        if self.refuses_all:  # one of them shows whether that has changed
            self._has_more = False
            return self._retry(send, 1) if not self._in_flight else 0
        sent = self._retry(send, room)
        if self._split is not None:
            sent += self._send_live(send, room - sent)
        rows, self._cursor, went = self._send_after(
            send, self._cursor, room - sent, before=self._split
        )
        sent += went
        if self._split is not None and not rows and sent < room:
            self._cursor, self._split = self._live_cursor, None  # the backlog has been sent
        self._has_more = sent == room or self._split is not None
        return sent

    def _send_live(self, send: Callable[[OutgoingMessage], int], room: int) -> int:
        _, self._live_cursor, sent = self._send_after(send, self._live_cursor, room, backlog=True)
        return sent

    def _send_after(
        self,
        send: Callable[[OutgoingMessage], int],
        cursor: int,
        room: int,
        *,
        before: int | None = None,
        backlog: bool = False,
    ) -> tuple[int, int, int]:
        """Send what comes after a cursor.

        Returns:
            How many rows were found, the new cursor, and how many were sent.
        """
        if room <= 0:
            return 1, cursor, 0
        passed = set(self._acknowledged) | self._suspects.keys()
        rows = self._outbox.peek(after=cursor, before=before, limit=room + len(passed))
        sent = 0
        for row in rows:
            if sent == room:
                break
            cursor = row.id
            if row.id not in passed:
                sent += self._send(send, row, backlog=backlog)
        return len(rows), cursor, sent

    def _send(
        self, send: Callable[[OutgoingMessage], int], row: StoredEvent, *, backlog: bool = False
    ) -> int:
        event = finalise_event(row, now=self._clock(), boot_session=self._boot_session)
        if backlog:
            event = event.model_copy(update={"backlog": True})
        message = OutgoingMessage(topic=self._topic, payload=event.to_json(), qos=1, retain=False)
        if self.largest_bytes is not None and message.size_bytes > self.largest_bytes:
            self._suspect(row.id, f"larger than the broker's limit of {self.largest_bytes} bytes")
            return 0
        self._in_flight[send(message)] = row.id
        return 1

    def _retry_due(self) -> bool:
        now_s = self._clock().monotonic_s
        return any(s.due_s <= now_s for s in self._suspects.values())

    def _retry(self, send: Callable[[OutgoingMessage], int], room: int) -> int:
        """Send refused events again whose time has come."""
        if not self._suspects or not self._retry_due():
            return 0
        now_s, flying, sent = self._clock().monotonic_s, set(self._in_flight.values()), 0
        for number, suspect in list(self._suspects.items()):
            if suspect.due_s > now_s or number in flying or sent == room:
                continue
            rows = self._outbox.peek(after=number - 1, before=number + 1, limit=1)
            if rows:
                suspect.due_s = now_s + RETRY_S
                sent += self._send(send, rows[0])
            else:
                del self._suspects[number]
        return sent

    def acknowledge(self, token: int) -> bool:
        """The broker has taken a message; false if it was none of the events."""
        row = self._in_flight.pop(token, None)
        if row is None:
            return False
        self._acknowledged.append(row)
        self._acknowledged_count += 1
        self._suspects.pop(row, None)
        return True

    def mark_unheard(self, token: int) -> bool:
        """Nobody has heard a message; the event stays. False if it was none of them."""
        return self._in_flight.pop(token, None) is not None

    def refuse(self, token: int, reason: str) -> bool:
        """The broker has refused a message. False if it was none of the events."""
        row = self._in_flight.pop(token, None)
        if row is None:
            return False
        self._suspect(row, reason)
        return True

    def suspect_current(self, reason: str) -> None:
        """The broker has ended the connection because of what was sent, or gave no reason again.

        Only where a single event was under way is it certain which one.
        """
        if len(self._in_flight) == 1:
            (row,) = self._in_flight.values()
            self._suspect(row, reason)

    def _suspect(self, row: int, reason: str) -> None:
        suspect = self._suspects.setdefault(row, _Suspect())
        if self._acknowledged_count > suspect.acknowledged >= 0:
            suspect.proofs += 1
        suspect.acknowledged, suspect.reason = self._acknowledged_count, reason
        suspect.tries += 1
        suspect.due_s = self._clock().monotonic_s + RETRY_S * 2.0 ** min(suspect.tries, 6)
        if suspect.proofs >= TRIES and self._outbox.refuse(row, reason[:200]):
            del self._suspects[row]
            log.error(
                "an event was set aside, the broker refuses it (%s); see: edge outbox list", reason
            )

    def flush(self, *, force: bool = False) -> None:
        """Remove what was taken from the outbox, now and then or when there is much of it."""
        if not self._acknowledged:
            return
        now_s = self._clock().monotonic_s
        due = (
            force or len(self._acknowledged) >= FLUSH_AT or now_s - self._flushed_s >= FLUSH_EVERY_S
        )
        if due:
            self._follow_outbox()
            self._flushed_s = now_s
            if self._outbox.ack(self._acknowledged):
                self._acknowledged.clear()

    def _follow_outbox(self) -> None:
        """After the file was opened anew its row ids may mean other events: start over."""
        if self._generation != self._outbox.generation:
            self._generation = self._outbox.generation
            self._acknowledged.clear()
            self._suspects.clear()
            self.restart()

"""From deliveries to the database: an outage is waited for, a single bad message is set aside."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from dashboard.store.batch import Batch
from dashboard.store.write import Written
from emoshift.messages import MessageError, read_message

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from dashboard.store.write import HistoryWriter
    from emoshift.mqtt.connection import Received

LOG: Final = logging.getLogger(__name__)

_RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_OF_ROWS: Final = (IntegrityError, DataError, StatementError, ValueError, TypeError, OverflowError)
"""What may be the fault of a single message. Everything else is the database's: away, read-only,
damaged, full, or without the tables it should have."""


@dataclass(slots=True, kw_only=True)
class IngestCounters:
    """What a worker has done since it was started.

    Attributes:
        received: Messages.
        new, duplicates: Events stored, and copies dropped.
        refused: Messages that were not believed.
        set_aside: Messages that the database refused, kept as dead letters.
        dropped: Messages of QoS 0 given up because the buffer was full.
        stalled: Why the database takes nothing; empty while it does.
        committed_ms: The last commit, milliseconds since 1970; 0 for none.
        lag_ms: How long the oldest message of that commit had waited.
    """

    received: int = 0
    new: int = 0
    duplicates: int = 0
    refused: int = 0
    set_aside: int = 0
    dropped: int = 0
    stalled: str = ""
    committed_ms: int = 0
    lag_ms: int = 0


class Writer:
    """Writes what was received until it is written.

    Args:
        engine: The database.
        history: Its writer.
        figures: Counts what is done.
        on_wait: Called again and again while the database takes nothing.
    """

    def __init__(
        self,
        engine: Engine,
        history: HistoryWriter,
        figures: IngestCounters,
        on_wait: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._history = history
        self._figures = figures
        self._on_wait = on_wait

    def write(
        self, deliveries: Sequence[tuple[Received, int]], stop: threading.Event
    ) -> Written | None:
        """Write until it is written; ``None`` when told to stop before."""
        tries = 0
        while True:
            try:
                written = self._write(deliveries)
            except DBAPIError as why:
                self._figures.stalled = f"{type(why).__name__}: {why.orig}"[:300]
                LOG.log(
                    logging.DEBUG if tries else logging.ERROR,
                    "database: takes nothing, %d messages wait: %s",
                    len(deliveries),
                    why.orig,
                )
                self._engine.dispose()  # a connection may remember a server that was read-only
                self._on_wait()
                if stop.wait(_RETRY_S[min(tries, len(_RETRY_S) - 1)]):
                    return None
                tries += 1
            else:
                if tries:
                    LOG.warning("database: takes messages again, after %d tries", tries)
                self._figures.stalled = ""
                self._figures.committed_ms = time.time_ns() // 1_000_000
                oldest_ms = min(received_ms for _, received_ms in deliveries)
                self._figures.lag_ms = max(0, self._figures.committed_ms - oldest_ms)
                return written

    def _write(self, deliveries: Sequence[tuple[Received, int]]) -> Written:
        """Write a batch; where a message is to blame, find it by halves.

        Raises:
            DBAPIError: The database takes nothing.
        """
        batch = _sort(deliveries)
        try:
            written = self._history.write(batch)
        except _OF_ROWS as why:
            if isinstance(why, DBAPIError) and not isinstance(why, IntegrityError | DataError):
                raise
            if len(deliveries) == 1:
                self._set_aside(*deliveries[0], why)
                return Written(new=0, duplicates=0)
            half = len(deliveries) // 2
            parts = [self._write(deliveries[:half]), self._write(deliveries[half:])]
            return Written(
                new=sum(p.new for p in parts),
                duplicates=sum(p.duplicates for p in parts),
                ledgers={a: ledger for p in parts for a, ledger in p.ledgers.items()},
            )
        self._figures.refused += sum(entry.count for entry in batch.problems.values())
        return written

    def _set_aside(self, delivery: Received, received_ms: int, why: Exception) -> None:
        """Keep a message that the database refuses, unless it would refuse any."""
        if isinstance(why, DBAPIError) and not self._history.takes_events():
            raise why
        reason = str(getattr(why, "orig", why)).split("\n", 1)[0]
        LOG.error("database: refuses a message on %s: %s", delivery.topic, reason)
        self._history.set_aside(delivery.topic, delivery.payload, reason, received_ms=received_ms)
        self._figures.set_aside += 1


def _sort(deliveries: Sequence[tuple[Received, int]]) -> Batch:
    batch = Batch()
    for delivery, received_ms in deliveries:
        if not delivery.payload:  # a retained value that was taken back
            continue
        try:
            message = read_message(delivery.topic, delivery.payload, received_ms=received_ms)
        except MessageError as why:
            batch.refuse(why, received_ms=received_ms)
        else:
            if not delivery.retained or not delivery.topic.endswith("/class"):
                batch.add(message, retained=delivery.retained)
    return batch

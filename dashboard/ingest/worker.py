"""The worker: receives, validates, stores, and only then acknowledges."""

from __future__ import annotations

import logging
import queue
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError

from dashboard.ingest.report import WorkerReport
from dashboard.ingest.writer import IngestCounters, Writer
from dashboard.store.missing import missing_events
from dashboard.store.retention import RetentionPolicy, purge
from dashboard.store.write import HistoryWriter
from emoshift.mqtt.background import BackgroundConnection
from emoshift.mqtt.connection import Connected, OutgoingMessage, Received, Subscribed
from emoshift.mqtt.paho import Broker
from emoshift.topics import ROOT, Kind

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sqlalchemy import Engine

    from dashboard.config import Config
    from emoshift.messages import Ledger, Replay
    from emoshift.mqtt.connection import ConnectionEvent
    from emoshift.topics import Address

LOG: Final = logging.getLogger(__name__)

SESSION_S: Final = 7 * 24 * 3600
_LINGER_S: Final = 0.03
_BEAT_S: Final = 1.0
_FORGET_S: Final = 3600.0
_ASK_TRIES: Final = 5
_ASK_EVERY_S: Final = 15.0
_ASKED: Final = 10_000


class Worker:
    """One worker; `run` works until it is told to stop.

    Args:
        config: The settings.
        engine: The database.
        on_report: Called about once a second with how it is doing, also while the database is away.

    Attributes:
        figures: What it has done so far.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        *,
        on_report: Callable[[WorkerReport], None] = lambda _: None,
    ) -> None:
        self.figures = IngestCounters()
        self._config = config
        self._engine = engine
        self._history = HistoryWriter(
            engine, automatic=config.devices.automatic, min_faces=config.web.min_faces
        )
        self._writer = Writer(engine, self._history, self.figures, self._report)
        self._on_report = on_report
        self._queue: queue.SimpleQueue[tuple[Received, int]] = queue.SimpleQueue()
        self._behind = False
        self._refused = ""
        self._asked: dict[Replay, tuple[int, float]] = {}
        settings = config.worker
        # After a lost connection the broker sends again what still waits here.
        self._most = 2 * settings.buffer + settings.batch
        self._connection = BackgroundConnection(
            Broker.from_settings(
                config.broker, client_id=f"{settings.group}-{settings.name}", table="broker"
            ),
            on_event=self._handle,
            log=LOG,
            session_expiry_s=SESSION_S,
            persistent=True,
            receive_maximum=settings.buffer,
            is_full=lambda: self._queue.qsize() >= settings.buffer,
        )

    def _handle(self, event: ConnectionEvent) -> None:
        """Take what the connection says; runs on its thread and never waits."""
        match event:
            case Received():
                self._take(event)
            case Connected():
                topic, other = self._topics(event.protocol)
                self._connection.unsubscribe(other)
                self._connection.subscribe(topic)
            case Subscribed():
                self._refused = "; ".join(f"{topic}: {why}" for topic, why in event.refused)
                if self._refused:
                    LOG.error(
                        "broker: refuses the subscription (%s); check its access list",
                        self._refused,
                    )
            case _:
                pass

    def _topics(self, protocol: str) -> tuple[str, str]:
        """Return the topics to subscribe to, and those that the session may still have."""
        everything = f"{ROOT}/+/+/+"
        shared = f"$share/{self._config.worker.group}/{everything}"
        if not self._config.worker.shared:
            return everything, shared
        if protocol != "5":  # a filter that an old broker takes for a plain topic stores nothing
            LOG.warning("broker: no MQTT 5, so nothing is shared; run one worker only")
            return everything, shared
        return shared, everything

    def _take(self, delivery: Received) -> None:
        """Put one message into the buffer."""
        self.figures.received += 1
        if self._queue.qsize() >= self._most:
            # Only connections lost again and again while the database is away bring so many here.
            # QoS 1 is not acknowledged, so that it comes again; QoS 0 is lost, and counted.
            self._behind = self._behind or delivery.token > 0
            self.figures.dropped += delivery.token == 0
            return
        self._queue.put((delivery, time.time_ns() // 1_000_000))

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; what is received by then is stored."""
        self._connection.start()
        next_beat_s = next_forget_s = 0.0
        try:
            while not stop.is_set():
                if deliveries := self._collect(wait_s=0.25):
                    self._store(deliveries, stop)
                elif self._behind:
                    self._behind = False
                    self._connection.reconnect()
                if time.monotonic() >= next_beat_s:
                    next_beat_s = time.monotonic() + _BEAT_S
                    self._heartbeat()
                if time.monotonic() >= next_forget_s:
                    next_forget_s = time.monotonic() + _FORGET_S
                    self._forget()
            while deliveries := self._collect(wait_s=0):
                self._store(deliveries, stop)
            self._heartbeat()
        finally:
            self._connection.stop()

    def _collect(self, *, wait_s: float) -> list[tuple[Received, int]]:
        """Return what has come, waiting a moment for more once something has."""
        try:
            found = [self._queue.get(timeout=wait_s) if wait_s else self._queue.get_nowait()]
        except queue.Empty:
            return []
        until_s = time.monotonic() + _LINGER_S
        while (missing := self._config.worker.batch - len(found)) > 0:
            ready = min(self._queue.qsize(), missing)
            found += [self._queue.get_nowait() for _ in range(ready)]
            if not ready:
                try:
                    found.append(self._queue.get(timeout=max(0.0, until_s - time.monotonic())))
                except queue.Empty:
                    break
        return found

    def _store(self, deliveries: list[tuple[Received, int]], stop: threading.Event) -> None:
        written = self._writer.write(deliveries, stop)
        if written is None:
            return  # not acknowledged: it comes again
        self.figures.new += written.new
        self.figures.duplicates += written.duplicates
        self._connection.acknowledge(delivery.token for delivery, _ in deliveries)
        for address, ledger in written.ledgers.items():
            self._ask_for_missing(address, ledger)

    def _ask_for_missing(self, address: Address, ledger: Ledger) -> None:
        """Ask a device for events that it has sent and that did not come, a few times each."""
        try:
            missing = missing_events(self._engine, address, ledger)
        except DBAPIError as why:
            LOG.debug("database: away: %s", why.orig)
            return
        now_s = time.monotonic()
        for request in missing:
            tries, due_s = self._asked.pop(request, (0, 0.0))
            if tries < _ASK_TRIES and now_s >= due_s:
                tries, due_s = tries + 1, now_s + _ASK_EVERY_S
                LOG.info(
                    "%s: asks for %d missing events", address, request.last - request.first + 1
                )
                topic, payload = address.topic(Kind.REPLAY), request.to_json()
                self._connection.send(
                    OutgoingMessage(topic=topic, payload=payload, qos=1, retain=False)
                )
            self._asked[request] = (tries, due_s)
        while len(self._asked) > _ASKED:
            del self._asked[next(iter(self._asked))]

    def _report(self) -> None:
        figures = self.figures
        committed_ms = figures.committed_ms
        self._on_report(
            WorkerReport(
                connected=self._connection.online and not self._refused,
                stalled=figures.stalled,
                waiting=self._queue.qsize(),
                lag_ms=figures.lag_ms,
                committed_ms=committed_ms,
            )
        )

    def _heartbeat(self) -> None:
        self._report()
        try:
            self._history.heartbeat(
                self._config.worker.name,
                seen_ms=time.time_ns() // 1_000_000,
                connected=self._connection.online and not self._refused,
                new=self.figures.new,
                doubled=self.figures.duplicates,
                refused=self.figures.refused,
                waiting=self._queue.qsize(),
                committed_ms=self.figures.committed_ms,
                lag_ms=self.figures.lag_ms,
                set_aside=self.figures.set_aside,
            )
        except DBAPIError as why:
            LOG.debug("database: away: %s", why.orig)

    def _forget(self) -> None:
        policy = RetentionPolicy(
            events_days=self._config.history.events_days,
            minutes_days=self._config.history.minutes_days,
            audit_days=self._config.history.audit_days,
            devices_days=self._config.devices.forget_days,
        )
        now_ms, min_faces = time.time_ns() // 1_000_000, self._config.web.min_faces
        try:
            if gone := purge(self._engine, policy, now_ms=now_ms, min_faces=min_faces):
                LOG.info("history: forgot %d old rows", gone)
        except DBAPIError as why:
            LOG.debug("database: away: %s", why.orig)

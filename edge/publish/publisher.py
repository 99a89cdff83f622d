"""The publisher process: what the outbox holds goes to the broker, for as long as it takes.

One thread, one loop. Everything that waits is bounded, so that a stop is heard within seconds;
everything that fails is a state, logged once and tried again.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge.identity import machine_digest, settle_name
from edge.outbox.store import Outbox
from edge.publish.announced_topics import AnnouncedTopics
from edge.publish.delivery import Delivery
from edge.publish.homeassistant import Discovery
from edge.publish.ledger import LedgerKeeper, Replays
from edge.publish.metrics import serve_metrics
from edge.publish.retained import Snapshots, stale_after_s
from emoshift.clock import boot_session, read_clock
from emoshift.messages import Presence, Status, is_plausible
from emoshift.mqtt.connection import (
    Acknowledged,
    Connected,
    Connection,
    ConnectionEvent,
    Failure,
    Lost,
    OutgoingMessage,
    Received,
    Subscribed,
)
from emoshift.mqtt.paho import Broker, PahoConnection
from emoshift.mqtt.reconnect import ConnectionState
from emoshift.mqtt.reconnecting import ReconnectingConnection
from emoshift.topics import Address

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from edge.config import Config

log = logging.getLogger(__name__)

_INSTANCE: Final = re.compile("[0-9a-f]{12}")

TURN_S: Final = 0.02
"""How often the outbox is asked for news: an event waits half of it on average."""
WAITING_TURN_S: Final = 0.1
"""Likewise while there is no connection and nothing to hurry for."""
POLL_EVERY_S: Final = 1.0
"""How often to look without news, for what only time changes."""
EXPIRE_EVERY_S: Final = 60.0
"""How often events that have become too old are dropped."""
ACK_S: Final = 30.0
"""A broker that acknowledges nothing for this long is given up."""
REFUSED_PAUSE_S: Final = 60.0
"""How long to wait after the broker has refused an event (an access list, a quota)."""
CAUTIOUS_FOR: Final = 50
"""After a connection that the broker ended because of a message, so many events go one by one."""
GRACE_S: Final = 10.0
"""For this long after connecting, an event that nobody hears (the broker of MQTT 5 says so) is
held back and sent again: the subscribers lost the same broker and are on their way."""
PROBE_S: Final = 0.25
DRAIN_S: Final = 5.0
"""How long a clean stop tries to send what is in the outbox, connecting first where need be."""
OVERRULE_EVERY_S: Final = 1.0
"""How often a late status is answered at most, however many a stranger sends."""
OUTNUMBER_EVERY_S: Final = 60.0
MAX_WARNINGS: Final = 50
"""Warnings that are said once; what strangers can make us say is bounded."""
SESSIONS_RESERVED: Final = 1000
"""Session numbers taken from the outbox at a time, so that attempts cost no writes."""


def run_publisher(
    config: Config,
    stop: threading.Event,
    *,
    on_progress: Callable[[str], None] = lambda _: None,
    grace_s: float = GRACE_S,
) -> None:
    """Publish until told to stop, then drain, say ``stopped`` and disconnect.

    Args:
        config: The whole configuration.
        stop: Set to end cleanly.
        on_progress: Called on every turn with a word on the connection (for a watchdog).
        grace_s: How long after connecting an event waits for somebody to hear it.

    Raises:
        ConfigError: A file named in ``[mqtt]`` is missing or unusable.
        OutboxError: The outbox cannot be opened.
    """
    config = settle_name(config)
    instance = machine_digest()
    broker = Broker.from_settings(config.mqtt, client_id=f"emoshift-{instance}")
    address = Address(config.device.site, config.device.name)
    with (
        Outbox.from_config(config.outbox, writer=False) as outbox,
        serve_metrics(config.health.metrics_port, address) as metrics,
    ):
        publisher = Publisher(
            config,
            outbox,
            instance=instance,
            connect=lambda protocol, will: PahoConnection(broker, protocol=protocol, will=will),
            address=broker.address,
            grace_s=grace_s,
        )
        while not stop.is_set():
            publisher.turn()
            on_progress(publisher.state)
            metrics.update(publisher.messages, online=publisher.online)
        publisher.stop()


class Publisher:
    """The loop's body: one connection at a time, and what travels over it.

    Args:
        config: With a settled device name.
        outbox: Opened for reading.
        instance: Tells two devices with the same name apart.
        connect: Makes a connection for a version of MQTT and a last will.
        address: Of the broker, for messages.
        grace_s: See `run_publisher`.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        *,
        instance: str,
        connect: Callable[[str, OutgoingMessage], Connection],
        address: str,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        self._single_faces = config.privacy.single_faces
        self._device = config.device.name
        self._base = Address(config.device.site, config.device.name).base
        self._outbox = outbox
        self._instance = instance
        self._connect = connect
        session = boot_session()
        self._will_retain, self._will_qos = True, 1
        self._cautious = 0
        self._ledger = LedgerKeeper(outbox, base=self._base, device=self._device)
        self._replays = Replays(
            outbox, base=self._base, device=self._device, clock=read_clock, boot_session=session
        )
        self._delivery = Delivery(
            outbox, topic=f"{self._base}/transition", clock=read_clock, boot_session=session
        )
        self._snapshots = Snapshots(
            base=self._base,
            boot_session=session,
            stale_after_s=stale_after_s(config.health.interval_s),
        )
        self._discovery = Discovery(
            config.homeassistant,
            address=Address(config.device.site, config.device.name),
            single_faces=config.privacy.single_faces,
            health_interval_s=config.health.interval_s,
            announced=AnnouncedTopics(config.outbox.path.with_name("homeassistant-topics")),
        )
        self._connection = ReconnectingConnection(self._start, address=address, log=log)
        self._window = 0
        self._largest_bytes: int | None = None
        self._session = 0
        self._sessions_until = 0
        self._run = uuid.uuid4().hex[:12]
        self._been_online = self._returned = False
        self._protocol = ""
        self._quiet_until_s = 0.0
        self._expired_s = float("-inf")
        self._progress_s = 0.0
        self._polled_s = 0.0
        self._probing = False
        self._warned: set[str] = set()
        self._overrule = self._stopping = False
        self._overruled_s = self._outnumbered_s = float("-inf")

    @property
    def state(self) -> str:
        """A word on the connection."""
        return self._connection.state.value

    @property
    def online(self) -> bool:
        """Whether the broker is there now."""
        return self._connection.online

    @property
    def messages(self) -> Mapping[str, str]:
        """What the vision process has published, by kind of message, as far as it is of now."""
        return self._snapshots.fresh

    def turn(self) -> None:
        """Do what is due; takes about `TURN_S`, or as long as connecting takes."""
        now_s = time.monotonic()
        if now_s - self._expired_s >= EXPIRE_EVERY_S:
            self._expired_s = now_s
            self._outbox.expire()
        waiting = self._connection.state is ConnectionState.WAITING
        for event in self._connection.turn(WAITING_TURN_S if waiting else TURN_S):
            self._handle(event)
        now_s = time.monotonic()
        if self.online:
            self._check_stall(now_s)
            self._send_pending(now_s)
            if self._overrule and now_s - self._overruled_s >= OVERRULE_EVERY_S:
                self._overrule, self._overruled_s = False, now_s
                self._send(self._status(Presence.ONLINE))
        elif now_s - self._polled_s > POLL_EVERY_S:
            self._snapshots_due(now_s)  # for the metrics
        self._delivery.flush()

    def stop(self) -> None:
        """Send what can be sent in `DRAIN_S`, then say ``stopped`` and goodbye."""
        until_s = time.monotonic() + DRAIN_S
        while self._has_unsent() and time.monotonic() < until_s:
            pause_until_s = self._quiet_until_s if self.online else self._connection.due_s
            if pause_until_s > until_s:
                break
            self.turn()
        if self.online:
            for message in self._snapshots.clear_class():
                self._send(message)
            self._stopping = True  # our own word comes back to us
            self._await(self._send(self._status(Presence.STOPPED)))
        self._connection.close()
        self._delivery.flush(force=True)
        kept = self._outbox.stats().depth
        if kept:
            log.warning("stopped; %d events not sent, kept in the outbox for the next start", kept)
        else:
            log.info("stopped; every event was sent")

    def _has_unsent(self) -> bool:
        """Whether the outbox holds an event that the broker has not acknowledged and may get."""
        if not self._single_faces:
            return False
        self._delivery.flush(force=True)
        return self._outbox.stats().depth > 0

    def _await(self, token: int) -> None:
        """Wait a second for an acknowledgement."""
        until_s = time.monotonic() + 1.0
        while self.online and time.monotonic() < until_s:
            for event in self._connection.turn(TURN_S):
                self._handle(event)
                if isinstance(event, Acknowledged) and event.token == token:
                    return

    def _paused(self) -> bool:
        return time.monotonic() < self._quiet_until_s

    def _start(self, protocol: str) -> Connection:
        self._session, self._protocol = self._next_session(), protocol
        will = self._status(Presence.OFFLINE)
        return self._connect(protocol, replace(will, retain=self._will_retain, qos=self._will_qos))

    def _next_session(self) -> int:
        if self._session >= self._sessions_until:
            first = self._outbox.next_session(reserve=SESSIONS_RESERVED)
            self._sessions_until = first + SESSIONS_RESERVED - 1
            return first
        return self._session + 1

    def _handle(self, event: ConnectionEvent) -> None:
        match event:
            case Connected():
                self._go_online(event)
            case Acknowledged():
                self._handle_acknowledgement(event)
            case Received() if self._discovery.is_birth(event.topic, event.payload):
                self._discovery.announce(self._send, largest_bytes=self._largest_bytes)
            case Received() if event.topic == self._replays.topic:
                if self._single_faces and not event.retained:
                    self._replays.request(event.payload)
            case Received():
                self._read_status(event)
            case Subscribed():
                for topic, reason in event.refused:
                    self._warn_once(
                        f"the broker refuses the subscription to {topic} ({reason}); check its"
                        " access list"
                    )
            case Lost():
                self._note_loss(event)

    def _note_loss(self, event: Lost) -> None:
        """Ask a broker for less that refused the last will, and suspect what was under way."""
        if event.failure is Failure.NO_RETAIN:
            self._will_retain = False
        elif event.failure is Failure.NO_QOS:
            self._will_qos = 0
        elif event.of_message:
            self._cautious = CAUTIOUS_FOR
            self._delivery.suspect_current(event.detail)

    def _go_online(self, event: Connected) -> None:
        now_s = time.monotonic()
        self._returned, self._been_online = self._been_online, True
        self._window = event.window
        self._progress_s = now_s
        self._quiet_until_s = self._polled_s = 0.0
        self._probing = True
        self._delivery.flush(force=True)
        self._delivery.largest_bytes = self._largest_bytes = event.largest_bytes
        self._delivery.restart()
        self._snapshots.restart()
        self._ledger.restart(now_s)
        self._replays.restart()
        if not event.retain:
            self._warn_once(
                "the broker keeps no retained messages: who subscribes later sees no status, info"
                " or class before the next change; allow them (retain_available)"
            )
        if event.max_qos == 0:
            self._warn_once(
                "the broker acknowledges nothing (maximum QoS 0): events that it or the network"
                " loses are lost, and seen as gaps; allow QoS 1"
            )
        topics = [f"{self._base}/status"]  # first: to see what stood there before
        if self._single_faces:
            topics.append(self._replays.topic)
        else:  # an earlier setting may have left one: it shows how many events there were
            self._send(self._ledger.cleared())
        self._connection.subscribe(*topics)
        self._send(self._status(Presence.ONLINE))
        if self._discovery.enabled:
            self._connection.subscribe(self._discovery.status_topic)
        self._discovery.announce(self._send, largest_bytes=self._largest_bytes)

    def _handle_acknowledgement(self, event: Acknowledged) -> None:
        now_s = self._progress_s = time.monotonic()
        if self._replays.acknowledge(event.token):
            return
        if self._discovery.acknowledge(event.token, refused=event.refused is not None):
            return
        if event.refused is not None:
            self._delivery.refuse(event.token, event.refused)
            if self._delivery.refuses_all:
                self._pause(now_s + REFUSED_PAUSE_S)
            self._warn_once(
                f"the broker refuses messages below {self._base} ({event.refused}); check its "
                "access list; events wait in the outbox"
            )
        elif event.unheard and self._probing and now_s - self._connection.since_s < self._grace_s:
            if self._delivery.mark_unheard(event.token):
                self._pause(now_s + PROBE_S)
        elif self._delivery.acknowledge(event.token):
            self._probing = False
            self._cautious = max(0, self._cautious - 1)

    def _pause(self, until_s: float) -> None:
        """Send no events for a while, then go on with the oldest."""
        self._quiet_until_s = until_s
        self._delivery.restart()

    def _check_stall(self, now_s: float) -> None:
        """Give up a broker that acknowledges nothing."""
        if self._delivery.in_flight == 0:
            self._progress_s = now_s
        elif now_s - self._progress_s > ACK_S:
            self._connection.lose(Failure.STALLED, f"no acknowledgement within {ACK_S:.0f} s")

    def _send_pending(self, now_s: float) -> None:
        """Send events, and snapshots when there is news or time has passed."""
        changed = self._outbox.changed()
        due = changed or self._delivery.has_more or now_s - self._polled_s > POLL_EVERY_S
        if due and self._single_faces:  # else events of an earlier setting stay where they are
            # One at a time until the first is heard, so that none overtakes another.
            # Likewise while the broker ends connections because of one of them.
            window = 1 if self._probing or self._cautious else self._window
            self._delivery.send_pending(self._send, window=0 if self._paused() else window)
        if self._single_faces:
            self._send_replays_and_ledger(now_s)
        if changed or now_s - self._polled_s > POLL_EVERY_S:
            for message in self._snapshots_due(now_s):
                self._send(message)

    def _send_replays_and_ledger(self, now_s: float) -> None:
        """Send again what was asked for, and the ledger when it is due."""
        if not self._probing and self._replays.send_pending(self._send, window=self._window):
            self._ledger.repeat()
        ledger = self._ledger.due(now_s, largest_bytes=self._largest_bytes)
        if ledger is not None:
            self._send(ledger)

    def _snapshots_due(self, now_s: float) -> list[OutgoingMessage]:
        self._polled_s = now_s
        return self._snapshots.due(
            self._outbox.snapshots(), generation=self._outbox.generation, now_s=now_s
        )

    def _read_status(self, event: Received) -> None:
        """See that a late last will does not have the last word, and that nobody shares our name.

        Everything else that may arrive is ignored: there are no commands.
        """
        if event.topic != f"{self._base}/status" or len(event.payload) > 4096 or self._stopping:
            return
        if not event.payload:  # somebody has cleared what the broker keeps for later subscribers
            self._overrule = True
            return
        try:
            status = json.loads(event.payload)
            session, instance = int(status["session"]), str(status["instance"])
            run, state = str(status["run"]), str(status["state"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return
        if instance != self._instance:
            if not event.retained:
                shown = instance if _INSTANCE.fullmatch(instance) else "one without an id"
                self._warn_once(
                    f"another device ({shown}) speaks as {self._base}; "
                    "give each device its own device.name"
                )
            return
        if self._returned and run != self._run:
            self._warn_once(f"{self._base}: {Failure.TAKEN_OVER.value}")
        if session < self._session:
            if not event.retained:
                log.info("a late %s of session %d was overruled", state, session)
                self._overrule = True
        elif (session, run, state) != (self._session, self._run, Presence.ONLINE.value):
            self._outnumber(session)

    def _outnumber(self, session: int) -> None:
        """Take a number above one that we did not send, with a new last will: connect anew.

        One that no number of connections could explain is not believed by subscribers either.
        """
        now_s = time.monotonic()
        if (
            not is_plausible(session, after=self._session)
            or now_s - self._outnumbered_s < OUTNUMBER_EVERY_S
        ):
            return
        self._outnumbered_s = now_s
        log.warning("a status of session %d was not ours; connecting anew above it", session)
        self._outbox.next_session(reserve=session - self._session + SESSIONS_RESERVED)
        self._sessions_until = 0
        self._connection.restart()

    def _send(self, message: OutgoingMessage) -> int:
        if self._largest_bytes is not None and message.size_bytes > self._largest_bytes:
            self._warn_once(
                f"{message.topic}: left out, it is larger than the broker's limit of"
                f" {self._largest_bytes} bytes; raise that limit"
            )
            return -1
        return self._connection.send(message)

    def _status(self, presence: Presence) -> OutgoingMessage:
        status = Status(
            device=self._device,
            state=presence,
            session=self._session,
            instance=self._instance,
            run=self._run,
            protocol=self._protocol,  # type: ignore[arg-type] # checked by the model
        )
        return OutgoingMessage(
            topic=f"{self._base}/status", payload=status.to_json(), qos=1, retain=True
        )

    def _warn_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(text)
            log.warning("%s", text)

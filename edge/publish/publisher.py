"""The publisher process: what the outbox holds goes to the broker, for as long as it takes.

One thread, one loop. Everything that waits is bounded, so that a stop is heard within seconds;
everything that fails is a state, logged once and tried again.
"""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from typing import TYPE_CHECKING, Final

from edge.identity import machine_digest, settle_name
from edge.outbox.store import Outbox
from edge.publish.delivery import Delivery
from edge.publish.homeassistant import Discovery
from edge.publish.metrics import serve_metrics
from edge.publish.retained import Snapshots, stale_after_s
from emoshift.clock import kernel_boot, read_clock
from emoshift.messages import Presence, Status
from emoshift.mqtt.connection import (
    Acknowledged,
    Connected,
    Failure,
    Link,
    LinkEvent,
    Lost,
    Message,
    Received,
)
from emoshift.mqtt.paho import PROTOCOLS, Broker, PahoLink
from emoshift.mqtt.reconnect import LinkState, Reconnect
from emoshift.topics import Address

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge.config import Config

log = logging.getLogger(__name__)

TURN_S: Final = 0.02
"""How often the outbox is asked for news: an event waits half of it on average."""
LOOK_EVERY_S: Final = 1.0
"""How often to look without news, for what only time changes."""
EXPIRE_EVERY_S: Final = 60.0
"""How often events that have become too old are dropped."""
ACK_S: Final = 30.0
"""A broker that acknowledges nothing for this long is given up."""
REFUSED_PAUSE_S: Final = 60.0
"""How long to wait after the broker has refused an event (an access list, a quota)."""
GRACE_S: Final = 10.0
"""For this long after connecting, an event that nobody hears (the broker of MQTT 5 says so) is
held back and sent again: the subscribers lost the same broker and are on their way."""
PROBE_S: Final = 0.25
DRAIN_S: Final = 5.0
"""How long a clean stop tries to send what is in the outbox, connecting first where need be."""
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
        on_progress: Called on every turn with a word on the link (for a watchdog).
        grace_s: How long after connecting an event waits for somebody to hear it.

    Raises:
        ConfigError: A file named in ``[mqtt]`` is missing or unusable.
        OutboxError: The outbox cannot be opened.
    """
    config = settle_name(config)
    instance = machine_digest()
    broker = Broker.from_config(config.mqtt, client_id=f"emoshift-{instance}")
    with (
        Outbox.from_config(config.outbox, writer=False) as outbox,
        serve_metrics(config.health.metrics_port) as metrics,
    ):
        publisher = Publisher(
            config,
            outbox,
            instance=instance,
            connect=lambda protocol, will: PahoLink(broker, protocol=protocol, will=will),
            address=broker.address,
            grace_s=grace_s,
        )
        while not stop.is_set():
            publisher.turn()
            on_progress(publisher.state)
            metrics.note(publisher.health, online=publisher.state == LinkState.ONLINE.value)
        publisher.stop()


class Publisher:
    """The loop's body: one connection at a time, and what travels over it.

    Args:
        config: With a settled device name.
        outbox: Opened for reading.
        instance: Tells two devices with the same name apart.
        connect: Makes a link for a protocol and a last will.
        address: Of the broker, for messages.
        grace_s: See `run_publisher`.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        *,
        instance: str,
        connect: Callable[[str, Message], Link],
        address: str,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        self._device = config.device.name
        self._base = Address(config.device.site, config.device.name).base
        self._outbox = outbox
        self._instance = instance
        self._connect = connect
        self._address = address
        kernel = kernel_boot()
        self._delivery = Delivery(
            outbox, topic=f"{self._base}/transition", clock=read_clock, kernel=kernel
        )
        self._snapshots = Snapshots(
            base=self._base,
            kernel=kernel,
            stale_after_s=stale_after_s(config.health.interval_s),
        )
        self._discovery = Discovery(
            config.homeassistant,
            base=self._base,
            site=config.device.site,
            device=config.device.name,
        )
        self._plan = Reconnect(PROTOCOLS, random.random)
        self._link: Link | None = None
        self._window = 0
        self._session = 0
        self._sessions_until = 0
        self._run = uuid.uuid4().hex[:12]
        self._been_online = self._returned = False
        self._protocol = PROTOCOLS[0]
        self._quiet_until_s = 0.0
        self._expired_s = float("-inf")
        self._progress_s = 0.0
        self._looked_s = 0.0
        self._probing = False
        self._said: set[str] = set()

    @property
    def state(self) -> str:
        """A word on the link."""
        return self._plan.state.value

    @property
    def health(self) -> str:
        """The vision process's last health message while it is fresh, else empty."""
        return self._snapshots.health

    def turn(self) -> None:
        """Do what is due; takes about `TURN_S`, or as long as connecting takes."""
        now_s = time.monotonic()
        if now_s - self._expired_s >= EXPIRE_EVERY_S:
            self._expired_s = now_s
            self._outbox.expire()
        if self._link is None:
            if self._plan.is_due(now_s):
                self._start(now_s)
            else:
                self._delivery.flush()
                if now_s - self._looked_s > LOOK_EVERY_S:
                    self._snapshots_due(now_s)  # for the metrics
                time.sleep(min(0.1, max(0.0, self._plan.due_s - now_s)))
            return
        for event in self._link.turn(TURN_S):
            self._handle(event)
        if self._link is not None:
            self._watch_time(time.monotonic())
        if self._plan.state is LinkState.ONLINE:
            self._pass_on(time.monotonic())
        self._delivery.flush()

    def stop(self) -> None:
        """Send what can be sent in `DRAIN_S`, then say ``stopped`` and goodbye."""
        until_s = time.monotonic() + DRAIN_S
        while self._has_unsent() and time.monotonic() < until_s:
            pause_until_s = self._plan.due_s if self._link is None else self._quiet_until_s
            if pause_until_s > until_s:
                break
            self.turn()
        if self._plan.state is LinkState.ONLINE:
            for message in self._snapshots.clear_class():
                self._send(message)
            self._await(self._send(self._status(Presence.STOPPED)))
        if self._link is not None:
            self._link.close()
            self._link = None
        self._delivery.flush(force=True)
        kept = self._outbox.stats().depth
        if kept:
            log.warning("stopped; %d events not sent, kept in the outbox for the next start", kept)
        else:
            log.info("stopped; every event was sent")

    def _has_unsent(self) -> bool:
        """Whether the outbox holds an event that the broker has not acknowledged."""
        self._delivery.flush(force=True)
        return self._outbox.stats().depth > 0

    def _await(self, token: int) -> None:
        """Wait a second for an acknowledgement."""
        until_s = time.monotonic() + 1.0
        while self._link is not None and time.monotonic() < until_s:
            for event in self._link.turn(TURN_S):
                self._handle(event)
                if isinstance(event, Acknowledged) and event.token == token:
                    return

    def _resting(self) -> bool:
        return time.monotonic() < self._quiet_until_s

    def _start(self, now_s: float) -> None:
        self._session = self._next_session()
        self._protocol = self._plan.protocol
        self._link = self._connect(self._protocol, self._status(Presence.OFFLINE))
        self._plan.start(now_s)
        self._link.open()

    def _next_session(self) -> int:
        if self._session >= self._sessions_until:
            first = self._outbox.next_session(reserve=SESSIONS_RESERVED)
            self._sessions_until = first + SESSIONS_RESERVED - 1
            return first
        return self._session + 1

    def _handle(self, event: LinkEvent) -> None:
        match event:
            case Connected():
                self._go_online(event)
            case Acknowledged():
                self._settle(event)
            case Received() if self._discovery.is_birth(event.topic, event.payload):
                self._send(self._discovery.message())
            case Received():
                self._read_status(event)
            case Lost():
                self._lose(event.failure, event.detail)

    def _go_online(self, event: Connected) -> None:
        now_s = time.monotonic()
        level = self._plan.succeed(now_s)
        self._returned, self._been_online = self._been_online, True
        self._window = event.window
        self._progress_s = now_s
        self._quiet_until_s = self._looked_s = 0.0
        self._probing = True
        log.log(level, "connected to %s (MQTT %s)", self._address, event.protocol)
        self._delivery.flush(force=True)
        self._delivery.restart()
        self._snapshots.restart()
        if self._link is not None:
            self._link.subscribe(f"{self._base}/status")  # first: to see what stood there before
        self._send(self._status(Presence.ONLINE))
        if self._discovery.enabled and self._link is not None:
            self._link.subscribe(self._discovery.status_topic)
            self._send(self._discovery.message())

    def _settle(self, event: Acknowledged) -> None:
        now_s = self._progress_s = time.monotonic()
        if event.refused is not None:
            if self._delivery.refuse(event.token):
                self._rest(now_s + REFUSED_PAUSE_S)
            self._say_once(
                f"the broker refuses messages below {self._base} ({event.refused}); check its "
                "access list; events wait in the outbox"
            )
        elif event.unheard and self._probing and now_s - self._plan.since_s < self._grace_s:
            if self._delivery.refuse(event.token):
                self._rest(now_s + PROBE_S)
        elif self._delivery.take(event.token):
            self._probing = False

    def _rest(self, until_s: float) -> None:
        """Send no events for a while, then go on with the oldest."""
        self._quiet_until_s = until_s
        self._delivery.restart()

    def _watch_time(self, now_s: float) -> None:
        """Give up a broker that does not answer."""
        answer_s = self._plan.answer_s
        if self._plan.state is LinkState.CONNECTING and now_s - self._plan.since_s > answer_s:
            self._lose(Failure.SILENT, f"no answer to CONNECT within {answer_s:g} s")
        elif self._delivery.in_flight == 0:
            self._progress_s = now_s
        elif now_s - self._progress_s > ACK_S:
            self._lose(Failure.STALLED, f"no acknowledgement within {ACK_S:.0f} s")

    def _pass_on(self, now_s: float) -> None:
        """Send events, and snapshots when there is news or time has passed."""
        changed = self._outbox.changed()
        if changed or self._delivery.more or now_s - self._looked_s > LOOK_EVERY_S:
            # One at a time until the first is heard, so that none overtakes another.
            window = 1 if self._probing else self._window
            self._delivery.fill(self._send, window=0 if self._resting() else window)
        if changed or now_s - self._looked_s > LOOK_EVERY_S:
            for message in self._snapshots_due(now_s):
                self._send(message)

    def _snapshots_due(self, now_s: float) -> list[Message]:
        self._looked_s = now_s
        return self._snapshots.due(
            self._outbox.snapshots(), generation=self._outbox.generation, now_s=now_s
        )

    def _lose(self, failure: Failure, detail: str) -> None:
        if self._link is not None:
            self._link.drop()
            self._link = None
        notice = self._plan.fail(failure, detail, time.monotonic())
        log.log(notice.level, "broker %s: %s", self._address, notice.text)

    def _read_status(self, event: Received) -> None:
        """See that a late last will does not have the last word, and that nobody shares our name.

        Everything else that may arrive is ignored: there are no commands.
        """
        if event.topic != f"{self._base}/status" or len(event.payload) > 4096:
            return
        try:
            status = json.loads(event.payload)
            session, instance = int(status["session"]), str(status["instance"])
            run = str(status["run"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return
        if instance != self._instance:
            if not event.retained:
                self._say_once(
                    f"another device ({instance}) speaks as {self._base}; "
                    "give each device its own device.name"
                )
        elif self._returned and run != self._run:
            self._say_once(f"{self._base}: {Failure.TAKEN_OVER.value}")
        elif session < self._session and not event.retained:
            log.info("a late %s of session %d was overruled", status.get("state"), session)
            self._send(self._status(Presence.ONLINE))

    def _send(self, message: Message) -> int:
        return -1 if self._link is None else self._link.send(message)

    def _status(self, presence: Presence) -> Message:
        status = Status(
            device=self._device,
            state=presence,
            session=self._session,
            instance=self._instance,
            run=self._run,
            protocol=self._protocol,  # type: ignore[arg-type] # checked by the model
        )
        return Message(topic=f"{self._base}/status", payload=status.to_json(), qos=1, retain=True)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)

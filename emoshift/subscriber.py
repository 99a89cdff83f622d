"""The helper for subscribers: every event once, in order, gaps told, late last wills ignored."""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from emoshift.dedup import Dedup, Heard, StatusFilter
from emoshift.events import from_json
from emoshift.messages import Presence
from emoshift.mqtt.connection import Acknowledged, Connected, Failure, LinkEvent, Lost, Received
from emoshift.mqtt.paho import PROTOCOLS, PahoLink
from emoshift.mqtt.reconnect import LinkState, Reconnect
from emoshift.topics import ROOT, split_topic

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from emoshift.mqtt.paho import Broker

KINDS: Final = ("transition", "status")

_TURN_S: Final = 0.2
KEEP_S: Final = 3600
"""How long a broker of MQTT 5 queues for a subscriber that lost its connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A device came, went or was lost.

    Attributes:
        site, device: Which.
        state: What it is now.
        instance: Tells two devices with the same name apart.
    """

    site: str
    device: str
    state: Presence
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """The subscriber's own link came or went.

    Attributes:
        online: Which of the two.
        text: What to tell the user.
    """

    online: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Something arrived that is no message of ours.

    Attributes:
        topic: Where.
        why: What is wrong with it.
    """

    topic: str
    why: str


News: TypeAlias = Heard | Seen | LinkChange | Unreadable


class Interpreter:
    """Turns raw messages into news: pure, and all that a subscriber with another client needs."""

    def __init__(self) -> None:
        self._dedup = Dedup()
        self._statuses = StatusFilter()

    def read(self, topic: str, payload: bytes, *, retained: bool = False) -> list[News]:
        """Take in one message; returns what it means, nothing if it was known or is stale."""
        place = split_topic(topic)
        if place is None or not payload:
            return []
        site, device, kind = place
        try:
            if kind == "transition":
                # Nobody of ours retains an event; it would be told again at every connect.
                return [] if retained else [*self._dedup.hear(from_json(payload))]
            if kind == "status":
                return self._status(site, device, topic, payload)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as why:
            return [Unreadable(topic=topic, why=str(why) or type(why).__name__)]
        return []

    def _status(self, site: str, device: str, topic: str, payload: bytes) -> list[News]:
        data = json.loads(payload)
        state, instance = Presence(data["state"]), str(data["instance"])
        if not self._statuses.hear(topic, instance, int(data["session"]), state):
            return []
        return [Seen(site=site, device=device, state=state, instance=instance)]


def listen(
    broker: Broker, stop: threading.Event, *, whose: str = "+/+", keep_s: int = KEEP_S
) -> Iterator[News]:
    """Yield what happens until told to stop; reconnects by itself.

    Args:
        broker: Whom to ask.
        stop: Set to end.
        whose: Whose events, as ``SITE/DEVICE``; ``+`` stands for any.
        keep_s: How long the broker queues while the link is broken; 0 for brokers that may choke
            on asking them for it (amqtt takes five seconds longer to refuse MQTT 5 then).
    """
    interpreter = Interpreter()
    plan = Reconnect(PROTOCOLS, random.random)
    link: PahoLink | None = None
    try:
        while not stop.is_set():
            now_s = time.monotonic()
            if link is None and not plan.is_due(now_s):
                stop.wait(min(_TURN_S, plan.due_s - now_s))
                continue
            if link is None:
                link = PahoLink(broker, protocol=plan.protocol, session_expiry_s=keep_s)
                plan.start(now_s)
                link.open()
            for event in _turn(link, plan):
                yield from _tell(
                    event,
                    link,
                    plan=plan,
                    interpreter=interpreter,
                    address=broker.address,
                    whose=whose,
                )
            if plan.state is LinkState.WAITING:
                link = None
    finally:
        if link is not None:
            link.close()


def _tell(
    event: LinkEvent,
    link: PahoLink,
    *,
    plan: Reconnect,
    interpreter: Interpreter,
    address: str,
    whose: str,
) -> Iterator[News]:
    match event:
        case Connected():
            plan.succeed(time.monotonic())
            for kind in KINDS:
                link.subscribe(f"{ROOT}/{whose}/{kind}")
            yield LinkChange(online=True, text=f"connected to {address} (MQTT {event.protocol})")
        case Received():
            yield from interpreter.read(event.topic, event.payload, retained=event.retained)
        case Lost():
            link.drop()
            notice = plan.fail(event.failure, event.detail, time.monotonic())
            if notice.level >= logging.WARNING:  # once for each kind of failure
                yield LinkChange(online=False, text=f"{address}: {notice.text}")
        case Acknowledged():
            pass


def subscriber_id() -> str:
    """Return a client id for one run of a subscriber."""
    return f"emoshift-subscriber-{uuid.uuid4().hex[:12]}"


def _turn(link: PahoLink, plan: Reconnect) -> list[LinkEvent]:
    events = link.turn(_TURN_S)
    slow = plan.state is LinkState.CONNECTING and time.monotonic() - plan.since_s > plan.answer_s
    if slow and not events:
        return [Lost(failure=Failure.SILENT, detail="no answer to CONNECT")]
    return events

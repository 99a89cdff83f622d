"""``edge subscribe``: what all devices publish, on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from edge.commands.terminal import event_line
from emoshift.errors import UsageError
from emoshift.logs import RepeatLimit, printable
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import (
    KEEP_S,
    ConnectionChange,
    DeviceStatus,
    FarAhead,
    Gap,
    NewEvent,
    SubscriptionRefused,
    Unreadable,
    listen,
    subscriber_id,
)
from emoshift.topics import ROOT, Kind, read_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.config import Config
    from emoshift.messages import Transition
    from emoshift.subscriber import Notification
    from emoshift.topics import Address


KEEP_NAMED_S: Final = 7 * 24 * 3600
"""How long the broker queues for a subscriber with a name of its own."""


def print_events(
    config: Config,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    *,
    as_json: bool,
    name: str | None = None,
    state: Path | None = None,
    forget: Sequence[str] = (),
) -> None:
    """Print events until interrupted.

    Args:
        config: Names the broker.
        say: Called with each event, one line.
        warn: Called with everything else: devices that come and go, gaps, the state of the link.
        as_json: Whether events are printed as the messages they came in.
        name: Client id, the same at every start; the broker queues under it for a week.
        state: Remembers what has come, so that a later start goes on from there.
        forget: Devices, as ``SITE/DEVICE``, of which the state is to forget everything first.

    Raises:
        UsageError: One of them is no name of a device.
    """
    devices = [_address(place) for place in forget]
    broker = Broker.from_settings(config.mqtt, client_id=name or subscriber_id())
    limit = RepeatLimit()
    for news in listen(
        broker, keep_s=KEEP_S if name is None else KEEP_NAMED_S, state=state, forget=devices
    ):
        if isinstance(news, NewEvent):
            late = "  (late)" if news.late and not as_json else ""
            say(event_json(news.event) if as_json else printable(event_line(news.event) + late))
            continue
        left_out = limit.count(type(news).__name__)
        if left_out is not None:
            more = f" (and {left_out} more like it before)" if left_out else ""
            warn(printable(other_line(news) + more))


def _address(place: str) -> Address:
    parts = read_topic(f"{ROOT}/{place}/{Kind.STATUS}")
    if parts is None:
        raise UsageError(f"--forget: found {place!r}, expected SITE/DEVICE, such as school/room-1")
    return parts[0]


def event_json(event: Transition) -> str:
    """The message as JSON in ASCII: nothing in it moves a cursor."""
    text = event.to_json()
    if text.isascii():
        return text
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=True)


def other_line(news: Notification) -> str:  # noqa: PLR0911 - one for each kind
    """One readable line for whatever is no event."""
    match news:
        case Gap():
            why = f" ({news.reason})" if news.reason else ""
            numbers = f"{news.first} to {news.last}, of {news.boot_id[:8]}{why}"
            return f"missing: {news.count} events, {numbers}"
        case SubscriptionRefused():
            return f"the broker refuses {news.topic}: {news.reason}; check its access list"
        case FarAhead():
            return f"not believed: number {news.seq} of {news.boot_id[:8]}, after {news.highest}"
        case DeviceStatus():
            return f"{news.site}/{news.device} is {news.state.value}"
        case ConnectionChange():
            return news.text
        case Unreadable():
            return f"{news.topic}: not understood: {news.why}"
        case NewEvent():
            return event_line(news.event)

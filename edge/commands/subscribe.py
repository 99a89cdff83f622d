"""``edge subscribe``: what all devices tell, on a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge.commands.terminal import event_line
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import (
    ConnectionChange,
    DeviceStatus,
    Gap,
    NewEvent,
    Unreadable,
    listen,
    subscriber_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config import Config
    from emoshift.subscriber import Notification


def print_events(
    config: Config,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    *,
    as_json: bool,
) -> None:
    """Print events until interrupted.

    Args:
        config: Names the broker.
        say: Told each event, one line.
        warn: Told everything else: devices that come and go, gaps, the state of the link.
        as_json: Whether events are told as the messages they came in.
    """
    broker = Broker.from_settings(config.mqtt, client_id=subscriber_id())
    for news in listen(broker, threading.Event()):
        if isinstance(news, NewEvent):
            late = "  (late)" if news.late and not as_json else ""
            say((news.event.to_json() if as_json else event_line(news.event)) + late)
        else:
            warn(other_line(news))


def other_line(news: Notification) -> str:
    """One readable line for whatever is no event."""
    match news:
        case Gap():
            return (
                f"missing: {news.count} events, {news.first} to {news.last}, of {news.boot_id[:8]}"
            )
        case DeviceStatus():
            return f"{news.site}/{news.device} is {news.state.value}"
        case ConnectionChange():
            return news.text
        case Unreadable():
            return f"{news.topic}: not understood: {news.why}"
        case NewEvent():
            return event_line(news.event)

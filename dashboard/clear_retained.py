"""Clears what a broker keeps of a device: its retained messages."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from emoshift.mqtt.connection import Acknowledged, Connected, Lost, OutgoingMessage
from emoshift.mqtt.paho import PROTOCOLS, Broker, PahoConnection
from emoshift.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emoshift.settings import BrokerSettings
    from emoshift.topics import Address

RETAINED: Final = (Kind.STATUS, Kind.INFO, Kind.CLASS, Kind.HEALTH, Kind.LEDGER)
_PATIENCE_S: Final = 10.0


def clear_retained(
    settings: BrokerSettings, addresses: Iterable[Address], *, kinds: Iterable[Kind] = RETAINED
) -> str:
    """Clear the retained messages of devices.

    Args:
        settings: Name the broker.
        addresses: Which devices.
        kinds: Which of their messages.

    Returns:
        What went wrong; empty when the broker has taken all.

    Raises:
        ConfigError: A file named in the settings is missing or unusable.
    """
    client_id = f"emoshift-dashboard-clear-{secrets.token_hex(4)}"
    broker = Broker.from_settings(settings, client_id=client_id, table="broker")
    wanted = tuple(kinds)
    topics = [address.topic(kind) for address in addresses for kind in wanted]
    problem = ""
    for protocol in PROTOCOLS:
        problem = _clear(PahoConnection(broker, protocol=protocol), topics)
        if not problem:
            return ""
    return f"broker {broker.address}: {problem}"


def _clear(connection: PahoConnection, topics: list[str]) -> str:
    until_s = time.monotonic() + _PATIENCE_S
    waiting: set[int] = set()
    connection.open()
    try:
        while time.monotonic() < until_s:
            for event in connection.turn(0.1):
                match event:
                    case Connected():
                        empty = [
                            OutgoingMessage(topic=topic, payload="", qos=1, retain=True)
                            for topic in topics
                        ]
                        waiting = {connection.send(message) for message in empty}
                    case Acknowledged():
                        if event.refused is not None:
                            return f"refuses it ({event.refused}); its access list must allow it"
                        waiting.discard(event.token)
                        if not waiting:
                            return ""
                    case Lost():
                        return event.detail
                    case _:
                        pass
        return "does not answer"
    finally:
        connection.close()

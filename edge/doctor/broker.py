"""The broker: a real login, with the service's name, password and certificates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from edge.doctor.finding import START_MOSQUITTO, Cure, Finding, by, edge
from edge.identity import machine_digest, settle_name
from emoshift.errors import EmoshiftError
from emoshift.mqtt.connection import Connected, Failure, Lost, Subscribed
from emoshift.mqtt.paho import PROTOCOLS, Broker, PahoConnection
from emoshift.mqtt.reconnect import ANSWER_S
from emoshift.topics import Address, Kind

if TYPE_CHECKING:
    from edge.config import Config

_OF_NETWORK: Final = (Failure.UNREACHABLE, Failure.SILENT)
_OF_PROTOCOL: Final = (Failure.PROTOCOL, Failure.HUNG_UP, Failure.SILENT)
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")


def examine_broker(config: Config) -> Finding:
    """Sign in as the publisher would, under another client id so that it is not thrown out."""
    try:
        config = settle_name(config)
        broker = Broker.from_settings(config.mqtt, client_id=f"emoshift-{machine_digest()}-doctor")
    except EmoshiftError as why:
        return Finding(what="broker", good=False, detail=str(why), cures=edge("init"))
    topic = Address(config.device.site, config.device.name).topic(Kind.STATUS)
    for protocol in PROTOCOLS:
        problem, good = _sign_in(broker, protocol, topic)
        if good or problem.failure not in _OF_PROTOCOL:
            break
    if good:
        detail = f"{broker.address}: signed in, MQTT {protocol}{problem.detail}"
        return Finding(what="broker", good=not problem.detail, detail=detail)
    return Finding(
        what="broker",
        good=False,
        detail=f"{broker.address}: {problem.detail}; {problem.failure.value}; events would wait in"
        " the outbox",
        cures=_cures(config, problem.failure),
    )


def _cures(config: Config, failure: Failure) -> tuple[Cure, ...]:
    host = config.mqtt.host
    if failure in _OF_NETWORK:
        if host in _THIS_MACHINE:
            return (START_MOSQUITTO,)
        return by("ping", "-c", "3", host, root=False)
    return edge("init")


def _sign_in(broker: Broker, protocol: str, topic: str) -> tuple[Lost, bool]:
    """Connect and subscribe to the device's own topic; returns what is wrong, and if it worked."""
    connection = PahoConnection(broker, protocol=protocol)
    until_s = time.monotonic() + ANSWER_S
    limits = ""
    connection.open()
    try:
        while time.monotonic() < until_s:
            for event in connection.turn(0.1):
                match event:
                    case Lost():
                        return event, False
                    case Connected():
                        limits = _limits(event)
                        connection.subscribe(topic)
                    case Subscribed():
                        refused = "".join(f"; refuses {t}: {why}" for t, why in event.refused)
                        return Lost(failure=Failure.FORBIDDEN, detail=limits + refused), True
    finally:
        connection.close()
    return Lost(failure=Failure.SILENT, detail=f"no answer within {ANSWER_S:.0f} s"), False


def _limits(event: Connected) -> str:
    lacking = [] if event.retain else ["no retained messages"]
    lacking += [] if event.max_qos else ["no QoS 1"]
    return "".join(f"; {what}" for what in lacking)

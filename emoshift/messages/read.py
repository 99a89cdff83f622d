"""Reading any message: by its topic, completely checked, or refused with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from emoshift.messages.body import MessageError, Problem
from emoshift.messages.class_summary import ClassSummary
from emoshift.messages.device import Info, Status
from emoshift.messages.fields import to_ms
from emoshift.messages.health import Health
from emoshift.messages.ledger import Ledger, Replay
from emoshift.messages.transition import Transition
from emoshift.topics import Address, Kind, read_topic

MAX_PAYLOAD_BYTES: Final = 16 * 1024
"""No message of a device comes near; a longer one is not parsed."""
MAX_AHEAD_MS: Final = 24 * 3600 * 1000
"""A synchronised clock that is further ahead than this is not believed."""


Body = Transition | Status | Info | ClassSummary | Health | Ledger | Replay

MODELS: Final[dict[Kind, type[Body]]] = {
    Kind.TRANSITION: Transition,
    Kind.STATUS: Status,
    Kind.INFO: Info,
    Kind.CLASS: ClassSummary,
    Kind.HEALTH: Health,
    Kind.LEDGER: Ledger,
    Kind.REPLAY: Replay,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One believed message.

    Attributes:
        address: The device it came from.
        body: What it says.
        received_ms: When it was received, milliseconds since 1970; 0 where nobody looked.
    """

    address: Address
    body: Body
    received_ms: int = 0


def read_message(topic: str, payload: bytes, *, received_ms: int = 0) -> Message:
    """Validate one message completely.

    Args:
        topic: Where it came from; it must be the topic of the device that it names.
        payload: The JSON text.
        received_ms: The time now, milliseconds since 1970, to refuse events from the future; 0 to
            believe any date.

    Raises:
        MessageError: Anything about it is wrong; says what.
    """
    place = read_topic(topic)
    if place is None:
        raise MessageError(Problem.TOPIC, f"no topic of the contract: {topic[:200]!r}")
    address, kind = place
    if len(payload) > MAX_PAYLOAD_BYTES:
        detail = f"{kind}: {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}"
        raise MessageError(Problem.OVERSIZED, detail, address)
    try:
        body: Body = MODELS[kind].from_json(payload)
    except MessageError as why:
        raise MessageError(why.problem, f"{kind}: {why}", address) from None
    if body.device != address.device:
        raise MessageError(Problem.FORGED, f"{kind}: says it is from {body.device!r}", address)
    if isinstance(body, Transition) and received_ms and _is_ahead(body, received_ms):
        detail = f"{kind}: dated {body.decided.isoformat()}, more than a day ahead"
        raise MessageError(Problem.FORGED, detail, address)
    return Message(address, body, received_ms)


def _is_ahead(event: Transition, now_ms: int) -> bool:
    return event.clock_synced and to_ms(event.decided) > now_ms + MAX_AHEAD_MS


def read_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind of message, such as ``transition``.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in set(Kind):
        raise ValueError(f"unknown message {kind!r}; the messages are {', '.join(Kind)}")
    file = resources.files("emoshift").joinpath("schemas", f"{kind}.json")
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema

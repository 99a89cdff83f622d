"""Which events were sent, can be sent again, or are lost; and the request to send some again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from emoshift.messages.body import MessageBody, Part
from emoshift.messages.fields import BootId, Count, Identifier, Number


class BootNumbers(Part):
    """The numbers of one ``boot_id``.

    Attributes:
        boot_id: Which.
        kept_from: The lowest number that can still be asked for by ``/replay``.
        settled: The broker has taken all numbers up to here, or they are lost.
    """

    boot_id: BootId
    kept_from: Number
    settled: Count


class LostNumbers(Part):
    """Numbers that will not come any more.

    Attributes:
        boot_id: Under which they were given.
        first: The first of them.
        last: The last of them.
        reason: ``damaged`` on the disk, ``full`` or ``old`` (dropped by the limits of the outbox),
            ``memory`` (no disk took them), ``refused`` by the broker and kept on the device, or
            ``removed`` by its operator.
    """

    boot_id: BootId
    first: Number
    last: Number
    reason: Literal["damaged", "full", "old", "memory", "refused", "removed"]


class Ledger(MessageBody):
    """Which numbers were sent, can be had again, or are lost: what a subscriber compares with.

    Attributes:
        device: Name of the device.
        boots: The latest boot ids, the newest last.
        lost: The latest losses, the newest last.
    """

    schema_: Literal["emoshift.ledger/1"] = Field(
        default="emoshift.ledger/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    boots: Annotated[list[BootNumbers], Field(max_length=100)]
    lost: Annotated[list[LostNumbers], Field(max_length=100)]


class Replay(MessageBody):
    """Sent by a subscriber: a device is to send events again that it still keeps.

    Attributes:
        device: Name of the device that is asked.
        boot_id: Under which the events were numbered.
        first: The first number.
        last: The last number.
    """

    schema_: Literal["emoshift.replay/1"] = Field(
        default="emoshift.replay/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    boot_id: BootId
    first: Number
    last: Number

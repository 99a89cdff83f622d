"""The event: the emotion of one face has changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from emoshift.emotions import EMOTIONS
from emoshift.messages.body import MessageBody
from emoshift.messages.fields import BootId, Date, EmotionName, Identifier, Name, Number, StateName


class Transition(MessageBody):
    """The emotion of one face has changed.

    Attributes:
        event_id: ``boot_id`` and ``seq``, joined by a colon; the same for every copy of this event.
        boot_id: New for every start of the vision process and every new outbox.
        seq: Counts 1, 2, 3, ... without a gap within a ``boot_id``: order by it, never by time.
        device: Name of the device.
        camera: Name of the camera.
        track: A random label, new for every appearance of a face.
        before: The emotion that ended; never the same as ``to``.
        after: The emotion that began.
        confidence: Calibrated probability of ``to``.
        onset: When the change began; never later than ``decided``.
        decided: When it was decided.
        dwell_s: How long the emotion before had lasted, seconds.
        latency_ms: From the capture of the deciding frame to the decision, milliseconds.
        clock_synced: Whether a time source had set the clock that the dates come from.
        historical: Sent long after it happened: record it, but switch nothing because of it.
        degraded: Whether a reduced ensemble gave any of the evidence.
        model: Id of the model bundle, and behind a plus that of its site layer.
        backlog: Sent before older events of the device that still wait: smaller numbers are no
            loss, they follow. Left out where it is false.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "anyOf": [
                    {"properties": {"from": {"const": name}, "to": {"const": name}}}
                    for name in EMOTIONS
                ]
            }
        }
    )

    schema_: Literal["emoshift.transition/1"] = Field(
        default="emoshift.transition/1", validation_alias="schema", serialization_alias="schema"
    )
    event_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}:[1-9][0-9]{0,15}$")]
    boot_id: BootId
    seq: Number
    device: Identifier
    camera: Identifier
    track: Name
    before: StateName = Field(validation_alias="from", serialization_alias="from")
    after: EmotionName = Field(validation_alias="to", serialization_alias="to")
    confidence: Annotated[float, Field(ge=0, le=1)]
    onset: Date
    decided: Date
    dwell_s: Annotated[float, Field(ge=0, le=1e9)]
    latency_ms: Annotated[int, Field(ge=0, le=10**9)]
    clock_synced: bool
    historical: bool
    degraded: bool
    model: Name
    backlog: bool = Field(default=False, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _is_a_change(self) -> Self:
        if self.before == self.after:
            raise PydanticCustomError("change", "from and to are the same")
        if self.onset > self.decided:
            raise PydanticCustomError("change", "onset is later than decided")
        if self.event_id != f"{self.boot_id}:{self.seq}":
            raise PydanticCustomError("forged", "event_id does not join boot_id and seq")
        return self

    def moved(self, by_s: float) -> Transition:
        """Return the same event with dates of a clock that has been set since."""
        by = timedelta(milliseconds=round(by_s * 1000))
        return self.model_copy(
            update={"onset": self.onset + by, "decided": self.decided + by, "clock_synced": True}
        )

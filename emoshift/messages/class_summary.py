"""How many faces of a class are in which state, never fewer than may be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from emoshift.emotions import EMOTIONS, STATES, Emotion, state_label
from emoshift.messages.body import MessageBody, Part
from emoshift.messages.fields import Count, Date, Faces, Identifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class States(Part):
    """Faces per state."""

    angry: Count
    disgust: Count
    fear: Count
    happy: Count
    sad: Count
    surprise: Count
    neutral: Count
    unknown: Count

    def counts(self) -> tuple[int, ...]:
        """Return the counts in the order of `emoshift.emotions.STATES`."""
        return tuple(getattr(self, state) for state in STATES)


class Changes(Part):
    """Faces that changed to each emotion."""

    angry: Count
    disgust: Count
    fear: Count
    happy: Count
    sad: Count
    surprise: Count
    neutral: Count

    def counts(self) -> tuple[int, ...]:
        """Return the counts in the order of `emoshift.emotions.EMOTIONS`."""
        return tuple(getattr(self, emotion) for emotion in EMOTIONS)


class ClassSummary(MessageBody):
    """How many faces are in which state; empty below the smallest class allowed.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        at: When it was true.
        suppressed: Whether there are too few faces to say anything without pointing at somebody.
        faces: How many faces were counted, the sum of ``states``; null when suppressed.
        states: Faces per state; null when suppressed.
        window_s: Over how many seconds before ``at`` the counts are means, with noise; null where
            they are of one moment. Not sent by older devices.
        changes: Faces that changed to each emotion within the window, with noise; null when
            suppressed or without a window. Not sent by older devices.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"suppressed": {"const": True}}},
            "then": {"properties": {"faces": {"type": "null"}, "states": {"type": "null"}}},
            "else": {"properties": {"faces": {"type": "integer"}, "states": {"type": "object"}}},
        }
    )

    schema_: Literal["emoshift.class/1"] = Field(
        default="emoshift.class/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    camera: Identifier
    at: Date
    suppressed: bool
    faces: Faces | None
    states: States | None
    window_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    changes: Changes | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.suppressed != (self.states is None) or self.suppressed != (self.faces is None):
            raise PydanticCustomError("class", "suppressed contradicts faces and states")
        if self.states is not None and sum(self.states.counts()) != self.faces:
            raise PydanticCustomError("class", "faces is not the sum of states")
        return self


def summarise_class(
    states: Mapping[Emotion | None, int],
    *,
    device: str,
    camera: str,
    at: datetime,
    min_faces: int,
) -> ClassSummary:
    """Count a class, or suppress the counts where it is smaller than ``min_faces``.

    Args:
        states: Faces per state; ``None`` is unknown.
        device: Name of the device.
        camera: Name of the camera.
        at: When it was true.
        min_faces: The smallest class that is described.
    """
    faces = sum(states.values())
    suppressed = faces < min_faces
    counts = {state_label(state): states.get(state, 0) for state in (*Emotion, None)}
    return ClassSummary(
        device=device,
        camera=camera,
        at=at,
        suppressed=suppressed,
        faces=None if suppressed else faces,
        states=None if suppressed else States(**counts),
    )

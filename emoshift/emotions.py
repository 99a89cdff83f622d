"""The seven emotions, and the state of a face about which nothing is certain enough."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Emotion(IntEnum):
    """The seven basic emotions, numbered as in FER2013."""

    ANGRY = 0
    DISGUST = 1
    FEAR = 2
    HAPPY = 3
    SAD = 4
    SURPRISE = 5
    NEUTRAL = 6

    @property
    def label(self) -> str:
        """The name used in configuration, bundles and messages, such as ``happy``."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> Emotion:
        """Return the emotion named ``label``; raises ``ValueError`` for any other word."""
        try:
            return cls[label.upper()]
        except KeyError:
            raise ValueError(
                f"unknown emotion {label!r}; the emotions are {', '.join(e.label for e in cls)}"
            ) from None


UNKNOWN: Final = "unknown"
"""The state of a face about which nothing is certain enough."""
EMOTIONS: Final = tuple(emotion.label for emotion in Emotion)
"""The names of the emotions, in their order."""
STATES: Final = (*EMOTIONS, UNKNOWN)
"""Everything that a face can be said to be."""


def state_label(state: Emotion | None) -> str:
    """Name a state; ``None`` is `UNKNOWN`."""
    return UNKNOWN if state is None else state.label

"""The class over a window of time: counts that describe nobody, with noise (docs/adr/0050).

Pure: it reads no clock, and its randomness is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emoshift.emotions import Emotion
from emoshift.noisy_counts import NOISE_SCALE, noisy_count

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

_STATES: Final[tuple[Emotion | None, ...]] = (*Emotion, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounts:
    """What is published of one window.

    Attributes:
        states: Mean number of faces in each state, noisy, whole; ``None`` is unknown.
        changes: Faces that changed to each emotion at least once, noisy, whole.
    """

    states: Mapping[Emotion | None, int]
    changes: Mapping[Emotion, int]


class ClassWindow:
    """Gathers one window after the other.

    Args:
        min_faces: A window in which fewer faces were seen at any moment publishes nothing.
        random: Of cryptographic quality, so that noise cannot be predicted and taken off.
        noise: Scale of the noise; see `emoshift.noisy_counts.NOISE_SCALE`.
    """

    def __init__(
        self, *, min_faces: int, random: random.Random, noise: float = NOISE_SCALE
    ) -> None:
        self._min_faces = min_faces
        self._random = random
        self._noise = noise
        self._start()

    def _start(self) -> None:
        self._samples = 0
        self._fewest: int | None = None
        self._sums = dict.fromkeys(_STATES, 0)
        self._changed: set[str] = set()
        self._changes = dict.fromkeys(Emotion, 0)

    def add(self, states: Mapping[Emotion | None, int]) -> None:
        """Take in how many faces are in which state now; call at even intervals."""
        faces = sum(states.values())
        self._samples += 1
        self._fewest = faces if self._fewest is None else min(self._fewest, faces)
        for state, count in states.items():
            self._sums[state] += count

    def add_change(self, track: str, after: Emotion) -> None:
        """Take in that a face has changed; the first change of each is counted, no other."""
        if track not in self._changed:
            self._changed.add(track)
            self._changes[after] += 1

    def close(self) -> WindowCounts | None:
        """End the window and return what is published of it; ``None`` where nothing may be."""
        samples, fewest = self._samples, self._fewest
        sums, changes = self._sums, self._changes
        self._start()
        if fewest is None or fewest < self._min_faces:
            return None
        return WindowCounts(
            states={state: self._noisy(total / samples) for state, total in sums.items()},
            changes={emotion: self._noisy(count) for emotion, count in changes.items()},
        )

    def _noisy(self, value: float) -> int:
        return noisy_count(value, self._random, scale=self._noise)

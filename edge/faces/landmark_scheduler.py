"""Whose landmarks are measured on this frame: the oldest and most changed first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANGE: Final = 0.06
"""A keypoint that moved within the face by this share of its size doubles the urgency."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One face that could be measured.

    Attributes:
        track: Number of its track.
        age_s: Time since its last measurement; ``None`` when there was none.
        change: How far its keypoints have moved within the face since, face sizes.
        due: Whether its next measurement is due.
    """

    track: int
    age_s: float | None
    change: float
    due: bool = True


def select(candidates: Sequence[Candidate], *, budget: int) -> tuple[int, ...]:
    """Choose the tracks to measure.

    Args:
        candidates: Every face large enough.
        budget: Most faces to measure.

    Returns:
        Track numbers, most urgent first; faces never measured come before all others.
    """
    due = [
        (candidate.age_s is None, _urgency(candidate), -candidate.track)
        for candidate in candidates
        if candidate.due or candidate.age_s is None
    ]
    due.sort(reverse=True)
    return tuple(-track for _, _, track in due[:budget])


def _urgency(candidate: Candidate) -> float:
    if candidate.age_s is None:
        return 0.0
    return candidate.age_s * (1.0 + min(candidate.change / CHANGE, 2.0))

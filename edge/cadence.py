"""A steady rate for each track, whatever the frame rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge.values import Face

CLASSIFY_EVERY_S: Final = 0.09
"""Time between two classifications of one face, seconds.

Frames 33 ms apart show nearly the same and err alike: what classifying each of them changes in
the changes found is within chance (``docs/research/transitions.md``)."""
NEWS_S: Final = 4.0
"""What new landmarks count for where not everybody's turn can be taken, seconds of waiting: they
are lost to the networks unless the face is classified now. Where thirty faces get a turn a second
each, a lesser head start would go to faces that are measured in the next frame anyway."""
_SLACK_S: Final = 1e-3
"""Capture times jitter; a frame this early counts as on time."""


class Cadence:
    """Says when a track's next turn has come.

    Turns are counted from when the last one was due and not from when it was taken, so that the
    mean rate holds although turns fall on frames: 11 a second at 30, 25 or 15 frames a second.
    """

    def __init__(self) -> None:
        self._due_s: dict[int, float] = {}

    def is_due(self, track: int, now_s: float, *, ahead_s: float = 0.0) -> bool:
        """Whether its turn has come, or comes within ``ahead_s``; a new track's has."""
        return now_s >= self._due_s.get(track, -math.inf) - ahead_s - _SLACK_S

    def take(self, track: int, now_s: float, interval_s: float) -> None:
        """Note that a track has its turn now; the next one is due ``interval_s`` later."""
        due_s = self._due_s.get(track, now_s)
        on_time = now_s - interval_s < due_s <= now_s
        self._due_s[track] = (due_s if on_time else now_s) + interval_s

    def forget(self, tracks: Iterable[int]) -> None:
        """Drop everything kept of these tracks."""
        for track in tracks:
            self._due_s.pop(track, None)

    def due_faces(
        self,
        faces: Sequence[Face],
        now_s: float,
        interval_s: float,
        *,
        since_s: float | None = None,
        limit: Callable[[int], int] = lambda due: due,
    ) -> tuple[Face, ...]:
        """Take the turns of the faces of a frame: whose is due, and whose landmarks are new.

        Where not all can be taken, those who have waited longest are, and new landmarks count as
        `NEWS_S` of waiting. The others keep their turn.

        Args:
            faces: All in view.
            now_s: When they were seen, seconds.
            interval_s: Time between two turns, seconds.
            since_s: Landmarks measured then or later are new; ``now_s`` unless given.
            limit: How many of so many to take.

        Returns:
            Whose turn it is, in the order of ``faces``.
        """
        new_s = now_s if since_s is None else since_s
        waiting: dict[int, float] = {}
        for face in faces:
            due_s = self._due_s.setdefault(face.track, now_s)
            if face.landmarks is not None and face.landmarks.measured_s >= new_s:
                waiting[face.track] = due_s - NEWS_S
            elif self.is_due(face.track, now_s):
                waiting[face.track] = due_s
        taken = sorted(waiting, key=waiting.__getitem__)[: limit(len(waiting))]
        for track in taken:
            self.take(track, now_s, interval_s)
        chosen = frozenset(taken)
        return tuple(face for face in faces if face.track in chosen)

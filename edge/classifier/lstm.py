"""A recurrent member over many faces: each has its own state, all step at the same moments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.features.blendshapes import channels, levels, resting_offset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.classifier.member import Network
    from edge.values import Features

MOST_STEPS: Final = 3
"""A measurement stands for up to this many steps; after a longer gap a face starts afresh."""
NEUTRAL_STEPS: Final = 30
"""Measurements of a settled, neutral face whose median becomes that person's resting face."""
_FRONTAL: Final = np.zeros(3, np.float32)


@dataclass(slots=True, eq=False)
class _Track:
    levels: NDArray[np.float32]
    measured_s: float
    state_h: NDArray[Any]
    state_c: NDArray[Any]
    log_probs: NDArray[np.float32] | None = None
    resting: list[NDArray[np.float32]] = field(default_factory=list)
    offset: NDArray[np.float32] | None = None


class Recurrent:
    """Keeps the state of every face and steps them as one batch.

    Steps fall due by the capture times, every ``step_s`` on average whatever the frame rate;
    between two steps the last estimate stands.

    Attributes:
        last_inputs: Channels of the faces of the last step that was due, ``(faces, channels)``.
    """

    def __init__(self, network: Network) -> None:
        member = network.member
        if member.channels is None or member.step_s is None:  # the manifest's own check
            raise ValueError(f"{member.name} is not recurrent")
        self._network = network
        self._form = member.channels
        self._step_s = member.step_s
        self._longest_s = (MOST_STEPS + 0.5) * member.step_s
        self._tracks: dict[int, _Track] = {}
        self._stepped_s: float | None = None
        self.last_inputs: NDArray[np.float32] = np.empty((0, len(member.channels.mean)), np.float32)

    def estimate(
        self, faces: Sequence[Features], resting: NDArray[np.bool_]
    ) -> list[NDArray[np.float32] | None]:
        """Take in one frame's measurements and return each face's current estimate.

        Args:
            faces: The faces of one frame.
            resting: Shape ``(len(faces),)``: whether a face is taken for neutral just now.

        Returns:
            Log-probabilities ``(len(Emotion),)`` for each face, or ``None`` for one without a
            recent measurement.
        """
        now_s = max(face.captured_s for face in faces)
        for face in faces:
            self._reset_if_lost(face)
        self._measure(faces, resting)
        self._advance(now_s)
        return [
            track.log_probs if (track := self._tracks.get(face.track)) else None for face in faces
        ]

    def forget(self, tracks: Iterable[int]) -> None:
        """Drop everything kept of these faces."""
        for track in tracks:
            self._tracks.pop(track, None)

    def _reset_if_lost(self, face: Features) -> None:
        track = self._tracks.get(face.track)
        if track is not None and not 0 <= face.captured_s - track.measured_s <= self._longest_s:
            track.state_h, track.state_c = self._network.zero_state()
            track.log_probs = None

    def _measure(self, faces: Sequence[Features], resting: NDArray[np.bool_]) -> None:
        seen = [
            (f, bool(r)) for f, r in zip(faces, resting, strict=True) if f.blendshapes is not None
        ]
        if not seen:
            return
        shapes = np.stack([f.blendshapes for f, _ in seen if f.blendshapes is not None])
        poses = np.stack([_FRONTAL if f.pose is None else f.pose for f, _ in seen])
        for (face, is_resting), row in zip(seen, levels(shapes, poses, self._form), strict=True):
            track = self._tracks.get(face.track)
            if track is None:
                state_h, state_c = self._network.zero_state()
                track = self._tracks[face.track] = _Track(row, face.captured_s, state_h, state_c)
            track.levels, track.measured_s = row, face.captured_s
            if is_resting and self._form.subtract_neutral and len(track.resting) < NEUTRAL_STEPS:
                track.resting.append(row)
                if len(track.resting) == NEUTRAL_STEPS:
                    track.offset = resting_offset(np.stack(track.resting), self._form)

    def _advance(self, now_s: float) -> None:
        """Step the faces measured lately, in this frame or not, as often as time asks for."""
        fresh = [t for t in self._tracks.values() if self._is_fresh(t, now_s)]
        started = self._stepped_s
        if started is None or not -self._step_s <= now_s - started <= self._longest_s:
            self._stepped_s = now_s
            self.last_inputs = self._step(fresh)
            return
        # A little early counts as due, so that jitter does not turn 10 Hz into 5 Hz.
        due = math.floor((now_s - started) / self._step_s + 0.25)
        self._stepped_s = started + due * self._step_s
        if due == 0:  # a face that has just come does not wait for its first estimate
            self._step([track for track in fresh if track.log_probs is None])
        for _ in range(due):
            self.last_inputs = self._step(fresh)

    def _is_fresh(self, track: _Track, now_s: float) -> bool:
        return now_s - track.measured_s <= self._longest_s

    def _channels(self, tracks: list[_Track]) -> NDArray[np.float32]:
        seen = np.stack([track.levels for track in tracks])
        if all(track.offset is None for track in tracks):
            return channels(seen, self._form)
        unknown = np.zeros(seen.shape[1:], np.float32)
        offsets = [unknown if track.offset is None else track.offset for track in tracks]
        return channels(seen, self._form, np.stack(offsets))

    def _step(self, tracks: list[_Track]) -> NDArray[np.float32]:
        """Step these tracks and return what the network was shown."""
        if not tracks:
            return np.empty((0, len(self._form.mean)), np.float32)
        shown = self._channels(tracks)
        log_probs, state_h, state_c = self._network.step(
            shown,
            np.stack([t.state_h for t in tracks]),
            np.stack([t.state_c for t in tracks]),
        )
        for row, track in enumerate(tracks):
            track.log_probs = log_probs[row]
            track.state_h, track.state_c = state_h[row], state_c[row]
        return shown

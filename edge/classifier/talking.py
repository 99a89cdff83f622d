"""Detects who is talking: speech moves jaw and lips to and fro, an expression one way, to stay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.features.blendshapes import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.values import Features

CHANNELS: Final = (
    "jawOpen",
    "mouthFunnel",
    "mouthPucker",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthRollLower",
)
"""Blendshapes that speech moves and smiles, frowns and pressed lips move little."""
TIME_S: Final = 1.0
"""Motion is averaged over about this long: a few syllables."""
GAP_S: Final = 0.5
"""Longer between two measurements, and what lies between is not known to be motion."""
QUIET: Final = 0.055
SPEECH: Final = 0.16
"""Motion to and fro, in blendshapes a second, below which nobody talks and above which somebody
surely does. Medians over real clips measured 15 times a second: faces at rest and posed onsets
0.00 to 0.04, people who talk 0.15 to 0.92 (``docs/research/transitions.md``). Measured 11 times a
second (`edge.cadence`) the same motion is about a fifth shorter, for corners are cut."""

_COLUMNS: Final = np.array([NAMES.index(name) for name in CHANNELS])


@dataclass(slots=True, eq=False)
class _Track:
    seen_s: float
    measured_s: float
    levels: NDArray[np.float32]
    path: NDArray[np.float32]
    net: NDArray[np.float32]


class SpeechDetector:
    """Follows the mouth of every face and says how surely its owner talks.

    The length of the way that jaw and lips went in the last second or so, less how far they got:
    zero for a face at rest and for one that changes from one expression to another.
    """

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}

    def update(self, faces: Sequence[Features]) -> tuple[float, ...]:
        """Take in one frame; return for each face how surely it talks, 0 to 1.

        A face whose mouth was never measured counts as silent.
        """
        return tuple(self._talking(face) for face in faces)

    def forget(self, tracks: Iterable[int]) -> None:
        """Drop everything kept of these faces."""
        for track in tracks:
            self._tracks.pop(track, None)

    def _talking(self, face: Features) -> float:
        track = self._tracks.get(face.track)
        if face.blendshapes is not None:
            levels = face.blendshapes[_COLUMNS]
            if track is None:
                still = np.zeros(len(CHANNELS), np.float32)
                track = _Track(face.captured_s, face.captured_s, levels, still, still)
                self._tracks[face.track] = track
            else:
                self._measure(track, levels, face.captured_s)
        elif track is not None:
            self._fade(track, face.captured_s)
        if track is None:
            return 0.0
        motion = float((track.path - np.abs(track.net)).mean())
        return min(max((motion - QUIET) / (SPEECH - QUIET), 0.0), 1.0)

    def _measure(self, track: _Track, levels: NDArray[np.float32], now_s: float) -> None:
        dt_s = now_s - track.measured_s
        if dt_s <= 0:
            return
        if dt_s <= GAP_S:
            share = 1 - math.exp(-dt_s / TIME_S)
            speed = (levels - track.levels) / dt_s
            track.path = track.path + share * (np.abs(speed) - track.path)
            track.net = track.net + share * (speed - track.net)
        track.levels, track.measured_s, track.seen_s = levels, now_s, now_s

    def _fade(self, track: _Track, now_s: float) -> None:
        """Forget the motion of a mouth that has not been measured for a while."""
        if now_s - track.measured_s > GAP_S and now_s > track.seen_s:
            kept = math.exp(-(now_s - track.seen_s) / TIME_S)
            track.path, track.net = track.path * kept, track.net * kept
        track.seen_s = max(track.seen_s, now_s)

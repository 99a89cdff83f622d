"""Comparing the faces found with the faces known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.faces.assignment import best_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.classroom.scene import TrueFaces
    from edge.values import Face

OVERLAP: Final = 0.3
"""A face counts as found where it overlaps a known one by this much."""
NEAR: Final = 0.1
"""A face found that overlaps no known one by even this much is false."""
VISIBLE: Final = 0.6
"""A face less visible than this need not be found."""
ABSENT_S: Final = 1.0
"""Who is out of sight for longer may come back under a new name."""


@dataclass(slots=True)
class Score:
    """Sums over frames (CLEAR MOT, Bernardin and Stiefelhagen, 2008).

    Attributes:
        frames: Frames counted.
        wanted: Known faces visible enough.
        found: Those of them found.
        false: Tracks shown where no face is known, each counted once.
        rounds_s: Duration of each of the detector's rounds, seconds.
        switches: Times that a known face was found under another track than before.
    """

    frames: int = 0
    wanted: int = 0
    found: int = 0
    false: set[int] = field(default_factory=set)
    switches: int = 0
    rounds_s: list[float] = field(default_factory=list)
    _last: dict[int, int] = field(default_factory=dict)
    _seen_s: dict[int, float] = field(default_factory=dict)

    def add(self, faces: Sequence[Face], truths: Iterable[TrueFaces], now_s: float) -> None:
        """Count one frame, taken at ``now_s`` seconds."""
        known = {truth.pupil: truth for truth in truths}
        for number, truth in known.items():
            if truth.visible >= VISIBLE:
                if now_s - self._seen_s.get(number, now_s) > ABSENT_S:
                    self._last.pop(number, None)
                self._seen_s[number] = now_s
        self.frames += 1
        worths = {}
        for number, truth in known.items():
            for index, face in enumerate(faces):
                overlap = face.box.overlap(truth.box)
                if overlap >= OVERLAP:
                    # A pairing that held goes on for as long as it can.
                    held = self._last.get(number) == face.track
                    worths[number, index] = overlap + (10.0 if held else 0.0)
        pairs = dict(best_pairs(worths))
        taken = set(pairs.values())
        self.false |= {
            face.track
            for index, face in enumerate(faces)
            if index not in taken
            and all(face.box.overlap(truth.box) < NEAR for truth in known.values())
        }
        for number, truth in known.items():
            wanted = truth.visible >= VISIBLE
            self.wanted += wanted
            if number not in pairs:
                continue
            self.found += wanted
            track = faces[pairs[number]].track
            if self._last.get(number, track) != track:
                self.switches += 1
            self._last[number] = track

    def plus(self, other: Score) -> Score:
        """Sum two runs; their tracks have nothing to do with each other."""
        return Score(
            frames=self.frames + other.frames,
            wanted=self.wanted + other.wanted,
            found=self.found + other.found,
            false=self.false | {track + 1 + max(self.false, default=0) for track in other.false},
            switches=self.switches + other.switches,
            rounds_s=self.rounds_s + other.rounds_s,
        )

    @property
    def recall(self) -> float:
        """Share of the wanted faces that were found."""
        return self.found / self.wanted if self.wanted else 1.0

    def switches_per_face_minute(self, fps: float) -> float:
        """Identity switches for each face and minute in which it was to be found."""
        return self.switches / (self.wanted / fps / 60) if self.wanted else 0.0

    def false_per_minute(self, fps: float) -> float:
        """False tracks for each minute."""
        return len(self.false) / (self.frames / fps / 60) if self.frames else 0.0

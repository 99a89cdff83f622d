"""Streams with known changes: what every detector of the benchmark is shown and scored on."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

from edge.transitions.emissions import sources_alone
from edge.values import Prediction, Transition

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from emoshift.emotions import Emotion


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A true change: the moment it begins, and the emotion it leads to."""

    at_s: float
    after: Emotion


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of one clip.

    Attributes:
        name: The clip.
        start: Emotion on the first frame.
        changes: In the order of time; all of them have to be found.
        may: Spans ``(from_s, to_s)`` inside which anything goes.
        duration_s: Length of the clip.
    """

    name: str
    start: Emotion
    changes: tuple[Change, ...]
    duration_s: float
    may: tuple[tuple[float, float], ...] = ()

    @property
    def still(self) -> bool:
        """Whether nothing changes in this clip."""
        return not self.changes and not self.may

    def state_at(self, at_s: float) -> Emotion:
        """The emotion shown at that moment, from its onset on."""
        index = bisect_right([c.at_s for c in self.changes], at_s)
        return self.changes[index - 1].after if index else self.start

    def is_free(self, at_s: float) -> bool:
        """Whether the moment lies inside a span in which anything goes."""
        return any(begin <= at_s <= end for begin, end in self.may)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One face's class probabilities over time.

    Attributes:
        track: Number of the face within the clip.
        times_s: Shape ``(frames,)``, float64, increasing; dropped frames are missing.
        probs: Shape ``(frames, len(Emotion))``, float32, each row sums to 1, read-only.
        log_probs: Shape ``(frames, len(EvidenceSource), len(Emotion))``, float32: what each source
            says by itself, as `edge.values.Prediction` has it; ``None`` where there is no more
            than ``probs``.
        talking: Shape ``(frames,)``, 0 to 1; ``None`` for nobody who talks.
        degraded: Shape ``(frames,)``, bool: a member of the ensemble was missing.
    """

    track: int
    times_s: NDArray[np.float64]
    probs: NDArray[np.float32]
    log_probs: NDArray[np.float32] | None = None
    talking: NDArray[np.float64] | None = None
    degraded: NDArray[np.bool_] | None = None

    def predictions(self) -> Iterator[Prediction]:
        """The series as the device's values."""
        degraded = repeat(False) if self.degraded is None else self.degraded.tolist()
        talking = repeat(0.0) if self.talking is None else self.talking.tolist()
        sources = repeat(None) if self.log_probs is None else self.log_probs
        for at_s, probs, log_probs, talks, less in zip(
            self.times_s.tolist(), self.probs, sources, talking, degraded, strict=False
        ):
            yield Prediction(
                track=self.track,
                label=f"face-{self.track}",
                captured_s=at_s,
                probs=probs,
                log_probs=log_probs,
                talking=talks,
                degraded=less,
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """What the networks said of every face of one clip, with the truth.

    A face that was lost and found again is another series.
    """

    truth: Truth
    series: tuple[Series, ...]

    @property
    def frames(self) -> int:
        """Number of predictions."""
        return sum(len(s.times_s) for s in self.series)


def log_probs_of(series: Series) -> NDArray[np.float32]:
    """What every source says; of bare probabilities, what FER+'s head alone would."""
    return sources_alone(series.probs) if series.log_probs is None else series.log_probs


class Detector(Protocol):
    """Anything that turns one face's probabilities into changes."""

    def __call__(self, series: Series) -> list[Transition]:
        """Return the changes in the order they were decided."""
        ...


def detect(detector: Detector, stream: Stream) -> list[Transition]:
    """Changes of all faces of a clip, in the order they were decided."""
    events = [event for series in stream.series for event in detector(series)]
    return sorted(events, key=lambda event: event.decided_s)

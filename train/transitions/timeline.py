"""The course of expressions over time that every synthetic level shares: states, onsets, ramps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.emotions import Emotion
from train.transitions.streams import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MEDIAN_HELD_S: Final = {Emotion.NEUTRAL: 4.5, Emotion.SURPRISE: 1.6}
"""Median time an expression is held, 2.2 s for the others; spontaneous ones last 0.5 to 4 s."""

SHARES: Final = {
    Emotion.HAPPY: 0.34,
    Emotion.SURPRISE: 0.20,
    Emotion.SAD: 0.17,
    Emotion.ANGRY: 0.16,
    Emotion.FEAR: 0.08,
    Emotion.DISGUST: 0.05,
}
"""What neutral changes into, about half way between even shares and those of FER+; other emotions
change into neutral with probability 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One face's expressions: the first, the changes, and how long each change takes.

    Attributes:
        start: The first expression.
        changes: True changes, in the order of time.
        ramps_s: Time from each onset to the full expression.
        duration_s: Length.
    """

    start: Emotion
    changes: tuple[Change, ...]
    ramps_s: tuple[float, ...]
    duration_s: float

    @property
    def states(self) -> tuple[Emotion, ...]:
        """Every expression in turn."""
        return (self.start, *(change.after for change in self.changes))

    def mix(self, at_s: float) -> tuple[int, int, float]:
        """Places in `states` of the expression before and after, and the share of the latter."""
        begun = sum(change.at_s <= at_s for change in self.changes)
        if not begun:
            return 0, 0, 1.0
        share = ramp(at_s - self.changes[begun - 1].at_s, self.ramps_s[begun - 1])
        return begun - 1, begun, share


def ramp(since_s: float, ramp_s: float) -> float:
    """Share of the new expression ``since_s`` after its onset: a raised cosine from 0 to 1."""
    if since_s >= ramp_s:
        return 1.0
    return 0.5 - 0.5 * float(np.cos(np.pi * max(since_s, 0.0) / ramp_s))


def draw_course(
    rng: np.random.Generator,
    *,
    duration_s: float,
    emotions: Sequence[Emotion] = tuple(Emotion),
    still: bool = False,
) -> Course:
    """Draw a course over ``emotions``; ``still`` holds one of them throughout.

    Held times are log-normal (sigma 0.5) and never below 0.9 s, ramps uniform from 0.2 to 0.6 s.
    """
    neutral = Emotion.NEUTRAL in emotions
    start = (
        Emotion.NEUTRAL
        if neutral and rng.random() < 0.6
        else emotions[int(rng.integers(len(emotions)))]
    )
    state, at_s = start, 0.0
    changes: list[Change] = []
    ramps: list[float] = []
    while not still:
        median_s = MEDIAN_HELD_S.get(state, 2.2)
        at_s += max(0.9, float(rng.lognormal(np.log(median_s), 0.5)))
        if at_s > duration_s - 1.0:
            break
        state = _next(rng, state, emotions)
        changes.append(Change(at_s=at_s, after=state))
        ramps.append(float(rng.uniform(0.2, 0.6)))
    return Course(start=start, changes=tuple(changes), ramps_s=tuple(ramps), duration_s=duration_s)


def _next(rng: np.random.Generator, state: Emotion, emotions: Sequence[Emotion]) -> Emotion:
    if state is not Emotion.NEUTRAL and Emotion.NEUTRAL in emotions and rng.random() < 0.5:
        return Emotion.NEUTRAL
    others = [e for e in emotions if e not in (state, Emotion.NEUTRAL)]
    if not others:
        return Emotion.NEUTRAL
    shares = np.array([SHARES[e] for e in others])
    return others[int(rng.choice(len(others), p=shares / shares.sum()))]


def frame_times(
    rng: np.random.Generator, *, duration_s: float, fps: float, dropped: float = 0.03
) -> NDArray[np.float64]:
    """Capture times: 1 ms of jitter, a share of frames dropped, and now and then a longer gap."""
    times = np.arange(0.0, duration_s, 1 / fps)
    times = times + rng.normal(0, 0.001, len(times))
    kept = rng.random(len(times)) >= dropped
    for _ in range(rng.poisson(duration_s / 30)):
        begin = rng.uniform(0, duration_s)
        kept &= ~((times > begin) & (times < begin + rng.uniform(0.2, 0.8)))
    kept[0] = True
    times = np.sort(times[kept])
    return np.asarray(times - times[0], np.float64)

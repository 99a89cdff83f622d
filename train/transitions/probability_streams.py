"""Level (a): probability streams drawn from a model of a network's output; no picture involved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.values import frozen
from emoshift.emotions import Emotion
from train.transitions.streams import Series, Stream, Truth
from train.transitions.timeline import draw_course, frame_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

N: Final = len(Emotion)

CONFUSION: Final = np.array(
    [  # rows: shown; columns: angry, disgust, fear, happy, sad, surprise, neutral
        [0.78, 0.04, 0.05, 0.01, 0.05, 0.02, 0.05],
        [0.15, 0.72, 0.04, 0.01, 0.04, 0.01, 0.03],
        [0.06, 0.02, 0.68, 0.01, 0.08, 0.12, 0.03],
        [0.01, 0.01, 0.01, 0.92, 0.01, 0.01, 0.03],
        [0.05, 0.02, 0.06, 0.01, 0.74, 0.01, 0.11],
        [0.02, 0.01, 0.09, 0.03, 0.01, 0.82, 0.02],
        [0.03, 0.01, 0.02, 0.03, 0.08, 0.02, 0.81],
    ]
)
"""What networks trained on FER2013 mix up, after published confusion matrices; rows sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelA:
    """Parameters of the generator.

    Attributes:
        clips: Clips with changes.
        still_clips: Clips without any.
        duration_s: Length of each.
        frame_accuracy: Share of frames of a fully shown expression whose top class is right.
        noise_time_s: Correlation time of the slower half of the noise; the other half is white.
        person: Standard deviation of each person's constant offset, against noise of 1.
        sharpness: 1 is calibrated; above it the probabilities are over-confident.
        bursts_per_min: Spells of 0.1 to 0.3 s in which the output says nothing of the emotion.
        fps: Frame rates, one drawn for each clip.
    """

    clips: int = 100
    still_clips: int = 24
    duration_s: float = 30.0
    frame_accuracy: float = 0.85
    noise_time_s: float = 0.2
    person: float = 0.35
    sharpness: float = 1.0
    bursts_per_min: float = 1.0
    fps: tuple[float, ...] = (10.0, 15.0, 25.0)


def streams(level: LevelA, *, seed: int) -> list[Stream]:
    """Draw all streams; the same level and seed give the same streams."""
    gain, temperature = _scale(level)
    drawn = []
    for index in range(level.clips + level.still_clips):
        rng = np.random.default_rng([seed, index])
        still = index >= level.clips
        course = draw_course(rng, duration_s=level.duration_s, still=still)
        times_s = frame_times(rng, duration_s=level.duration_s, fps=float(rng.choice(level.fps)))
        means = _means(gain)[list(course.states)]
        shown = np.empty((len(times_s), N))
        for row, at_s in zip(shown, times_s.tolist(), strict=True):
            before, after, share = course.mix(at_s)
            row[:] = (1 - share) * means[before] + share * means[after]
        logits = shown + _noise(rng, times_s, level) + level.person * rng.normal(size=N)
        _burst(rng, logits, times_s, level)
        truth = Truth(
            name=f"a{seed}-{index:03d}{'-still' if still else ''}",
            start=course.start,
            changes=course.changes,
            duration_s=level.duration_s,
        )
        probs = _softmax(logits * level.sharpness / temperature)
        series = Series(track=index, times_s=times_s, probs=frozen(probs.astype(np.float32)))
        drawn.append(Stream(truth=truth, series=(series,)))
    return drawn


def _means(gain: float) -> NDArray[np.float64]:
    """Mean logits of each shown emotion; shape ``(N, N)``, rows centred."""
    log = np.log(CONFUSION)
    means: NDArray[np.float64] = gain * (log - log.mean(axis=1, keepdims=True))
    return means


def _noise(
    rng: np.random.Generator, times_s: NDArray[np.float64], level: LevelA
) -> NDArray[np.float64]:
    """Unit-variance noise, half of it white, half with the given correlation time."""
    white = rng.normal(size=(len(times_s), N))
    drive = rng.normal(size=(len(times_s), N))
    slow = np.empty_like(drive)
    slow[0] = drive[0]
    rho = np.exp(-np.diff(times_s) / level.noise_time_s)
    for i, r in enumerate(rho.tolist(), start=1):
        slow[i] = r * slow[i - 1] + np.sqrt(1 - r * r) * drive[i]
    mixed: NDArray[np.float64] = np.sqrt(0.5) * (white + slow)
    return mixed


def _burst(
    rng: np.random.Generator,
    logits: NDArray[np.float64],
    times_s: NDArray[np.float64],
    level: LevelA,
) -> None:
    """Replace spells of the stream by one random constant output each (a hand, blur, a word)."""
    for _ in range(rng.poisson(level.duration_s * level.bursts_per_min / 60)):
        begin = rng.uniform(0, level.duration_s)
        inside = (times_s >= begin) & (times_s < begin + rng.uniform(0.1, 0.3))
        logits[inside] = 2.0 * rng.normal(size=N) + 0.3 * rng.normal(size=(inside.sum(), N))


@cache
def _scale(level: LevelA) -> tuple[float, float]:
    """Gain that gives the frame accuracy asked for, and temperature that calibrates it."""
    rng = np.random.default_rng(12345)
    shown = rng.integers(N, size=8_000)
    noise = np.sqrt(1 + level.person**2) * rng.normal(size=(len(shown), N))
    low, high = 0.01, 20.0
    for _ in range(25):
        gain = (low + high) / 2
        right = ((_means(gain)[shown] + noise).argmax(axis=1) == shown).mean()
        low, high = (gain, high) if right < level.frame_accuracy else (low, gain)
    logits = _means(gain)[shown] + noise
    temperatures = np.geomspace(0.2, 5, 60)
    losses = [
        -np.log(_softmax(logits / t)[np.arange(len(shown)), shown]).mean() for t in temperatures
    ]
    return gain, float(temperatures[int(np.argmin(losses))])


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = e / e.sum(axis=1, keepdims=True)
    return result

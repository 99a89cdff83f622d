"""An observer who knows the seating and sees every message: how often is a pupil's state known?

Run ``python -m tests.attacks.seating`` for the figures of docs/security.md. Pupils are simulated:
each keeps a state for some time and then draws another; the pupil observed keeps one state for the
whole lesson, which is what an observer finds easiest. The strongest observer is assumed: one who
knows the true states of all other pupils at every second, and has to find out the last one's.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.health.class_window import ClassWindow
from emoshift.emotions import Emotion
from emoshift.noisy_counts import LEAST_COUNT, NOISE_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

LESSON_S: Final = 2700
WINDOW_S: Final = 600
STEP_S: Final = 5
MIN_FACES: Final = 5
STATES: Final[tuple[Emotion | None, ...]] = (*Emotion, None)
PRIOR: Final = np.array([0.05, 0.05, 0.05, 0.12, 0.08, 0.05, 0.55, 0.05])
"""How often each state is met, in the order of `STATES`: what the observer knows beforehand."""
MEAN_DWELL_S: Final = 40.0
CERTAIN: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the observer learns, as shares of pupils observed.

    Attributes:
        certain: Whose state is known with certainty (a posterior of 0.99), and rightly.
        likely: Likewise with 0.95.
        right: Whose state is the observer's best guess.
        by_prior: Whose state would be guessed without any message.
        surest: The largest posterior that any pupil got.
    """

    certain: float
    likely: float
    right: float
    by_prior: float
    surest: float


def simulate_class(
    faces: int, target: int, rng: np.random.Generator, *, length_s: int = LESSON_S
) -> NDArray[np.int64]:
    """Return the state of every face at every step, shape ``(steps, faces)``; the first keeps one.

    Args:
        faces: How many pupils.
        target: The state that the first keeps.
        rng: Draws the others.
        length_s: For how long.
    """
    steps = length_s // STEP_S
    found = np.empty((steps, faces), np.int64)
    found[0] = rng.choice(len(STATES), faces, p=PRIOR)
    changes = rng.random((steps, faces)) < STEP_S / MEAN_DWELL_S
    fresh = rng.choice(len(STATES), (steps, faces), p=PRIOR)
    for step in range(1, steps):
        found[step] = np.where(changes[step], fresh[step], found[step - 1])
    found[:, 0] = target
    return found


def counts_of(states: NDArray[np.int64], window: ClassWindow) -> list[NDArray[np.int64] | None]:
    """Return what the device publishes of a lesson, window by window."""
    per_window = WINDOW_S // STEP_S
    reported = []
    for start in range(0, len(states) - per_window + 1, per_window):
        for row in states[start : start + per_window]:
            window.add(Counter(STATES[state] for state in row))
        counts = window.close()
        reported.append(None if counts is None else np.array([counts.states[s] for s in STATES]))
    return reported


def shown_of(states: NDArray[np.int64], chance: random.Random) -> list[NDArray[np.int64] | None]:
    """Return what the dashboard shows a viewer of the same lesson, window by window.

    The device publishes each moment in which anything has changed, as with ``"transitions"``.
    """
    from dashboard.store.windows import WINDOW_MIN, Minute, count_window

    per_minute, shown = 60 // STEP_S, []
    for start in range(0, len(states) - per_minute * WINDOW_MIN + 1, per_minute * WINDOW_MIN):
        minutes = []
        for first in range(start, start + per_minute * WINDOW_MIN, per_minute):
            rows = states[first : first + per_minute]
            counts = np.array([np.bincount(row, minlength=len(STATES)) for row in rows])
            news = np.ones(len(counts), bool)
            news[1:] = (counts[1:] != counts[:-1]).any(axis=1)
            minutes.append(
                Minute(
                    shown=int(news.sum()),
                    hidden=0,
                    windows=0,
                    states=tuple(counts[news].sum(axis=0).tolist()),
                )
            )
        found = count_window(minutes, {}, min_faces=MIN_FACES, chance=chance)
        shown.append(None if found is None else np.array(found[0]))
    return shown


def log_likelihood(reported: NDArray[np.int64], means: NDArray[np.float64]) -> float:
    """Return how likely these counts are, given the true means."""

    def cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
        tail = 0.5 * np.exp(-np.abs(x) / NOISE_SCALE)
        return np.where(x < 0, tail, 1 - tail)

    at = reported.astype(float)
    low = np.where(reported == 0, -np.inf, at - 0.5)
    high = np.where(reported == 0, LEAST_COUNT - 0.5, at + 0.5)
    mass = cdf(high - means) - np.where(np.isinf(low), 0.0, cdf(low - means))
    return float(np.log(np.maximum(mass, 1e-300)).sum())


def observe(*, faces: int, pupils: int, windows: int, viewer: bool = False, seed: int = 1) -> Found:
    """Let the strongest observer look at so many pupils, each over so many windows.

    Args:
        viewer: Whether through the dashboard, of a device that publishes each change; else at the
            messages of one in class mode.
        faces: Size of the class.
        pupils: How many are observed, each in a lesson of its own.
        windows: How many windows the observer uses: 4 are a lesson, 24 a day.
        seed: Of the lessons; the device's noise is drawn from another one.
    """
    rng, noise = np.random.default_rng(seed), random.Random(seed)
    per_window = WINDOW_S // STEP_S
    posteriors, truths = [], []
    for _ in range(pupils):
        target = int(rng.choice(len(STATES), p=PRIOR))
        length_s = max(LESSON_S, windows * WINDOW_S)
        states = simulate_class(faces, target, rng, length_s=length_s)
        if viewer:
            reported = shown_of(states, noise)
        else:
            reported = counts_of(states, ClassWindow(min_faces=MIN_FACES, random=noise))
        logs = np.log(PRIOR)
        for number, counts in enumerate(reported[:windows]):
            if counts is None:
                continue
            part = states[number * per_window : (number + 1) * per_window, 1:]
            others = np.array([(part == s).sum(axis=1).mean() for s in range(len(STATES))])
            for guess in range(len(STATES)):
                means = others.copy()
                means[guess] += 1
                logs[guess] += log_likelihood(counts, means)
        weights = np.exp(logs - logs.max())
        posteriors.append(weights / weights.sum())
        truths.append(target)
    table, truth = np.array(posteriors), np.array(truths)
    best, surest = table.argmax(axis=1), table.max(axis=1)
    return Found(
        certain=float(((surest >= CERTAIN) & (best == truth)).mean()),
        likely=float(((surest >= 0.95) & (best == truth)).mean()),
        right=float((best == truth).mean()),
        by_prior=float((truth == PRIOR.argmax()).mean()),
        surest=float(surest.max()),
    )


def observe_moments(*, faces: int, pupils: int, seed: int = 1) -> float:
    """Return the share of pupils whose state counts of each moment give away for certain.

    The observer knows the seating alone, and nothing of the others: a count that all faces share
    describes each, and a pupil who leaves for a minute takes one face out of one count.
    """
    rng = np.random.default_rng(seed)
    certain = 0
    for _ in range(pupils):
        states = simulate_class(faces, int(rng.choice(len(STATES), p=PRIOR)), rng)
        alike = (states == states[:, :1]).all(axis=1).any()
        step = int(rng.integers(1, len(states)))
        before = np.bincount(states[step], minlength=len(STATES))
        after = np.bincount(states[step, 1:], minlength=len(STATES))
        leaves = faces - 1 >= MIN_FACES and (before - after).sum() == 1
        certain += bool(alike or leaves)
    return certain / pupils


def main() -> None:
    """Print the figures."""
    write = sys.stdout.write
    for faces in (6, 12, 25):
        moments = observe_moments(faces=faces, pupils=400)
        write(f"{faces} faces, counts of each moment, a pupil leaves once: {moments:.1%} certain\n")
        for viewer, windows in itertools.product((False, True), (1, 4)):
            found = observe(faces=faces, pupils=2000, windows=windows, viewer=viewer)
            who = "viewer of the dashboard" if viewer else "class mode"
            write(f"{faces} faces, {who}, {windows} windows of {WINDOW_S} s: {found}\n")
    for windows in (24, 120):
        found = observe(faces=25, pupils=200, windows=windows, viewer=True)
        write(f"25 faces, a state kept for {windows} windows (a day, a week): {found}\n")


if __name__ == "__main__":
    main()

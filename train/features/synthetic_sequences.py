"""Plausible expression sequences made of single images: onset, apex, offset, speech, blinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.features.blendshapes import POSE, channels, resting_offset
from train.features.channel_transform import blink
from train.recipe_table import Count, NonNegative, Positive, RecipeTable, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.features.motion import Motion

NEUTRAL = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stills:
    """Images in which a face was found.

    Attributes:
        rows: Row numbers in the data set, ``(n,)``.
        levels: ``(n, channels)``, float32, as `edge.features.blendshapes.levels` gives them.
        votes: FER+ vote distribution, ``(n, 8)``, float32.
        majority: FER+ label under the majority rule, ``(n,)``; -1 where there is none.
    """

    rows: NDArray[np.intp]
    levels: NDArray[np.float32]
    votes: NDArray[np.float32]
    majority: NDArray[np.int8]

    @property
    def resting(self) -> NDArray[np.bool_]:
        """Which faces most annotators call neutral, ``(n,)``."""
        return np.asarray(self.votes[:, NEUTRAL] >= 0.7, np.bool_)


class Script(RecipeTable):
    """How sequences are made.

    Attributes:
        steps: Length.
        step_s: Seconds a step.
        states: Expressions drawn for a sequence; it may end before the last.
        hold_s: Shortest and longest apex.
        move_s: Shortest and longest way from one expression to the next.
        weakest: Least intensity of an apex, as a share of the image's.
        back_to_neutral: Chance that an expression is followed by the person's resting face.
        kinship: Share of a person's resting offset that the person's other expressions get.
        known: Chance that the resting offset is known and subtracted.
        talking: Chance of speech; the others get a quarter of the measured motion.
        blink_s: Mean seconds between blinks.
        evenness: 0 draws images as often as they come, 1 every emotion equally often.
        candidates: Resting faces looked at for a batch.
        nearest: Those of most similar head pose, among which a person is drawn.
    """

    steps: Count = 48
    step_s: Positive = 1 / 15
    states: Count = 5
    hold_s: tuple[NonNegative, NonNegative] = (0.4, 3.0)
    move_s: tuple[Positive, Positive] = (0.15, 0.8)
    weakest: Share = 0.6
    back_to_neutral: Share = 0.4
    kinship: Share = 0.5
    known: Share = 0.7
    talking: Share = 0.5
    blink_s: Positive = 4.0
    evenness: Share = 0.35
    candidates: Count = 600
    nearest: Count = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequences:
    """A batch.

    Attributes:
        channels: ``(batch, steps, channels)``, float32, standardised and clipped.
        targets: ``(batch, steps, 8)``, float32 distributions.
    """

    channels: NDArray[np.float32]
    targets: NDArray[np.float32]


class Director:
    """Draws sequences from stills by a script.

    Args:
        stills: The images.
        script: How to.
        transform: How levels become channels; its last three levels are the head pose.
        motion: What is added to every sequence.
    """

    def __init__(
        self,
        stills: Stills,
        *,
        script: Script,
        transform: ChannelTransform,
        motion: Motion,
    ) -> None:
        self._stills = stills
        self._script = script
        self._transform = transform
        self._motion = motion
        self._blink = blink(transform)
        frequency = stills.votes.sum(axis=0) / stills.votes.sum()
        odds = (stills.votes * frequency ** (-script.evenness)).sum(axis=1)
        self._odds = odds / odds.sum()
        self._resting = np.flatnonzero(stills.resting)
        self._low = stills.levels.min(axis=0)
        self._high = stills.levels.max(axis=0)

    def draw(self, batch: int, rng: np.random.Generator) -> Sequences:
        """Return ``batch`` sequences."""
        script = self._script
        levels, votes, offset = self._states(batch, rng)
        mix = self._mix(batch, rng)
        path = mix @ levels
        targets = mix @ votes
        loud = np.where(
            rng.random((batch, 1, 1)) < script.talking,
            rng.uniform(0.3, 1.0, (batch, 1, 1)),
            rng.uniform(0.05, 0.25, (batch, 1, 1)),
        )
        path += loud * self._motion.draw(batch, script.steps, rng)
        path += self._blinks(batch, rng)[..., None] * self._blink
        np.clip(path, self._low, self._high, out=path)
        known = rng.random((batch, 1)) < script.known
        error = 0.15 * np.asarray(self._transform.std) * rng.standard_normal(offset.shape)
        error[:, -len(POSE) :] = 0.0
        subtracted = np.where(known, offset + error, 0.0).astype(np.float32)
        return Sequences(
            channels=channels(path.astype(np.float32), self._transform, subtracted[:, None]),
            targets=targets.astype(np.float32),
        )

    def _states(
        self, batch: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return levels ``(b, s, c)``, votes ``(b, s, 8)`` and resting offset ``(b, c)``."""
        script, stills = self._script, self._stills
        rows = rng.choice(len(self._odds), size=(batch, script.states), p=self._odds)
        resting = self._persons(rows[:, 0], rng)
        rest = stills.levels[resting]
        offset = np.stack([resting_offset(one[None], self._transform) for one in rest])
        shown = stills.levels[rows] + script.kinship * offset[:, None]
        strength = rng.uniform(script.weakest, 1.0, (batch, script.states, 1)).astype(np.float32)
        levels = rest[:, None] + strength * (shown - rest[:, None])
        strength = np.sqrt(strength)
        votes = stills.votes[resting][:, None] * (1 - strength) + stills.votes[rows] * strength
        back = rng.random((batch, script.states)) < script.back_to_neutral
        back[:, 1:] &= ~back[:, :-1]
        levels = np.where(back[..., None], rest[:, None], levels)
        votes = np.where(back[..., None], stills.votes[resting][:, None], votes)
        turned = levels[:, :1, -len(POSE) :]
        levels[..., -len(POSE) :] = turned + 0.3 * (levels[..., -len(POSE) :] - turned)
        return np.asarray(levels, np.float32), np.asarray(votes, np.float32), offset

    def _persons(self, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
        """Draw for each row a resting face of similar head pose."""
        nearest = min(self._script.nearest, len(self._resting) - 1)
        candidates = rng.choice(self._resting, self._script.candidates)
        pose = self._stills.levels[:, -len(POSE) :]
        apart = pose[rows][:, None] - pose[candidates][None]
        near = np.argpartition((apart**2).sum(axis=-1), nearest, axis=1)
        picked = rng.integers(0, nearest, len(rows))
        return np.asarray(candidates[near[np.arange(len(rows)), picked]])

    def _mix(self, batch: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the share of every state at every step, ``(b, t, s)``; each sums to 1."""
        script = self._script
        hold = rng.uniform(*script.hold_s, (batch, script.states))
        move = rng.uniform(*script.move_s, (batch, script.states))
        ends = np.cumsum(hold + move, axis=1) - rng.uniform(0, 1, (batch, 1)) * hold[:, :1]
        times = np.arange(script.steps) * script.step_s
        done = (times[None, :, None] - (ends - move)[:, None]) / move[:, None]
        done = np.clip(done, 0.0, 1.0)
        arrived = done * done * (3 - 2 * done)
        arrived[..., -1] = 0.0
        before = np.concatenate([np.ones_like(arrived[..., :1]), arrived[..., :-1]], axis=-1)
        return np.asarray(before - arrived)

    def _blinks(self, batch: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return how closed the lids are by blinks alone, ``(b, t)``, 0 to 1."""
        script = self._script
        starts = rng.random((batch, script.steps)) < script.step_s / script.blink_s
        closed = np.zeros((batch, script.steps), np.float32)
        for delay, height in enumerate((0.6, 1.0, 0.5)):
            closed[:, delay:] += height * starts[:, : script.steps - delay]
        return np.minimum(closed, 1.0)

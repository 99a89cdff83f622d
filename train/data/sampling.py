"""Which classes a run learns, how many images of each, and how often each is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import Field

from emoshift.errors import ConfigError
from train.recipe_table import NonNegative, RecipeTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAMED: Final = {
    "happy-sad-neutral": ("happy", "sad", "neutral"),
    "happy-sad-unknown": ("happy", "sad", "unknown=angry+disgust+fear+surprise+neutral+contempt"),
    "six": ("angry", "disgust", "fear", "happy", "sad", "surprise"),
}
"""Selections by name: as in gaze studies, with a class for the rest, and Ekman's six."""


class ClassWeights(RecipeTable):
    """How often an image is drawn, by its emotion, against the others' 1."""

    angry: NonNegative = 1.0
    disgust: NonNegative = 1.0
    fear: NonNegative = 1.0
    happy: NonNegative = 1.0
    sad: NonNegative = 1.0
    surprise: NonNegative = 1.0
    neutral: NonNegative = 1.0
    contempt: NonNegative = 1.0


class Selection(RecipeTable):
    """What of a data set is learned from.

    Attributes:
        classes: Classes in the order of the outputs; ``name`` keeps one, ``name=one+other`` merges
            several under a new name, and what is in none is left out. One name of `NAMED` stands
            for such a list; empty for all classes as they are.
        samples_per_class: Training images of each class: large classes are cut down to it, small
            ones repeated up to it; 0 for as many as there are.
        weights: How often each is drawn.
    """

    classes: tuple[str, ...] = ()
    samples_per_class: Annotated[int, Field(ge=0)] = 0
    weights: ClassWeights = ClassWeights()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouping:
    """Classes of a data set brought to those of a run.

    Attributes:
        names: Of the run's classes.
        index: For each class of the data set the run's class, or -1 where it is left out.
    """

    names: tuple[str, ...]
    index: NDArray[np.int8]

    def apply(self, labels: NDArray[np.integer]) -> NDArray[np.int8]:
        """Return the run's labels; -1 where there was none or it is left out."""
        table = np.append(self.index, np.int8(-1))
        return np.asarray(table[labels], np.int8)


def grouping(classes: Sequence[str], known: Sequence[str]) -> Grouping:
    """Read a selection's ``classes``.

    Args:
        classes: As in `Selection`.
        known: Classes of the data set; a merge may name others too, which it then lacks.

    Raises:
        ConfigError: A class is unknown, named twice, or there are fewer than two.
    """
    wanted = NAMED.get(classes[0], tuple(classes)) if len(classes) == 1 else tuple(classes)
    parts = [one.partition("=") for one in wanted or known]
    index = np.full(len(known), -1, np.int8)
    problems: list[str] = []
    for new, (name, merged, members) in enumerate(parts):
        for member in members.split("+") if merged else [name]:
            if member not in ClassWeights.model_fields:
                problems.append(
                    f"classes: found {member!r}, expected emotions, name=one+other, or one of"
                    f" {', '.join(NAMED)}"
                )
            elif member in known and index[known.index(member)] >= 0:
                problems.append(f"classes: {member} is named twice")
            elif member in known:
                index[known.index(member)] = new
    names = [name for name, _, _ in parts]
    if not problems and len({*names}) < len(names):
        problems.append(f"classes: two have the name {max(names, key=names.count)}")
    if len(parts) < 2:
        problems.append("classes: expected two at least")
    if problems:
        raise ConfigError("selection", problems)
    return Grouping(names=tuple(names), index=index)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draw:
    """Which images an epoch goes through.

    Attributes:
        pool: Their numbers, ``(n,)``; a number may come twice.
        odds: How often each is drawn, ``(n,)``, mean 1.
    """

    pool: NDArray[np.intp]
    odds: NDArray[np.float64]

    def order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return an epoch's images, ``(n,)``, in an order of its own.

        Each comes as often as its odds, rounded up or down so that the sum stays: with equal
        odds, once.
        """
        order = rng.permutation(len(self.pool))
        if np.ptp(self.odds) > 0:
            reached = np.cumsum(self.odds[order])
            due = (np.arange(len(order)) + rng.random()) * (reached[-1] / len(order))
            order = rng.permutation(order[np.searchsorted(reached, due)])
        return np.asarray(self.pool[order], np.intp)


def draw_all(n: int) -> Draw:
    """Return the draw that takes each of ``n`` images once."""
    return Draw(pool=np.arange(n), odds=np.ones(n))


def draw_of(
    selection: Selection,
    labels: NDArray[np.integer],
    known: Sequence[str],
    *,
    seed: int,
    groups: NDArray[np.integer] | None = None,
) -> Draw:
    """Return the draw that a selection asks for.

    Args:
        selection: Count and weights.
        labels: Of each image in the data set's own classes, ``(n,)``.
        known: Names of those classes.
        seed: Decides which images of a large class are kept.
        groups: The classes that ``samples_per_class`` counts; ``labels`` where absent.

    Raises:
        ConfigError: Every weight is 0.
    """
    by_class = np.array([float(getattr(selection.weights, name)) for name in known])
    count = selection.samples_per_class
    pool = np.arange(len(labels))
    if count:
        counted = labels if groups is None else groups
        rng = np.random.default_rng([seed, 1 << 22])
        pool = np.concatenate(
            [
                np.resize(rng.permutation(np.flatnonzero(counted == one)), count)
                for one in np.unique(counted)
            ]
        )
    odds = by_class[labels[pool]]
    if not odds.any():
        raise ConfigError("selection", ["weights: every class that is learned has weight 0"])
    return Draw(pool=pool, odds=odds / odds.mean())

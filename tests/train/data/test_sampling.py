"""Classes are chosen and merged, balanced and weighted, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from emoshift.errors import ConfigError
from train.data.ferplus import LABELS
from train.data.sampling import ClassWeights, Selection, draw_all, draw_of, grouping

SEVEN = LABELS[:7]


@pytest.mark.parametrize(
    ("classes", "names", "index"),
    [
        pytest.param((), SEVEN, [0, 1, 2, 3, 4, 5, 6], id="as they are"),
        pytest.param(
            ("happy-sad-neutral",),
            ("happy", "sad", "neutral"),
            [-1, -1, -1, 0, 1, -1, 2],
            id="three by name",
        ),
        pytest.param(
            ("happy-sad-unknown",),
            ("happy", "sad", "unknown"),
            [2, 2, 2, 0, 1, 2, 2],
            id="the rest merged",
        ),
        pytest.param(("six",), SEVEN[:6], [0, 1, 2, 3, 4, 5, -1], id="Ekman's six"),
        pytest.param(
            ("good=happy+surprise", "bad=sad+angry"),
            ("good", "bad"),
            [1, -1, -1, 0, 1, 0, -1],
            id="merged by hand",
        ),
    ],
)
def test_grouping(classes: tuple[str, ...], names: tuple[str, ...], index: list[int]) -> None:
    """The order of the outputs is the order asked for; what is in no class is left out."""
    found = grouping(classes, SEVEN)
    assert found.names == names
    assert found.index.tolist() == index
    assert found.apply(np.array([3, -1])).tolist() == [index[3], -1]


@pytest.mark.parametrize(
    ("classes", "reported"),
    [
        pytest.param(("happy", "bored"), "bored", id="no emotion"),
        pytest.param(("happy", "joy=happy+sad"), "happy is named twice", id="twice"),
        pytest.param(("x=happy", "x=sad"), "two have the name x", id="one name for two"),
        pytest.param(("happy",), "two at least", id="one alone"),
    ],
)
def test_wrong_classes_are_reported(classes: tuple[str, ...], reported: str) -> None:
    """The message says which class."""
    with pytest.raises(ConfigError, match=reported):
        grouping(classes, SEVEN)


def test_balanced_to_a_count() -> None:
    """Large classes are cut down without repeats, small ones repeated as evenly as it goes."""
    labels = np.array([0] * 100 + [3] * 4, np.int8)
    draw = draw_of(Selection(samples_per_class=10), labels, SEVEN, seed=1)
    large, small = draw.pool[labels[draw.pool] == 0], draw.pool[labels[draw.pool] == 3]
    assert len(large) == len(set(large.tolist())) == 10
    assert sorted(np.bincount(small, minlength=104)[100:].tolist()) == [2, 2, 3, 3]
    again = draw_of(Selection(samples_per_class=10), labels, SEVEN, seed=1)
    other = draw_of(Selection(samples_per_class=10), labels, SEVEN, seed=2)
    assert np.array_equal(draw.pool, again.pool)
    assert not np.array_equal(draw.pool, other.pool)


def test_balance_counts_merged_classes() -> None:
    """A merged class gets the count, not each of its parts."""
    labels = np.array([0, 1, 2, 3] * 10, np.int8)
    groups = grouping(("happy", "unknown=angry+disgust+fear"), SEVEN).apply(labels)
    draw = draw_of(Selection(samples_per_class=12), labels, SEVEN, seed=1, groups=groups)
    assert np.bincount(groups[draw.pool]).tolist() == [12, 12]


def test_weights_decide_how_often_a_picture_comes() -> None:
    """Twice the weight, twice as often; weight 0 never; an epoch keeps its length."""
    labels = np.repeat(np.array([0, 3, 4], np.int8), 200)
    weights = ClassWeights(angry=0.0, happy=2.0, sad=1.0)
    draw = draw_of(Selection(weights=weights), labels, SEVEN, seed=1)
    order = draw.order(np.random.default_rng(7))
    assert np.bincount(labels[order], minlength=5).tolist() == [0, 0, 0, 400, 200]
    assert set(np.bincount(order, minlength=600)[200:400].tolist()) == {2}
    assert np.array_equal(order, draw.order(np.random.default_rng(7)))
    assert not np.array_equal(order, draw.order(np.random.default_rng(8)))


def test_equal_weights_take_each_picture_once() -> None:
    """The order is that of the generator's permutation, which older runs were drawn in."""
    order = draw_all(50).order(np.random.default_rng(3))
    assert np.array_equal(order, np.random.default_rng(3).permutation(50))
    labels = np.zeros(50, np.int8)
    same = draw_of(Selection(), labels, SEVEN, seed=1).order(np.random.default_rng(3))
    assert np.array_equal(same, order)


def test_a_draw_of_nothing_is_refused() -> None:
    """Before anything is trained."""
    with pytest.raises(ConfigError, match="every class that is learned has weight 0"):
        draw_of(Selection(weights=ClassWeights(angry=0.0)), np.zeros(5, np.int8), SEVEN, seed=1)

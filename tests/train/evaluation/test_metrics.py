"""Figures of merit mean what they say, and what is fitted to labels is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pytest.importorskip("scipy", reason="needs the training environment: make test-train")

from train.evaluation.metrics import (
    accuracy,
    ece,
    fit_temperature,
    fit_weights,
    labelled,
    macro_f1,
    macro_recall,
    nll,
    paired_difference,
    softmax,
    vote_loss,
    without_prior,
)

PAIRS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 200), st.just(2)))


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities and labels drawn from them, the former ``sharpness`` too sharp."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(n, 7)) * 2
    true -= np.log(np.exp(true).sum(axis=1, keepdims=True))
    labels = (np.exp(true).cumsum(axis=1) < rng.random((n, 1))).sum(1)
    said = true * sharpness
    said -= np.log(np.exp(said).sum(axis=1, keepdims=True))
    return said.astype(np.float32), labels.astype(np.int8)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_is_found(sharpness: float) -> None:
    """Answers that are too sharp by a factor get that factor for a temperature."""
    assert fit_temperature(*drawn(20_000, sharpness)) == pytest.approx(sharpness, rel=0.05)


def test_useless_member_gets_no_weight() -> None:
    """A member that knows nothing ends at nothing, and one that errs is never negative."""
    good, labels = drawn(5_000, 1.0)
    noise, _ = drawn(5_000, 1.0, seed=9)
    wrong = np.roll(good, 3, axis=1)
    assert fit_weights([good, noise], labels)[1] < 0.1
    assert fit_weights([good, wrong], labels)[1] >= 0.0


def test_twins_share() -> None:
    """Two members that say the same weigh together what one would."""
    good, labels = drawn(5_000, 2.0)
    both = fit_weights([good, good], labels)
    assert sum(both) == pytest.approx(fit_weights([good], labels)[0], abs=1e-3)


@given(seed=st.integers(0, 1000), sharpness=st.floats(0.3, 3))
@settings(max_examples=20, deadline=None)
def test_fitting_never_hurts(seed: int, sharpness: float) -> None:
    """The fitted temperature is at least as likely as none."""
    said, labels = drawn(500, sharpness, seed)
    cooled = said / fit_temperature(said, labels)
    cooled -= np.log(np.exp(cooled).sum(axis=1, keepdims=True))
    assert nll(np.exp(cooled), labels) <= nll(np.exp(said), labels) + 1e-4


def test_ece_of_honest_answers() -> None:
    """Answers drawn from their own probabilities are calibrated; sharpened ones are not."""
    honest, labels = drawn(50_000, 1.0)
    assert ece(np.exp(honest), labels) < 0.01
    sharp, labels = drawn(50_000, 3.0)
    assert ece(np.exp(sharp), labels) > 0.1


def test_rows_without_a_label_do_not_count() -> None:
    """The accuracy is over labelled rows, and their number can be had."""
    logits, labels = np.eye(4)[[0, 1, 2, 3]], np.array([0, 1, 0, -1])
    assert accuracy(logits, labels) == pytest.approx(2 / 3)
    assert labelled(labels) == 3
    assert ece(logits, labels) == ece(logits[:3], labels[:3])
    assert nll(logits, labels) == nll(logits[:3], labels[:3])


def test_macro_f1_counts_a_class_that_nothing_is_taken_for() -> None:
    """Three classes of which one occurs nowhere: its F1 is 0."""
    pytest.importorskip("sklearn", reason="needs the training environment: make test-train")
    logits, labels = np.eye(3)[[0, 0, 1, 1, 0]], np.array([0, 0, 1, 0, -1])
    assert macro_f1(logits, labels) == pytest.approx((0.8 + 2 / 3 + 0.0) / 3)


def test_softmax_survives_large_logits() -> None:
    """No overflow, and the rows sum to one."""
    probs = softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]]))
    np.testing.assert_allclose(probs, [[1.0, 0.0], [0.5, 0.5]])


def test_macro_recall_counts_every_class_alike() -> None:
    """A class of one image weighs as much as one of three; -1 is left out."""
    pytest.importorskip("sklearn", reason="needs the training environment: make test-train")
    logits = np.eye(3)[[0, 0, 0, 1, 0, 2]]
    labels = np.array([0, 0, 0, 1, 1, -1])
    assert macro_recall(logits, labels) == pytest.approx((1.0 + 0.5) / 2)


def test_dividing_by_the_prior_undoes_a_shift_of_class_shares() -> None:
    """With power 1 the logits are those of even classes (Bayes); with 0 they stay as they are."""
    rng = np.random.default_rng(4)
    even, prior = rng.normal(size=(50, 3)), np.array([0.7, 0.2, 0.1])
    shifted = even + np.log(prior)
    np.testing.assert_allclose(without_prior(shifted, prior, 1.0), even)
    np.testing.assert_array_equal(without_prior(shifted, prior, 0.0), shifted)


def test_temperature_undoes_overconfidence_against_votes() -> None:
    """Logits blown up three times are brought back, and the calibration error falls."""
    rng = np.random.default_rng(2)
    true = rng.normal(0, 1.5, (4000, 8))
    votes = np.stack([rng.multinomial(10, row) / 10 for row in softmax(true)])
    weights = np.ones(len(votes))
    found = fit_temperature(3 * true, votes, weights)
    assert found == pytest.approx(3.0, rel=0.1)
    assert ece(softmax(3 * true / found), votes) < 0.03 < ece(softmax(3 * true), votes)
    assert vote_loss(3 * true / found, votes, weights) < vote_loss(3 * true, votes, weights)


@given(PAIRS)
def test_difference_is_that_of_the_accuracies_and_lies_in_its_interval(
    right: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
) -> None:
    found = paired_difference(right[:, 0], right[:, 1])
    assert found.points == pytest.approx(100 * (right[:, 0].mean() - right[:, 1].mean()))
    assert found.low - 1e-9 <= found.points <= found.high + 1e-9
    turned = paired_difference(right[:, 1], right[:, 0])
    assert (turned.points, turned.won, turned.lost) == (-found.points, found.lost, found.won)


def test_pictures_both_get_alike_add_no_doubt() -> None:
    right = np.array([True] * 600 + [False] * 400)
    found = paired_difference(right, right)
    assert (found.points, found.low, found.high) == (0.0, 0.0, 0.0)


def test_interval_is_that_of_a_paired_proportion() -> None:
    """Against the normal approximation: 60 won and 30 lost of 3,000."""
    first = np.array([True] * 60 + [False] * 30 + [True] * 2910)
    second = np.array([False] * 60 + [True] * 30 + [True] * 2910)
    found = paired_difference(first, second)
    spread = 100 * np.sqrt(90 - 30**2 / 3000) / 3000
    assert found.points == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0 - 1.96 * spread, abs=0.05)
    assert found.high == pytest.approx(1.0 + 1.96 * spread, abs=0.05)

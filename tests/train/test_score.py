"""Scores mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from train.experiments.ahead import ahead
from train.experiments.calibration import calibration_error, fit_temperature
from train.experiments.score import accuracy, macro_recall, softmax, vote_loss, without_prior


def test_rows_without_a_label_do_not_count() -> None:
    """The accuracy comes with its n."""
    logits = np.eye(4)[[0, 1, 2, 3]]
    assert accuracy(logits, np.array([0, 1, 0, -1])) == (pytest.approx(2 / 3), 3)


def test_softmax_survives_large_logits() -> None:
    """No overflow, and the rows sum to one."""
    probs = softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]]))
    np.testing.assert_allclose(probs, [[1.0, 0.0], [0.5, 0.5]])


def test_macro_recall_counts_every_class_alike() -> None:
    """A class of one picture weighs as much as one of three; -1 is left out."""
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


def test_temperature_undoes_overconfidence() -> None:
    """Logits blown up three times are brought back, and the calibration error falls."""
    rng = np.random.default_rng(2)
    true = rng.normal(0, 1.5, (4000, 8))
    votes = np.stack([rng.multinomial(10, row) / 10 for row in softmax(true)])
    trust = np.ones(len(votes))
    found = fit_temperature(3 * true, votes, trust)
    assert found == pytest.approx(3.0, rel=0.1)
    before, after = calibration_error(3 * true, votes), calibration_error(3 * true / found, votes)
    assert after < 0.03 < before
    assert vote_loss(3 * true / found, votes, trust) < vote_loss(3 * true, votes, trust)


def test_ahead_keeps_the_order_and_passes_errors_on() -> None:
    """Work on the thread looks like plain iteration from outside."""

    def fails() -> object:
        yield 1
        raise ValueError("no more")

    assert list(ahead(range(100))) == list(range(100))
    with pytest.raises(ValueError, match="no more"):
        list(ahead(fails()))


def test_a_reader_may_leave_early() -> None:
    """The thread ends although the queue is full."""
    for item in ahead(iter(int, 1)):
        assert item == 0
        break

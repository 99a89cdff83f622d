"""Figures of merit, and what is fitted to labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.evaluation.metrics import accuracy, ece, fit_temperature, fit_weights, nll


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


def test_accuracy() -> None:
    """Accuracy is the share of rows whose largest score is the label's."""
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert accuracy(scores, np.array([0, 1, 1], np.int8)) == pytest.approx(2 / 3)

"""One LSTM step at a time is the LSTM, and its rounded form stays near it."""

from __future__ import annotations

import numpy as np
import pytest

from convert.lstm_step import GATES, Ranges, Weights, choose_ranges, run_sequence


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(4)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    return Weights(
        kernel=draw(5, 32),
        recurrent=draw(8, 32),
        bias=draw(32),
        dense=draw(8, 4),
        dense_bias=draw(4),
    )


@pytest.fixture(scope="module")
def channels() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.clip(rng.normal(0, 1, (16, 60, 5)).cumsum(axis=1) / 4, -4, 4).astype(np.float32)


def test_walk_is_the_textbook_lstm(weights: Weights, channels: np.ndarray) -> None:
    """The sequence is run by Hochreiter and Schmidhuber's cell with a forget gate."""
    units = weights.units
    h, c = np.zeros(units), np.zeros(units)
    for x in channels[0]:
        z = x @ weights.kernel + h @ weights.recurrent + weights.bias
        parts = {name: z[k * units : (k + 1) * units] for k, name in enumerate(GATES)}
        i, f, o = (1 / (1 + np.exp(-parts[name])) for name in ("input", "forget", "output"))
        c = f * c + i * np.tanh(parts["cell"])
        h = o * np.tanh(c)
    expected = h @ weights.dense + weights.dense_bias
    np.testing.assert_allclose(run_sequence(weights, channels[:1])[0, -1], expected, atol=1e-4)


def test_rounding_stays_near(weights: Weights, channels: np.ndarray) -> None:
    """Under the chosen ranges nearly every arg-max is kept and no prediction is far off."""
    exact = run_sequence(weights, channels)
    rounded = run_sequence(weights, channels, choose_ranges(weights, channels))
    assert (exact.argmax(-1) == rounded.argmax(-1)).mean() > 0.97
    assert np.abs(exact - rounded).max() < 0.25


def test_chosen_ranges_are_no_worse_than_the_extremes(
    weights: Weights, channels: np.ndarray
) -> None:
    """Choosing beats a range that is far too wide."""
    exact = run_sequence(weights, channels)
    wide = Ranges(input=40, forget=40, cell=40, output=40, state_c=40, low=-40, high=40)
    chosen = run_sequence(weights, channels, choose_ranges(weights, channels))
    assert (
        np.abs(chosen - exact).mean()
        < np.abs(run_sequence(weights, channels, wide) - exact).mean() / 4
    )

"""The learned alternative's gradient is right, and it learns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks.transitions.learned import INPUTS, events, initial, loss_and_gradient, train
from train.transitions.probability_streams import LevelA, streams


def test_gradient_is_the_slope() -> None:
    """Back-propagation gives what moving each weight a little shows."""
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(3, 6, INPUTS)), rng.integers(7, size=(3, 6))
    mask = rng.random((3, 6)) > 0.2
    w = initial(1)
    _, gradient = loss_and_gradient(w, x, target, mask)
    for name, values in w.items():
        at = tuple(rng.integers(size) for size in values.shape)
        losses = []
        for shift in (1e-5, -1e-5):
            moved = {k: v.copy() for k, v in w.items()}
            moved[name][at] += shift
            losses.append(loss_and_gradient(moved, x, target, mask)[0])
        slope = (losses[0] - losses[1]) / 2e-5
        assert abs(slope - gradient[name][at]) < 1e-6


def test_it_learns() -> None:
    """A few epochs make the loss fall, and its events chain."""
    drawn = streams(LevelA(clips=3, still_clips=1, duration_s=10, fps=(10.0,)), seed=3)
    notes: list[str] = []
    w = train(drawn, epochs=50, note=notes.append)
    assert float(notes[-1].split()[2]) < float(notes[0].split()[2])
    for found in events(w, drawn, margin=0.2):
        assert all(a.after == b.before for a, b in pairwise(found))

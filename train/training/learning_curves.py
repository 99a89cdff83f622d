"""Learning curves of a run, from its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

from emoshift.errors import InputError
from train.training.run_folder import HISTORY, read_rows

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path


def draw_learning_curves(folder: Path) -> Path:
    """Plot a run's losses, and accuracies or correlations, into ``learning_curves.png``.

    Raises:
        InputError: The run has not finished an epoch.
    """
    rows = read_rows(folder / HISTORY)
    if not rows:
        raise InputError(f"{folder / HISTORY}: no such file; the run has not finished an epoch")
    plot = folder / "learning_curves.png"
    epochs = [float(row["epoch"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    rising = ("accuracy", "shapes")
    for name in rows[0]:
        axes = left if "loss" in name else right if any(r in name for r in rising) else None
        if axes is not None:
            axes.plot(epochs, [float(row[name]) for row in rows], label=name)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.legend()
    figure.savefig(plot, dpi=100)
    plt.close(figure)
    return plot

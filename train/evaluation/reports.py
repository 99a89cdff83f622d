"""What a reader wants to see of a net: report, confusion matrix, reliability, learning curves."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from sklearn.metrics import classification_report, confusion_matrix

from emoshift.errors import InputError

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def write_report(
    folder: Path,
    probs: NDArray[np.floating],
    labels: NDArray[np.integer],
    names: Sequence[str],
) -> None:
    """Write ``classification_report.txt``, ``confusion_matrix.png`` and ``reliability.png``.

    Args:
        folder: Made where absent.
        probs: ``(n, classes)``.
        labels: ``(n,)``; rows labelled -1 are left out.
        names: Of the classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = labels >= 0
    probs, truth = probs[kept], labels[kept]
    guess = probs.argmax(axis=1)
    every = list(range(len(names)))
    text = classification_report(
        truth, guess, labels=every, target_names=list(names), digits=3, zero_division=0
    )
    (folder / "classification_report.txt").write_text(text, encoding="utf-8")
    _plot_confusion(folder, confusion_matrix(truth, guess, labels=every), names)
    _plot_reliability(folder, probs.max(axis=1), guess == truth)


def draw_run(folder: Path) -> Path:
    """Draw ``learning_curves.png`` of a run; raises `InputError` before its first epoch."""
    history = folder / "training_history.csv"
    if not history.exists():
        raise InputError(f"{history}: no such file; the run has not finished an epoch")
    picture = folder / "learning_curves.png"
    write_curves(history, picture)
    return picture


def write_curves(history: Path, picture: Path) -> None:
    """Plot every column of a ``training_history.csv`` that is a loss or an accuracy."""
    with history.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    epochs = [float(row["epoch"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in rows[0]:
        axes = left if "loss" in name else right if "accuracy" in name else None
        if axes is not None:
            axes.plot(epochs, [float(row[name]) for row in rows], label=name)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.legend()
    figure.savefig(picture, dpi=100)
    plt.close(figure)


def _plot_confusion(folder: Path, counts: NDArray[np.integer], names: Sequence[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(6, 5.5), layout="constrained")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), list(names), rotation=45)
    axes.set_yticks(range(len(names)), list(names))
    axes.set_xlabel("found")
    axes.set_ylabel("labelled")
    for (row, column), value in np.ndenumerate(share):
        colour = "white" if value > 0.5 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(folder / "confusion_matrix.png", dpi=100)
    plt.close(figure)


def _plot_reliability(
    folder: Path, confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15
) -> None:
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    filled = [one for one in range(bins) if (which == one).any()]
    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot(
        [float(confidence[which == one].mean()) for one in filled],
        [float(right[which == one].mean()) for one in filled],
        marker="o",
    )
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    figure.savefig(folder / "reliability.png", dpi=100)
    plt.close(figure)

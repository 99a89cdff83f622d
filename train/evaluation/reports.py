"""What a reader wants to see of a network: report, confusion matrix, reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from sklearn.metrics import classification_report, confusion_matrix

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


def _plot_confusion(folder: Path, counts: NDArray[np.integer], names: Sequence[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(6, 5.5), layout="constrained")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), list(names), rotation=45)
    axes.set_yticks(range(len(names)), list(names))
    axes.set_xlabel("predicted")
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
    axes.set_ylabel("accuracy")
    figure.savefig(folder / "reliability.png", dpi=100)
    plt.close(figure)

"""Pictures of the comparison on sequences: rewards and penalties, accuracies by fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def plot_episodes(
    episodes: list[tuple[str, NDArray[np.float64]]], picture: Path, span: int = 16
) -> None:
    """Plot reward and penalty a decision against the episode, mean of each net's runs.

    Args:
        episodes: Net and ``(episodes, 2)``, one entry a run; a net's runs are cut to the shortest,
            for a larger fold leaves fewer pictures to learn from.
        picture: File to write.
        span: Episodes of the moving mean.
    """
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
    for net in dict.fromkeys(name for name, _ in episodes):
        runs = [found for name, found in episodes if name == net]
        mean = np.mean([found[: min(map(len, runs))] for found in runs], axis=0)
        if len(mean) == 0:
            continue
        width = min(span, len(mean))
        for axes, column in zip(panels, mean.T, strict=True):
            smooth = np.convolve(column, np.ones(width) / width, mode="valid")
            axes.plot(np.arange(width, len(column) + 1), smooth, label=net)
    for axes, name in zip(panels, ("reward", "penalty"), strict=True):
        axes.set_xlabel("episode")
        axes.set_ylabel(f"{name} a decision, moving mean")
        if axes.get_lines():
            axes.legend()
    figure.savefig(picture, dpi=100)
    plt.close(figure)


def plot_folds(rows: list[dict[str, str | float]], picture: Path) -> None:
    """Plot the accuracy of every fold and seed, a column for each net and phase."""
    columns = list(dict.fromkeys((str(row["net"]), str(row["phase"])) for row in rows))
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for place, column in enumerate(columns):
        shares = [
            int(row["right"]) / int(row["n"])
            for row in rows
            if (row["net"], row["phase"]) == column
        ]
        axes.scatter(np.full(len(shares), place), shares, alpha=0.5)
        axes.plot([place - 0.25, place + 0.25], [np.mean(shares)] * 2, color="black")
    axes.set_xticks(range(len(columns)), [f"{net}\n{phase}" for net, phase in columns], fontsize=7)
    axes.set_ylabel("accuracy on held-out subjects")
    figure.savefig(picture, dpi=100)
    plt.close(figure)

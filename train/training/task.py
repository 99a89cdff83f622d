"""What one kind of network brings to the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras

    from train.training.checkpoint import Record
    from train.training.image_batches import ImageBatches

Batch: TypeAlias = "tuple[Any, ...]"
"""Inputs, targets and, where rows weigh differently, weights, as ``keras.Model.fit`` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What one kind of network brings to the training loop.

    Attributes:
        epochs: Of the whole run.
        steps: Steps an epoch.
        build: Returns the compiled model, its weights drawn from the recipe's seed.
        batch: Returns the batch of an epoch and step, both counted from 0: the same whenever it is
            asked for. Threads call it ahead of time.
        learning_rate: Returns it for an epoch, the share of it that is done, and the history.
        score: Scores the model of an epoch on held-out data; it holds the weights to export,
            except where those of the best epoch are.
        monitor: Name of the score that decides which epoch is the best; the higher the better.
        export: Which weights the run gives: their moving average, the best epoch's or the last.
        ema_decay: Of the moving average.
        image_sizes: Of each epoch, where the network sees images that are changed at random.
        strengths: Of these changes in each epoch, likewise.
        images: What ``batch`` draws from, likewise: with it whole epochs can run on a device
            (`train.training.device_epochs`).
    """

    epochs: int
    steps: int
    build: Callable[[], keras.Model]
    batch: Callable[[int, int], Batch]
    learning_rate: Callable[[int, float, Sequence[Record]], float]
    score: Callable[[keras.Model, int], Record]
    monitor: str
    export: Literal["average", "best", "last"]
    ema_decay: float = 0.0
    image_sizes: tuple[int, ...] = ()
    strengths: tuple[float, ...] = ()
    images: ImageBatches | None = None

    def cost(self, epoch: int) -> float:
        """Return what a step of an epoch costs, against others: as much as its images' area."""
        return float(self.image_sizes[epoch] ** 2) if self.image_sizes else 1.0

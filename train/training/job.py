"""A training run that is ready to begin: its task, and what is made of it in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.training.checkpoint import Checkpoint
    from train.training.task import Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingJob:
    """What a recipe comes to once its data is read.

    Attributes:
        task: For the training loop.
        summary: One line about the data.
        finish: Writes into the run's folder the network of a state, and a report of how it does
            on held-out data.
    """

    task: Task
    summary: str
    finish: Callable[[Checkpoint, Path], None]

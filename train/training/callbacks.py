"""What happens beside a run's steps: learning rate, averaging, scores, checkpoints, progress."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import keras
import numpy as np

from train.training.checkpoint import capture, save_checkpoint
from train.training.durations import duration
from train.training.run_folder import HISTORY, prune, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from train.training.checkpoint import Checkpoint, Record
    from train.training.task import Task

AVERAGE_EVERY: Final = 4
"""Steps between two updates of the moving average: more often costs time and changes nothing."""
WARM_UP_STEPS: Final = 2
"""Steps that compile, and are not timed."""
TIMED_STEPS: Final = 6
REPORT_EVERY_S: Final = 60.0
"""Seconds between two lines about an epoch under way, where there is no terminal to draw on."""


def average_decay(task: Task, epoch: int, step: int) -> float:
    """Return the share of itself that the moving average keeps after a step; 1 for no update."""
    if step % AVERAGE_EVERY:
        return 1.0
    updates = (epoch * task.steps + step) // AVERAGE_EVERY
    # At first the average is short, so that it soon forgets the random weights.
    return min(task.ema_decay, (1 + updates) / (4 + updates))


class LearningRate(keras.callbacks.Callback):  # type: ignore[misc]  # untyped
    """Sets the learning rate before each step.

    It follows from epoch, step and history alone. Keras' ReduceLROnPlateau would forget how long
    it has waited when a run is resumed.
    """

    def __init__(self, task: Task, history: list[Record]) -> None:
        super().__init__()
        self._task, self._history = task, history
        self._epoch = 0
        self._last: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._epoch, self._last = epoch, None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set it, where it changes."""
        rate = self._task.learning_rate(self._epoch, batch / self._task.steps, self._history)
        if rate != self._last:
            self.model.optimizer.learning_rate = self._last = rate


class Averaging(keras.callbacks.Callback):  # type: ignore[misc]  # untyped
    """Keeps the weights to export: a moving average, the best epoch's, or the last.

    Keras' optimisers average the trained weights alone; here the statistics of batch normalisation
    are averaged with the weights that they belong to.
    """

    def __init__(self, task: Task, start: Checkpoint) -> None:
        super().__init__()
        self._task = task
        self._epoch = start.epoch
        self.weights = [array.copy() for array in start.export]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Update the moving average."""
        if self._task.export != "average":
            return
        decay = average_decay(self._task, self._epoch, batch)
        if decay == 1.0:
            return
        for average, weight in zip(self.weights, self.model.weights, strict=True):
            np.multiply(average, decay, out=average)
            np.add(average, (1.0 - decay) * keras.ops.convert_to_numpy(weight), out=average)

    @contextmanager
    def swapped_in(self) -> Iterator[keras.Model]:
        """Give the model with its averaged weights, and put its own back afterwards."""
        model = self.model
        if self._task.export != "average":
            yield model
            return
        own = model.get_weights()
        model.set_weights(self.weights)
        try:
            yield model
        finally:
            model.set_weights(own)

    def end_epoch(self, *, best: bool) -> list[NDArray[Any]]:
        """Return the weights to export after an epoch."""
        if self._task.export == "last" or (self._task.export == "best" and best):
            self.weights = self.model.get_weights()
        return self.weights


class EpochRecords(keras.callbacks.Callback):  # type: ignore[misc]  # untyped
    """Scores every epoch, keeps the history and the checkpoints, and logs a line.

    Attributes:
        history: One record an epoch, also those before a resumption.
        state: The last checkpoint.
    """

    def __init__(
        self,
        task: Task,
        start: Checkpoint,
        folder: Path,
        *,
        averaging: Averaging,
        keep: int,
        log: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._task, self._folder, self._averaging = task, folder, averaging
        self._keep, self._log = keep, log
        self._began_s, self._first = 0.0, start.epoch
        self.history = [*start.history]
        self.state = start

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began_s = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score, keep and report the epoch."""
        task = self._task
        with self._averaging.swapped_in() as model:
            scores = task.score(model, epoch)
        size = {"image_size": float(task.image_sizes[epoch])} if task.image_sizes else {}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        record: Record = {
            "epoch": float(epoch + 1),
            **size,
            "learning_rate": rate,
            "loss": float(logs["loss"]),
            **scores,
            "seconds": time.monotonic() - self._began_s,
        }
        earlier = [one[task.monitor] for one in self.history if task.monitor in one]
        best = record[task.monitor] > max(earlier, default=float("-inf"))
        self.history.append(record)
        export = self._averaging.end_epoch(best=best)
        self.state = capture(self.model, self.history, export)
        path = self._folder / "checkpoints" / f"epoch-{epoch + 1:03d}.npz"
        save_checkpoint(path, self.state)
        write_rows(self._folder / HISTORY, self.history)
        here = [one[task.monitor] for one in self.history[self._first :]]
        if here[-1] > max(here[:-1], default=float("-inf")):  # of the epochs in this folder
            shutil.copyfile(path, self._folder / "best_checkpoint.npz")
        if self._keep:
            prune(self._folder, self._keep)
        left = sum(task.cost(one) for one in range(epoch + 1, task.epochs)) / task.cost(epoch)
        self._log(_line(record, task.epochs, best=best, left_s=left * record["seconds"]))


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # untyped
    """Says how long the run will take, and how far the epoch is.

    On a terminal a bar on standard error; elsewhere a line now and then.
    """

    def __init__(self, task: Task, log: Callable[[str], None]) -> None:
        super().__init__()
        self._task, self._log = task, log
        self._bar: Any = None
        self._epoch = 0
        self._steps_done = 0
        self._timed_from_s = self._reported_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin a bar."""
        self._epoch, self._reported_s = epoch, time.monotonic()
        if sys.stderr.isatty():
            label = f"epoch {epoch + 1}/{self._task.epochs}"
            self._bar = click.progressbar(length=self._task.steps, label=label, file=sys.stderr)
            self._bar.render_progress()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar on; estimate the whole run once, after its first steps."""
        self._steps_done += 1
        now_s = time.monotonic()
        if self._steps_done == WARM_UP_STEPS:
            self._timed_from_s = now_s
        if self._steps_done == WARM_UP_STEPS + TIMED_STEPS:
            self._log(
                f"the whole run: {self._estimate((now_s - self._timed_from_s) / TIMED_STEPS)}"
            )
        if self._bar is not None:
            self._bar.update(1)
        elif now_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = now_s
            share = (batch + 1) / self._task.steps
            self._log(
                f"epoch {self._epoch + 1}/{self._task.epochs}: {share:.0%} done,"
                f" loss {float(logs['loss']):.4g}"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """End the bar; the epoch's line follows."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None

    def _estimate(self, seconds_a_step: float) -> str:
        task = self._task
        costs = [task.cost(epoch) for epoch in range(self._epoch, task.epochs)]
        # A tenth more, for scores and checkpoints.
        return duration(seconds_a_step * task.steps * sum(costs) / costs[0] * 1.1)


def _line(record: Record, epochs: int, *, best: bool, left_s: float) -> str:
    figures = ", ".join(
        f"{name} {value:.4g}" for name, value in record.items() if name not in {"epoch", "seconds"}
    )
    left = f"; {duration(left_s)} left" if left_s else ""
    mark = " (best so far)" if best else ""
    return f"epoch {record['epoch']:.0f}/{epochs}: {figures}{mark}, {record['seconds']:.0f} s{left}"

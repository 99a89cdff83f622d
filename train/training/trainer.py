"""The training loop of every Keras network; any epoch's checkpoint can be resumed."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import keras

from train.training.callbacks import Averaging, EpochRecords, LearningRate, Progress
from train.training.checkpoint import Checkpoint, capture, restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from train.training.task import Batch, Task


class EpochBatches(keras.utils.PyDataset):  # type: ignore[misc]  # untyped
    """The batches of an epoch; TensorFlow makes the next ones while a step runs.

    With more than one worker Keras would keep batches that were made ahead for the next epoch,
    which has others (3.15, `PyDatasetEnqueuer.stop`).

    Attributes:
        epoch: Whose batches they are. Keras does not pass it on, so a callback sets it.
    """

    def __init__(self, steps: int, batch: Callable[[int, int], Batch], epoch: int) -> None:
        super().__init__(workers=1)
        self._steps, self._batch, self.epoch = steps, batch, epoch

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        return self._batch(self.epoch, step)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Go on to an epoch."""
        del logs
        self.epoch = epoch


def fit(
    task: Task,
    folder: Path,
    *,
    start: Checkpoint | None = None,
    weights: list[NDArray[np.float32]] | None = None,
    keep: int = 0,
    log: Callable[[str], None] = lambda _: None,
) -> Checkpoint:
    """Train to the task's last epoch and return its state.

    A run that goes on from a checkpoint ends with the same weights, to the bit, as one that was
    never interrupted. On JAX a task that has images runs each epoch on the device as a whole.

    Args:
        task: What to do.
        folder: Gets ``checkpoints/epoch-NNN.npz``, ``best_checkpoint.npz`` and
            ``training_history.csv``.
        start: A checkpoint to go on from.
        weights: First weights in place of random ones, as ``model.get_weights()`` gives them.
        keep: How many of the last checkpoints to keep; 0 keeps all.
        log: Gets a line for every epoch, and one for how long the run will take.

    Raises:
        InputError: ``start`` or ``weights`` belong to another network.
    """
    model = task.build()
    if weights is not None:
        model.set_weights(weights)
    state = capture(model, []) if start is None else start
    restore(model, state)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    averaging = Averaging(task, state)
    records = EpochRecords(task, state, folder, averaging=averaging, keep=keep, log=log)
    if task.images is not None and keras.backend.backend() == "jax":
        return _fit_on_device(task, model, averaging, records)
    callbacks = [LearningRate(task, records.history), averaging, Progress(task, log), records]
    for last in _ends(task):
        if last <= state.epoch:
            continue
        # A step compiled for two sizes rounds otherwise than one compiled for one, and a resumed
        # run would have met only one of them.
        model.make_train_function(force=True)
        model.make_predict_function(force=True)
        batches = EpochBatches(task.steps, task.batch, state.epoch)
        model.fit(
            batches,
            initial_epoch=state.epoch,
            epochs=last,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.begin), *callbacks],
            shuffle=False,
            verbose=0,
        )
        state = records.state
    return state


def _fit_on_device(
    task: Task, model: keras.Model, averaging: Averaging, records: EpochRecords
) -> Checkpoint:
    from train.training.device_epochs import DeviceEpochs

    for callback in (averaging, records):
        callback.set_model(model)
    epochs = DeviceEpochs(task, model, averaging)
    for epoch in range(records.state.epoch, task.epochs):
        records.on_epoch_begin(epoch)
        records.on_epoch_end(epoch, {"loss": epochs.run(epoch, records.history)})
    return records.state


def _ends(task: Task) -> list[int]:
    """Return the epochs after which the size of the images changes, the last one included."""
    if not task.image_sizes:
        return [task.epochs]
    lengths = [len(list(group)) for _, group in groupby(task.image_sizes)]
    return [sum(lengths[: i + 1]) for i in range(len(lengths))]

"""Epochs that run on a device as a whole, with JAX: images, their changes, steps and average.

A step of these networks takes a GPU less time than a processor takes to prepare its batch or to
start it. So the images lie on the device and are changed there, and an epoch is one call.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from train.augment_on_device import DeviceAugmentation, as_input_on_device
from train.training.callbacks import average_decay
from train.training.image_batches import epoch_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

    from train.training.callbacks import Averaging
    from train.training.checkpoint import Record
    from train.training.task import Task

LEARNING_RATE: Final = "learning_rate"
"""Ends the path of the optimiser's variable of that name."""


class DeviceEpochs:
    """Runs a task's epochs; between two of them the model holds their result as after any other."""

    def __init__(self, task: Task, model: keras.Model, averaging: Averaging) -> None:
        """Bring the images to the device.

        Args:
            task: With images.
            model: Compiled, its optimiser built.
            averaging: Gets the moving average after each epoch.
        """
        if task.images is None:
            raise TypeError("this task makes its batches elsewhere")
        self._task, self._model, self._averaging = task, model, averaging
        self._loss_weights = model.get_compile_config()["loss_weights"]
        self._batches = task.images
        self._order = epoch_order(task.images.draw, task.images.seed)
        self._augmentation = DeviceAugmentation(
            task.images.augmentation, task.images.crops.shape[1]
        )
        targets = task.images.targets
        self._data = jax.tree.map(jnp.asarray, (task.images.crops, targets.truth, targets.weights))
        self._whole_epoch = jax.jit(self._steps, static_argnames="side_px")

    def run(self, epoch: int, history: Sequence[Record]) -> float:
        """Run an epoch, counted from 0, and return the mean loss of its steps."""
        task, model = self._task, self._model
        steps, size = task.steps, self._batches.batch_size
        variables = _variables(model)
        state, average, losses = self._whole_epoch(
            [[variable.value for variable in group] for group in variables],
            [jnp.asarray(weight) for weight in self._averaging.weights],
            self._data,
            jnp.asarray(self._order(epoch)[: steps * size].reshape(steps, size)),
            jnp.array([task.learning_rate(epoch, step / steps, history) for step in range(steps)]),
            jnp.array([average_decay(task, epoch, step) for step in range(steps)]),
            jax.random.fold_in(jax.random.key(self._batches.seed), epoch),
            task.strengths[epoch],
            side_px=task.image_sizes[epoch],
        )
        for group, values in zip(variables, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        self._averaging.weights = [np.array(weight) for weight in average]
        return float(losses.mean())

    def _steps(
        self,
        state: Any,
        average: list[jax.Array],
        data: Any,
        order: jax.Array,
        rates: jax.Array,
        decays: jax.Array,
        key: jax.Array,
        strength: jax.Array,
        *,
        side_px: int,
    ) -> tuple[Any, list[jax.Array], jax.Array]:
        crops, truth, weights = data

        def step(carried: Any, given: Any) -> tuple[Any, jax.Array]:
            state, average = carried
            number, chosen, rate, decay = given
            changed = self._augmentation.augment(
                jax.random.fold_in(key, number), crops[chosen], side_px=side_px, strength=strength
            )
            rows = partial(jax.tree.map, lambda values: values[chosen])
            batch = as_input_on_device(changed), rows(truth), rows(weights)
            state, loss = self._step(state, batch, rate)
            average = [
                decay * old + (1.0 - decay) * new
                for old, new in zip(average, self._weights(state), strict=True)
            ]
            return (state, average), loss

        given = jnp.arange(len(order)), order, rates, decays
        (state, average), losses = jax.lax.scan(step, (state, average), given)
        return state, average, losses

    def _step(self, state: Any, batch: Any, rate: jax.Array) -> tuple[Any, jax.Array]:
        """Take a step of the model's own optimiser down its own losses."""
        trained, others, optimiser = state
        inputs, truth, weights = batch
        model = self._model

        def loss_of(trained: Any) -> tuple[jax.Array, Any]:
            logits, others_now = model.stateless_call(trained, others, inputs, training=True)
            losses = [
                self._loss_weights[head] * loss(truth[head], logits[head], weights[head])
                for head, loss in model.loss.items()
            ]
            return sum(losses, start=jnp.zeros(())), others_now

        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained)
        optimiser = [
            rate if variable.path.endswith(LEARNING_RATE) else value
            for variable, value in zip(model.optimizer.variables, optimiser, strict=True)
        ]
        trained, optimiser = model.optimizer.stateless_apply(optimiser, gradients, trained)
        return [trained, others, optimiser], loss

    def _weights(self, state: Any) -> list[jax.Array]:
        """Return the network's weights of a state, in the order of ``model.weights``."""
        trained, others, _ = _variables(self._model)
        values = {
            variable.path: value
            for variable, value in zip([*trained, *others], [*state[0], *state[1]], strict=True)
        }
        return [values[weight.path] for weight in self._model.weights]


def _variables(model: keras.Model) -> list[list[Any]]:
    """Return what a step changes: trained variables, others, and the optimiser's."""
    return [
        list(model.trainable_variables),
        list(model.non_trainable_variables),
        list(model.optimizer.variables),
    ]

"""REINFORCE with a baseline (Williams, 1992), for any network whose logits choose an action."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Policy(keras.Model):  # type: ignore[misc]  # untyped
    """A network trained by what its own decisions earn.

    Each step is one episode: for every row an action is drawn from the softmax of the logits; it
    earns ``reward`` where it is the label, else ``-penalty``. The loss is the mean of ``-(earned -
    baseline) * log p(action)``; the baseline is the moving average of what earlier episodes earned
    a decision. Action and gradient come from one pass, so both see the same dropout.

    Attributes:
        rewarded: Reward of the last episode a decision, at least 0.
        penalised: Penalty of the last episode a decision, at least 0.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        reward: float = 1.0,
        penalty: float = 1.0,
        decay: float = 0.9,
        seed: int,
    ) -> None:
        super().__init__(name="policy")
        self.net = net
        self.reward, self.penalty, self.decay = reward, penalty, decay
        self.chance = keras.random.SeedGenerator(seed)
        self.baseline = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="baseline"
        )
        self.rewarded = keras.metrics.Mean(name="reward")
        self.penalised = keras.metrics.Mean(name="penalty")

    def restart(self, seed: int) -> None:
        """Forget the baseline, and draw actions from a new seed."""
        self.baseline.assign(0.0)
        self.chance.state.assign(keras.random.SeedGenerator(seed).state)

    def call(self, frames: Any, training: bool | None = None) -> Any:
        """Return the network's logits."""
        return self.net(frames, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the policy gradient's loss for labels ``y``, ``(batch,)``, int."""
        del x, sample_weight
        labels = ops.cast(ops.reshape(y, (-1,)), "int32")
        action = keras.random.categorical(ops.stop_gradient(y_pred), 1, seed=self.chance)[:, 0]
        action = ops.cast(action, "int32")
        right = ops.cast(ops.equal(action, labels), "float32")
        earned = right * self.reward - (1.0 - right) * self.penalty
        chosen = ops.one_hot(action, y_pred.shape[-1])
        log_p = ops.sum(ops.log_softmax(y_pred) * chosen, axis=-1)
        loss = -ops.mean(ops.stop_gradient(earned - self.baseline) * log_p)
        if training:
            mean = ops.mean(earned)
            self.baseline.assign(self.decay * self.baseline + (1.0 - self.decay) * mean)
        self.rewarded.update_state(right * self.reward)
        self.penalised.update_state((1.0 - right) * self.penalty)
        return loss

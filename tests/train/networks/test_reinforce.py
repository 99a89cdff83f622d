"""REINFORCE: what a decision earns moves the net as the formula says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")

import keras

from train.networks.reinforce import Policy
from train.networks.sequence import BUILDERS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def linear(classes: int, inputs: int) -> keras.Model:
    keras.utils.set_random_seed(1)
    fed = keras.Input((inputs,))
    return keras.Model(fed, keras.layers.Dense(classes, use_bias=False)(fed))


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
def test_one_step_is_the_formula(seed: int) -> None:
    """Of two actions the reward shows which was taken; the step is rate * (earned - b) * grad."""
    net = linear(2, 3)
    policy = Policy(net, reward=1.0, penalty=2.0, decay=0.75, seed=seed)
    policy.compile(optimizer=keras.optimizers.SGD(0.5))
    fed = np.array([[0.3, -0.2, 0.9]], np.float32)
    baseline = 0.0
    for _ in range(3):
        before = net.get_weights()[0]
        logs = policy.train_on_batch(fed, np.array([1]), return_dict=True)
        policy.reset_metrics()
        right = float(logs["reward"]) > 0
        assert float(logs["penalty"]) == (0.0 if right else 2.0)
        earned = 1.0 if right else -2.0
        aim = np.eye(2)[[1 if right else 0]] - softmax(fed @ before)
        expected = before + 0.5 * (earned - baseline) * fed.T @ aim
        np.testing.assert_allclose(net.get_weights()[0], expected, rtol=1e-4, atol=1e-6)
        baseline = 0.75 * baseline + 0.25 * earned
        assert float(policy.baseline) == pytest.approx(baseline)


def test_decisions_get_better() -> None:
    """From reward and penalty alone a net learns to tell four inputs apart."""
    net = linear(4, 4)
    policy = Policy(net, seed=3)
    policy.compile(optimizer=keras.optimizers.Adam(0.05))
    fed, labels = np.eye(4, dtype=np.float32).repeat(8, axis=0), np.arange(4).repeat(8)
    earned = []
    for _ in range(150):
        logs = policy.train_on_batch(fed, labels, return_dict=True)
        policy.reset_metrics()
        assert float(logs["reward"]) + float(logs["penalty"]) == pytest.approx(1.0)
        earned.append(float(logs["reward"]) - float(logs["penalty"]))
    assert np.mean(earned[:5]) < 0
    assert np.mean(earned[-5:]) > 0.8
    assert (net.predict(fed, verbose=0).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("name", list(BUILDERS))
def test_a_net_names_a_sequence_once(name: str) -> None:
    """Whatever lies between, three frames come to one row of logits."""
    net = BUILDERS[name]((3, 16), classes=7, filters=(2, 4), units=5, dropout=0.1)
    assert net.output_shape == (None, 7)
    assert net.count_params() > 0

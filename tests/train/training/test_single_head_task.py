"""Networks with one head have the published shapes, and their learning rate falls on a plateau."""

from __future__ import annotations

import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("matplotlib", reason="needs the training environment: make test-train")

from train.networks.config import BlendshapeNet, ConvolutionNet
from train.recipe import BlendshapeRecipe, ConvolutionRecipe, Plateau
from train.training.single_head_task import build_single_head, rate_on_plateau

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MODEL_X = ConvolutionRecipe(model="model_x", seed=5, network=ConvolutionNet(widths=(4, 4), dense=8))


def test_the_reference_forms_are_as_published() -> None:
    """33 blendshapes, LSTM, 12, softmax; several convolutions, and a simpler net."""
    shape = BlendshapeRecipe(model="lstm_reference", seed=1, network=BlendshapeNet(units=(33, 12)))
    net = build_single_head(shape, width=33, classes=7)
    assert net.input_shape == (None, 33)
    assert net.count_params() == 4 * 33 * (33 + 33 + 1) + 12 * (33 + 1) + 7 * (12 + 1)
    kinds = [
        type(layer).__name__ for layer in build_single_head(MODEL_X, width=0, classes=7).layers
    ]
    for kind in ("Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D", "Dropout"):
        assert kind in kinds
    plain = MODEL_X.network.model_copy(update={"normalise": False, "dropout": 0.0})
    simple = MODEL_X.model_copy(update={"model": "model_y", "network": plain})
    assert len(build_single_head(simple, width=0, classes=7).layers) < len(kinds)


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        pytest.param([], 0.1, id="at first"),
        pytest.param([1.0, 0.9, 0.8], 0.1, id="while it falls"),
        pytest.param([1.0, 1.1, 1.2], 0.01, id="after two epochs of no gain"),
        pytest.param([1.0, 1.1, 0.9, 1.0], 0.1, id="a gain starts the count again"),
        pytest.param([1.0] * 9, 0.004, id="never below the least"),
    ],
)
def test_the_rate_falls_on_a_plateau(losses: list[float], rate: float) -> None:
    """The rate follows from the history alone, so a resumed run knows it."""
    plateau = Plateau(factor=0.1, patience=2, min_learning_rate=0.004)
    assert rate_on_plateau(plateau, 0.1, losses) == pytest.approx(rate)

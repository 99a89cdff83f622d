"""MobileNet as a teacher: it computes what the weights that it begins with computed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from edge.errors import InputError
from train.networks.mobile import BLOCKS, STEM, build_mobile
from train.networks.recogniser import MEANS, read_tensors, take_over
from train.networks.shapes import MobileNet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PUBLISHED_BLOCKS = 2


@pytest.fixture
def tensors() -> dict[str, NDArray[np.float32]]:
    """Weights named and shaped as the published ones, of the first blocks alone."""
    rng = np.random.default_rng(5)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0.0, 0.1, shape).astype(np.float32)

    found = {
        "conv1/convolution/merged_input": drawn(3, 3, 3, STEM) / 30.0,
        "conv1_bn/batchnorm_1/sub": drawn(STEM),
    }
    before = STEM
    for number, (channels, _) in enumerate(BLOCKS[:PUBLISHED_BLOCKS], start=1):
        found |= {
            f"conv_dw_{number}/depthwise_kernel": drawn(3, 3, before, 1),
            f"conv_dw_{number}_bn/batchnorm_1/mul": 1.0 + drawn(before),
            f"conv_dw_{number}_bn/batchnorm_1/sub": drawn(before),
            f"conv_pw_{number}/convolution/merged_input": drawn(1, 1, before, channels),
            f"conv_pw_{number}_bn/batchnorm_1/sub": drawn(channels),
        }
        before = channels
    return found


def published(
    tensors: dict[str, NDArray[np.float32]], greys: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute the published net on grey pictures, operation by operation."""
    x = np.stack([greys - mean for mean in MEANS], axis=-1).astype(np.float32)
    conv, depthwise = keras.ops.conv, keras.ops.depthwise_conv
    relu6 = keras.ops.relu6
    x = conv(x, tensors["conv1/convolution/merged_input"], strides=2, padding="same")
    x = relu6(x + tensors["conv1_bn/batchnorm_1/sub"])
    for number, (_, stride) in enumerate(BLOCKS[:PUBLISHED_BLOCKS], start=1):
        kernel = tensors[f"conv_dw_{number}/depthwise_kernel"]
        x = depthwise(x, kernel, strides=stride, padding="same")
        x = x * tensors[f"conv_dw_{number}_bn/batchnorm_1/mul"]
        x = relu6(x + tensors[f"conv_dw_{number}_bn/batchnorm_1/sub"])
        x = conv(x, tensors[f"conv_pw_{number}/convolution/merged_input"], padding="same")
        x = relu6(x + tensors[f"conv_pw_{number}_bn/batchnorm_1/sub"])
    return np.asarray(keras.ops.convert_to_numpy(x))


def test_folded_net_computes_what_the_published_one_does(
    tensors: dict[str, NDArray[np.float32]],
) -> None:
    model = build_mobile(MobileNet(blocks=PUBLISHED_BLOCKS))
    take_over(model, tensors, PUBLISHED_BLOCKS)
    last = model.get_layer(f"pointwise_{PUBLISHED_BLOCKS}").output
    features = keras.Model(model.inputs, keras.ops.relu6(last))
    greys = np.random.default_rng(6).uniform(0, 255, (2, 48, 48)).astype(np.float32)
    found = features.predict((greys[..., None] - 128.0) / 64.0, verbose=0)
    # The border is padded with nought, which is another grey before and after the change of scale.
    inner = np.s_[:, 2:-2, 2:-2]
    np.testing.assert_allclose(found[inner], published(tensors, greys)[inner], atol=1e-4)


def test_pictures_of_any_size_are_brought_to_the_nets_own() -> None:
    model = build_mobile(MobileNet(side_px=64, blocks=3), None)
    small, large = (np.zeros((1, side, side, 1), np.float32) for side in (48, 64))
    given = model.predict(small, verbose=0)
    assert {head: value.shape for head, value in given.items()} == {
        "ferplus": (1, 8),
        "fer2013": (1, 7),
    }
    np.testing.assert_allclose(given["ferplus"], model.predict(large, verbose=0)["ferplus"])


def test_weights_that_do_not_belong_to_the_list_are_refused(tmp_path: Path) -> None:
    topology, weights = tmp_path / "net.json", tmp_path / "net.bin"
    listed = [{"name": "a", "shape": [2, 3], "dtype": "float32"}]
    topology.write_text(json.dumps({"weightsManifest": [{"weights": listed}]}))
    weights.write_bytes(np.arange(6, dtype="<f4").tobytes())
    np.testing.assert_array_equal(read_tensors(topology, weights)["a"], [[0, 1, 2], [3, 4, 5]])
    weights.write_bytes(b"short")
    with pytest.raises(InputError, match=r"holds 5 bytes, net\.json lists 24"):
        read_tensors(topology, weights)

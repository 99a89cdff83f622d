"""The two models that boards are compared by."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.delegation import delegated_share
from benchmarks.reference_models import mobilenet_v1
from edge.litert import TFLiteModel


@pytest.mark.parametrize(("precision", "size"), [("float32", 16_900_000), ("int8", 4_560_000)])
def test_mobilenet_runs_on_the_fast_kernels(precision, size):
    """It has the published shape and size, and XNNPACK takes (nearly) all of it."""
    content = mobilenet_v1(precision)
    assert len(content) == pytest.approx(size, rel=0.01)
    model = TFLiteModel(content)
    assert model.inputs[0].shape == (1, 224, 224, 3)
    assert model.inputs[0].dtype == precision
    (out,) = model.run({0: np.zeros((1, 224, 224, 3), precision)})
    assert out.shape == (1, 1, 1, 1001)
    assert (delegated_share(content) or 1) > 0.9


def test_always_the_same_bytes():
    """A figure of today compares with one of next year."""
    assert mobilenet_v1("int8") == mobilenet_v1("int8")

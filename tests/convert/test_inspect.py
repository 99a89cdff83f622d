"""Inspecting lists operators, sizes and multiply-adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.inspect import describe, look_inside, multiply_adds
from edge.bundle.loader import load_bundle
from edge.litert import Operator
from tests.support.handmade_bundle import adding_model, bright_side_model, write_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_inside() -> None:
    """Operators are counted by name and multiply-adds summed."""
    inside = look_inside(bright_side_model())
    assert inside.operators == {"FULLY_CONNECTED": 1}
    assert inside.multiply_adds == 8 * 48 * 48
    assert look_inside(adding_model()).operators == {"ADD": 2, "FULLY_CONNECTED": 1}


def test_delegated() -> None:
    """The share XNNPACK takes and the names of the others fit together."""
    inside = look_inside(adding_model())
    assert inside.delegated == pytest.approx(1 - len(inside.alone) / 3)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        pytest.param(("CONV_2D", ((1, 8, 8, 3), (16, 3, 3, 3)), ((1, 4, 4, 16),)), 6912, id="conv"),
        pytest.param(
            ("DEPTHWISE_CONV_2D", ((1, 8, 8, 4), (1, 3, 3, 4)), ((1, 8, 8, 4),)), 2304, id="depth"
        ),
        pytest.param(("FULLY_CONNECTED", ((1, 10), (5, 10)), ((1, 5),)), 50, id="dense"),
        pytest.param(("ADD", ((1, 10), (1, 10)), ((1, 10),)), 0, id="add"),
    ],
)
def test_multiply_adds(operator: tuple, expected: int) -> None:  # type: ignore[type-arg]
    """Convolutions and dense layers count one multiply-add for each weight and place."""
    name, inputs, outputs = operator
    made = Operator(name=name, inputs=inputs, outputs=outputs, delegated=True)
    assert multiply_adds(made) == expected


def test_describe(tmp_path: Path) -> None:
    """The text names every member, tensor and the state of the gate."""
    text = "\n".join(describe(load_bundle(write_bundle(tmp_path / "b"))))
    for words in ("cnn_a: cnn, int8", "state_c: int8 1x1", "scale 0.0625", "gate: no report"):
        assert words in text

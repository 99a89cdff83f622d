"""How much of a model the delegates cover."""

from __future__ import annotations

import pytest

from benchmarks.delegation import covered_share


def op(name, ins, outs):
    return {"op_name": name, "inputs": ins, "outputs": outs}


CHAIN = [op("A", [0], [1]), op("B", [1], [2]), op("C", [2], [3])]


@pytest.mark.parametrize(
    ("operators", "share"),
    [
        pytest.param(CHAIN, 0, id="no delegate"),
        pytest.param([*CHAIN, op("DELEGATE", [0], [3])], 1, id="all of it"),
        pytest.param([*CHAIN, op("DELEGATE", [1], [2])], 1 / 3, id="the middle"),
        pytest.param(
            [*CHAIN, op("DELEGATE", [0], [1]), op("DELEGATE", [2], [3])], 2 / 3, id="both ends"
        ),
        pytest.param([], 0, id="an empty model"),
    ],
)
def test_share(operators, share):
    """Operators between a delegate's inputs and outputs are its own; others are not."""
    assert covered_share(operators) == pytest.approx(share, abs=1e-4)

"""What a user types to measure on the simulated classroom."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from benchmarks.classroom.__main__ import main


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["latency", "--size", "wide"], id="no size"),
        pytest.param(["latency", "--faces", "0"], id="nobody"),
        pytest.param(["recall", "--frames", "0"], id="no frames"),
        pytest.param(["switches", "--seconds", "0"], id="no time"),
    ],
)
def test_bad_usage(arguments: list[str]) -> None:
    """It is said at once, before anything is measured."""
    assert CliRunner().invoke(main, arguments).exit_code == 2

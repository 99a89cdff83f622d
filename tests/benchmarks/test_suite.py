"""A measurement that fails never leaves another one's report as its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.suite import run_apart
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_report_a_measurement_has_failed(tmp_path: Path) -> None:
    """Whatever its exit code says; the report before it stays as it was."""
    path = tmp_path / "run.json"
    path.write_text("the one before", encoding="utf-8")
    with pytest.raises(UnavailableError, match="no report"):
        run_apart(("run", "--help"), path)
    assert path.read_text(encoding="utf-8") == "the one before"
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]

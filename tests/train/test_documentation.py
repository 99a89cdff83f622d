"""What the documentation shows of the Python API works as it stands there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("matplotlib")

from train.training.run_folder import read_rows, run_state

PAGE = Path(__file__).parents[2] / "docs" / "research" / "training.md"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.slow
def test_the_example_trains(made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied from the page, beside a folder of data."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert made_up == tmp_path / "data"
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    folder = runpy.run_path(str(tmp_path / "example.py"))["folder"]
    assert run_state(folder) == "finished"
    assert len(read_rows(folder / "training_history.csv")) == 3

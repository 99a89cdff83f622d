"""How the events of two architectures are compared."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "arm64_events.py"
EVENT = {
    "track": "00ff", "from": None, "to": "happy", "onset_s": 0.5, "decided_s": 0.9,
    "confidence": 0.91,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("arm64_events", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("found", "alike"),
    [
        pytest.param([EVENT], True, id="the same"),
        pytest.param([{**EVENT, "confidence": 0.905}], True, id="rounded otherwise"),
        pytest.param([{**EVENT, "confidence": 0.8}], False, id="another confidence"),
        pytest.param([{**EVENT, "to": "sad"}], False, id="another emotion"),
        pytest.param([{**EVENT, "decided_s": 1.2}], False, id="decided later"),
        pytest.param([EVENT, EVENT], False, id="one more"),
        pytest.param([], False, id="none"),
    ],
)
def test_events_compare(script, tmp_path, found, alike):
    """Labels must be equal, numbers nearly; no events at all prove nothing."""
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_text(json.dumps(EVENT) + "\n")
    right.write_text("".join(json.dumps(event) + "\n" for event in found))
    assert script.same(str(left), str(right)) is alike

"""A short run of every fuzzing target, and proof that the harness sees what it looks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.campaign import run_campaign
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", list(TARGETS))
def test_a_short_run_finds_nothing(tmp_path: Path, target: str) -> None:
    """A few inputs of each kind are read or refused, without a crash, a hang or a stray error."""
    outcome = run_campaign(target, tmp_path, seconds=500.0, executions=60, seed=1)
    assert outcome.executions == 60
    assert outcome.clean, outcome.findings


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("target", "seen"),
    [("broken: raises", "errors"), ("broken: dies", "crashes"), ("broken: hangs", "hangs")],
)
def test_what_is_broken_is_found(tmp_path: Path, target: str, seen: str) -> None:
    """A reader that raises, dies or hangs is reported, with the input that made it do so."""
    outcome = run_campaign(target, tmp_path, seconds=300.0, executions=1, hang_s=2.0, losses=1)
    assert getattr(outcome, seen) >= 1
    assert not outcome.clean
    [first, *_] = outcome.findings
    assert json.loads((tmp_path / first).read_text())
    assert next(iter(tmp_path.glob("*.bin"))).read_bytes() == b"input"

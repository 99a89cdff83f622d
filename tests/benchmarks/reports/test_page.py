"""The page of results."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.reports.page import make_page

ROOT = Path(__file__).parents[3]


def test_the_page_is_fresh():
    """docs/research/benchmarks.md is what the committed reports give; make it: edge-bench docs."""
    results = ROOT / "benchmarks" / "results"
    if not any(results.glob("*/*.json")):
        pytest.skip("no results are committed")
    assert (ROOT / "docs" / "research" / "benchmarks.md").read_text(encoding="utf-8") == make_page(
        results
    )


def test_a_change_is_told_before_and_after(tmp_path):
    """Reports of two versions under changes/ become one table; equal ones are 1.00 times."""
    measured = next(ROOT.glob("benchmarks/results/*/stages-1-face.json"), None)
    if measured is None:
        pytest.skip("no report of the stages is committed")
    folder = tmp_path / "board" / "changes" / "fewer-copies"
    folder.mkdir(parents=True)
    for place in (tmp_path / "board", folder):
        for name in ("before", "after"):
            shutil.copy(measured, place / f"{name}.json")
    page = make_page(tmp_path)
    assert "### Before and after: fewer copies" in page
    assert re.search(r"\| +1\.00 \|", page.partition("Before and after")[2])

"""The page of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pages import make_page

ROOT = Path(__file__).parents[2]


def test_the_page_is_fresh():
    """docs/benchmarks.md is what the committed reports give; make it with: edge-bench docs."""
    results = ROOT / "benchmarks" / "results"
    if not any(results.glob("*/*.json")):
        pytest.skip("no results are committed")
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == make_page(results)

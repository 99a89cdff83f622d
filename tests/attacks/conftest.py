"""Attacks on programs as they run: ``make test-attacks``."""

from __future__ import annotations

import os

import pytest

HERE = os.path.dirname(__file__)  # noqa: PTH120 - compared with a string


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave these out unless they are asked for: they take minutes and hundreds of megabytes."""
    if os.environ.get("EMOSHIFT_ATTACKS"):
        return
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.skip(reason="attacks: run make test-attacks"))

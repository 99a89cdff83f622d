"""docs/operations.md keeps up with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from emoshift import errors
from emoshift.mqtt.connection import Failure

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def log_lines() -> list[tuple[str, str]]:
    """Every text that is logged at a fixed place, with that place."""
    found = []
    for path in sorted((ROOT / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
                found += [(path.name, str(text)) for text in texts if text != "%s"]
    return [(name, text) for name, text in found if "%" in text or " " in text]


@pytest.mark.parametrize(("module", "line"), log_lines())
def test_every_log_line_is_explained(module: str, line: str) -> None:
    """An operator finds every line of the log in the table (``...`` for what varies)."""
    pieces = [piece.strip() for piece in re.split(r"%[-.0-9]*[a-z]", line)]
    rows = [row for row in OPERATIONS.splitlines() if row.startswith("| `")]
    assert any(all(piece in row for piece in pieces) for row in rows), f"{module}: {line}"


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_of_the_link_is_explained(failure: Failure) -> None:
    """Every hint about the broker stands in the table."""
    assert failure.value in OPERATIONS


@pytest.mark.parametrize(
    "error", [e for e in vars(errors).values() if isinstance(e, type) and "Error" in e.__name__]
)
def test_every_exit_code_is_explained(error: type[errors.EmoshiftError]) -> None:
    """Every exit code has its row."""
    assert f"\n| {error.exit_code} |" in OPERATIONS

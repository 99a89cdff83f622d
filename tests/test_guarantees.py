"""What the pages on privacy and security promise is tested: every test they name exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`(?:(tests/[\w/]+\.py))?(?:::(test_\w+))?`")


def names_in(path: Path) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def rows(page: str) -> list[str]:
    """Return the lines of a page that name a test."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if "`tests/" in line or "`::test_" in line]


@pytest.mark.parametrize("page", ["privacy.md", "security.md"])
def test_every_test_that_is_named_exists(page: str) -> None:
    """A file that is named is there, and a test behind ``::`` is in the file named last."""
    file, missing, count = "", [], 0
    for line in rows(page):
        for path, name in NAMED.findall(line):
            if not path and not name:
                continue
            file, count = path or file, count + 1
            if not (ROOT / file).is_file() or (name and name not in names_in(ROOT / file)):
                missing.append(f"{file}::{name}")
    assert missing == []
    assert count > 20


def test_every_guarantee_names_its_proof() -> None:
    """Each row of the guarantees has a test in its last column."""
    text = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ")][2:]
    guarantees = [line for line in table if line.count("|") == 4]
    assert guarantees
    for line in guarantees:
        assert "test" in line.split("|")[3], line

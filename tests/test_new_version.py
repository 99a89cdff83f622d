"""A release is begun by one command, which changes the version and the change log together."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that it changes, in a folder of their own."""
    for name in ("scripts/new-version", "edge/__init__.py", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def begin(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "scripts/new-version"), *words]
    return subprocess.run(command, capture_output=True, check=False, text=True)


def test_a_release_is_begun(checkout):
    """What was unreleased stands under the version and the date, and a new list begins."""
    before = (checkout / "CHANGELOG.md").read_text()
    assert begin(checkout, "7.0.0").returncode == 0
    assert '__version__ = "7.0.0"' in (checkout / "edge/__init__.py").read_text()
    after = (checkout / "CHANGELOG.md").read_text()
    heading = re.search(r"## \[Unreleased\]\n\n(## \[7\.0\.0\] - \d{4}-\d\d-\d\d\n)", after)
    assert heading is not None
    assert after.replace(f"\n{heading[1]}", "", 1) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "expected one version", id="none"),
        pytest.param(["v7"], "expected three numbers", id="no version"),
        pytest.param(["0.0.1"], "is before", id="an earlier one"),
    ],
)
def test_mistakes_change_nothing(checkout, words, said):
    """One line says what is wrong."""
    done = begin(checkout, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    for name in ("edge/__init__.py", "CHANGELOG.md"):
        assert (checkout / name).read_text() == (ROOT / name).read_text()


def test_a_release_has_changes(checkout):
    """Twice the same, or one without changes, is refused."""
    assert begin(checkout, "7.0.0").returncode == 0
    assert "already" in begin(checkout, "7.0.0").stderr
    assert "nothing is listed" in begin(checkout, "7.0.1").stderr

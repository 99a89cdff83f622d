"""What needs torch says so where it is absent, and nothing else needs it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("click")

from click.testing import CliRunner

from train.cli import main
from train.huggingface.names import is_classifier

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_fine_tuning_names_what_is_missing(tmp_path: Path) -> None:
    """One line and the exit code of a missing library."""
    pytest.importorskip("keras", reason="needs the training environment: make test-train")
    pytest.importorskip("matplotlib", reason="needs the training environment: make test-train")
    pytest.importorskip("sklearn", reason="needs the training environment: make test-train")
    found = CliRunner().invoke(
        main, ["run", "--name", "x", "--model", "owner/model", "--runs", str(tmp_path)]
    )
    assert found.exit_code == 69
    assert "torch is not installed" in found.output
    assert found.output.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        pytest.param("dima806/facial_emotions_image_detection", True, id="hub name"),
        pytest.param("models/net.keras", False, id="a file of ours"),
        pytest.param("/models/net", False, id="an absolute path"),
        pytest.param("./net", False, id="a relative path"),
        pytest.param("cnn_a", False, id="one word"),
    ],
)
def test_hub_names(name: str, is_one: bool) -> None:
    """Two words and a slash, and no such file."""
    assert is_classifier(name) is is_one


def test_a_folder_is_one_by_its_config(tmp_path: Path) -> None:
    """Any folder with a config.json, no other."""
    assert not is_classifier(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert is_classifier(tmp_path)

"""A difference between two bundles is reported field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.diff import differences
from edge.bundle.loader import read_manifest
from tests.support.handmade_bundle import cnn_member, lstm_member, write_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_equal(tmp_path: Path) -> None:
    """Equal bundles have no difference."""
    a, b = (read_manifest(write_bundle(tmp_path / name)) for name in "ab")
    assert differences(a, b) == []


def test_fields(tmp_path: Path) -> None:
    """A changed field is reported with both values, a member that is gone or new with its name."""
    a = read_manifest(write_bundle(tmp_path / "a", cnn_member(), cnn_member("old")))
    b = read_manifest(write_bundle(tmp_path / "b", cnn_member(temperature=2.0), lstm_member()))
    lines = differences(a, b)
    assert "  members.cnn_a.temperature: 1.0 -> 2.0" in lines
    assert any(line.startswith("- members.old:") for line in lines)
    assert any(line.startswith("+ members.lstm_a:") for line in lines)
    assert all(len(line) < 250 for line in lines)

"""Names derived from the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.config import parse_config
from edge.identity import machine_digest, settle_name

if TYPE_CHECKING:
    from pathlib import Path


def test_the_machine_id_is_never_sent(tmp_path: Path) -> None:
    """The digest is stable, differs between machines, and does not hold the id."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("0123456789abcdef0123456789abcdef\n")
    other.write_text("0123456789abcdef0123456789abcdee\n")
    digest = machine_digest((one,))
    assert digest == machine_digest((one,)) != machine_digest((other,))
    assert len(digest) == 12
    assert digest not in one.read_text()


def test_without_a_machine_id(tmp_path: Path) -> None:
    """A machine without an id, or with an empty one, still has a name of its own."""
    empty = tmp_path / "empty"
    empty.touch()
    assert machine_digest((empty, tmp_path / "missing")) == machine_digest(())


def test_settle_name() -> None:
    """``auto`` becomes a valid name; a given one is left alone."""
    settled = settle_name(parse_config({}, where="test"))
    assert settled.device.name.startswith("device-")
    assert settle_name(settled) is settled

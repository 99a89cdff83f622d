"""References and schemas say what the code says."""

from __future__ import annotations

import click
import pytest

from tests.references import REFERENCES, ROOT, ROOTS, commands


@pytest.mark.parametrize("file", list(REFERENCES))
def test_a_reference_is_fresh(file: str) -> None:
    """Run ``make docs`` when this fails."""
    assert (ROOT / file).read_text(encoding="utf-8") == REFERENCES[file]()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (full, command)
        for name, root in ROOTS.items()
        for full, command, _ in commands(root, name)
        if not isinstance(command, click.Group)
    ],
)
def test_every_command_gives_an_example(name: str, command: click.Command) -> None:
    """Help ends with a line that can be copied."""
    assert "Example:" in (command.help or ""), name

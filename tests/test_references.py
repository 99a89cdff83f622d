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


@pytest.mark.parametrize(
    ("name", "group", "context"),
    [
        (full, command, context)
        for name, root in ROOTS.items()
        for full, command, context in commands(root, name)
        if isinstance(command, click.Group)
    ],
)
def test_every_summary_fits_its_line(name: str, group: click.Group, context: click.Context) -> None:
    """On a terminal of 80 columns no summary in a list of commands is cut short."""
    below = {word: group.get_command(context, word) for word in group.list_commands(context)}
    shown = {word: one for word, one in below.items() if one is not None and not one.hidden}
    room = 78 - 6 - max(map(len, shown))
    cut = [word for word, one in shown.items() if one.get_short_help_str(room).endswith("...")]
    assert not cut, name


OPTIONS = [
    (full, option)
    for name, root in ROOTS.items()
    for full, command, _ in commands(root, name)
    for option in command.params
    if isinstance(option, click.Option) and not option.hidden
]


def test_an_option_is_called_the_same_everywhere() -> None:
    """What a command writes to is -o/--output; no name is a switch here and takes a value there."""
    kinds: dict[str, set[bool]] = {}
    for full, option in OPTIONS:
        assert ("-o" in option.opts) == ("--output" in option.opts), full
        assert not {"--out", "--write", "--mqtt-host", "--mqtt-port"} & set(option.opts), full
        for word in option.opts:
            kinds.setdefault(word, set()).add(option.is_flag)
    assert [word for word, found in kinds.items() if len(found) > 1] == []

"""Man pages and shell completion of a program, made from its commands."""

from __future__ import annotations

import gzip
import inspect
import os
import time
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXIT_STATUS: Final = {
    0: "Success.",
    1: "Something is wrong; the message says what.",
    2: "The command line cannot be understood.",
    66: "A file or model bundle is missing or unreadable.",
    69: "A service or library is not there.",
    73: "Something cannot be written.",
    74: "A camera cannot be opened or read.",
    78: "The configuration is wrong.",
}
"""Of every command; emoshift/errors.py has the whole tree."""
COMPLETIONS: Final = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/vendor-completions/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}
"""Where Debian's shells look for the completion of a program."""


def write_command_files(tree: Path, name: str, program: click.Command, version: str) -> None:
    """Put man pages and completion scripts of one program into the tree of a package.

    Args:
        tree: Root of the package's files.
        name: What the program is called on the command line.
        program: Its commands.
        version: Shown at the foot of each page.
    """
    date = time.strftime("%Y-%m-%d", time.gmtime(_source_date()))
    root = click.Context(program, info_name=name, **program.context_settings)
    for context in contexts(root):
        page = tree / "usr/share/man/man1" / f"{page_name(context)}.1.gz"
        page.parent.mkdir(parents=True, exist_ok=True)
        text = man_page(context, footer=f'"{date}" "emoshift {version}"')
        page.write_bytes(gzip.compress(text.encode(), mtime=0))
    for shell, place in COMPLETIONS.items():
        script = tree / place.format(name)
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(completion(shell, name, program))


def completion(shell: str, name: str, program: click.Command) -> str:
    """Click's script that completes a program's commands and options in a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"{shell}: not a shell that click completes for")
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    return f"{kind(program, {}, name, variable).source().strip()}\n"


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command and of every command below it that is shown."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            if found is not None and not found.hidden:
                yield from contexts(click.Context(found, info_name=word, parent=context))


def page_name(context: click.Context) -> str:
    """Name of a command's page: ``edge models list`` is described in ``edge-models-list(1)``."""
    return context.command_path.replace(" ", "-")


def man_page(context: click.Context, *, footer: str) -> str:
    """Write one command's page in the macros of man(7).

    Args:
        context: That of the command, in its parent's.
        footer: Date and version, as the page's head takes them.
    """
    command, name = context.command, page_name(context)
    usage = _escaped(" ".join(command.collect_usage_pieces(context)))
    lines = [
        f'.TH "{name.upper()}" "1" {footer} "emoshift manual"',
        ".nh",  # a command is copied from the page: no hyphens that do not belong to it
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(_summary(command))}",
        ".SH SYNOPSIS",
        f"\\fB{_escaped(context.command_path)}\\fR {usage}",
        ".SH DESCRIPTION",
        *_description(command.help or ""),
    ]
    options = [
        record
        for param in command.get_params(context)
        if (record := param.get_help_record(context)) is not None
    ]
    if options:
        lines.append(".SH OPTIONS")
        for names, meaning in options:
            lines += [".TP", f"\\fB{_escaped(names)}\\fR", _line(meaning)]
    below = [one for one in contexts(context) if one.parent is context]
    if below:
        lines.append(".SH COMMANDS")
        for one in below:
            lines += [".TP", f"\\fB{_escaped(page_name(one))}\\fR(1)", _line(_summary(one.command))]
    if context.parent is None:
        lines.append(".SH EXIT STATUS")
        for code, meaning in EXIT_STATUS.items():
            lines += [".TP", f"{code}", _line(meaning)]
    else:
        lines += [".SH SEE ALSO", f"\\fB{_escaped(page_name(context.parent))}\\fR(1)"]
    return "\n".join(lines) + "\n"


def _description(text: str) -> Iterator[str]:
    """Turn click's help into paragraphs; what it does not wrap stays as it is."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if paragraph.startswith("\b\n"):
            title, *rest = paragraph.removeprefix("\b\n").splitlines()
            examples = title.strip() == "Example:"
            yield ".SH EXAMPLES" if examples else _line(title)
            yield from (".nf", *(_line(line.removeprefix("  ")) for line in rest), ".fi")
            continue
        if number:
            yield ".PP"
        yield from (_line(line) for line in paragraph.splitlines())


def _summary(command: click.Command) -> str:
    return command.get_short_help_str(limit=200).rstrip(".")


def _line(text: str) -> str:
    """Escape a whole line: one that begins with a dot or quote would be a macro."""
    escaped = _escaped(" ".join(text.split("\n")))
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")


def _source_date() -> int:
    """Seconds since 1970 that built files are dated with, the same for every build of a commit."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

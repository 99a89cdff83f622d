"""Run every command of one program with arguments that cannot be right, and report what it said.

Run as ``python -m tests.support.command_trial PROGRAM FOLDER [--without MODULE ...]``: in a process
of its own, because a module that was imported cannot be missing any more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAMS = {
    "edge": "edge.cli",
    "edge-bench": "benchmarks.cli",
    "edge-dashboard": "dashboard.cli",
    "convert": "convert.cli",
    "train": "train.cli",
}
WRITTEN = ("out", "output", "cache", "json_path", "trace", "table", "runs", "library")
"""Parameters that name what a command writes."""
NOT_TRIED = {("init",), ("service", "install"), ("service", "remove")}
"""Commands that change the system they run on; tests of their own try them in another root."""
LONGEST_S = 4
"""A command that goes on for so long has found nothing wrong and is at work."""


class Missing(MetaPathFinder):
    """Makes modules look as if they were not installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        del path, target
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def filled(command: click.Command, folder: Path) -> dict[str, list[str]]:
    """A value for each parameter that must be given."""
    return {
        str(parameter.name): words(parameter, sample(parameter.type, folder))
        for parameter in command.params
        if parameter.required
    }


def words(parameter: click.Parameter, value: str) -> list[str]:
    """How a value is given on the command line."""
    return [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]


def sample(kind: click.ParamType, folder: Path) -> str:
    """A value of the right type that leads nowhere."""
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.Path):
        return str(folder / "missing")
    return "1" if isinstance(kind, click.types.IntParamType | click.types.FloatParamType) else "x"


def trials(command: click.Command, folder: Path) -> Iterator[list[str]]:
    """The argument lists to try: the least that is allowed, then each file named wrongly."""
    least = filled(command, folder)
    yield [word for value in least.values() for word in value]
    for parameter in command.params:
        if not isinstance(parameter.type, click.Path) or parameter.name in WRITTEN:
            continue
        for bad in sorted(folder.iterdir()):
            yield [
                word
                for value in {**least, str(parameter.name): words(parameter, str(bad))}.values()
                for word in value
            ]


def run(program: click.Group, call: list[str]) -> dict[str, Any]:
    """Run one command; how it ended and what it said."""
    # Again and again: Python drops an interrupt that hits a finaliser.
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S, LONGEST_S)
    try:
        result = CliRunner().invoke(program, call, prog_name="x")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    error = result.exception
    return {
        "call": call,
        "code": result.exit_code,
        "output": result.output[-2000:],
        "exception": None if error is None or isinstance(error, SystemExit) else repr(error),
    }


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Try what the command line says, one JSON object a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=sorted(PROGRAMS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    options = parser.parse_args()
    sys.path.insert(0, str(Path.cwd()))
    os.chdir(options.folder.parent)  # some commands write where they are
    sys.meta_path.insert(0, Missing(options.without))
    signal.signal(signal.SIGALRM, _stop)
    program = importlib.import_module(PROGRAMS[options.program]).main
    for path, command in commands(program):
        if path in NOT_TRIED:
            continue
        for arguments in trials(command, options.folder):
            sys.stdout.write(json.dumps(run(program, [*path, *arguments])) + "\n")


if __name__ == "__main__":
    main()

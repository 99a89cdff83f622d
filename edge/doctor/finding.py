"""One thing that was looked at, and the commands that cure it."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """A command that cures a fault.

    Attributes:
        command: The program and its arguments; ``edge`` stands for this program.
        safe: Whether ``--fix`` may run it: it deletes nothing and changes no person's decision.
        root: Whether root must run it.
    """

    command: tuple[str, ...]
    safe: bool = False
    root: bool = True

    def __str__(self) -> str:
        """Write it as it is typed."""
        sudo = ["sudo"] if self.root and os.geteuid() != 0 else []
        program = sys.argv[0] if os.path.basename(sys.argv[0]) == "edge" else "edge"  # noqa: PTH119
        words = [
            program if place == 0 and word == "edge" else word
            for place, word in enumerate(self.command)
        ]
        return shlex.join([*sudo, *words])

    def argv(self) -> list[str]:
        """Return it as it is run."""
        if self.command[0] == "edge":
            return [sys.executable, "-m", "edge", *self.command[1:]]
        return list(self.command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check.

    Attributes:
        what: What was looked at.
        good: Whether it holds.
        detail: What was found, and what to do where it does not hold; one line.
        cures: Commands that cure it, in their order.
    """

    what: str
    good: bool
    detail: str
    cures: tuple[Cure, ...] = ()


def edge(*words: str, safe: bool = False, root: bool = True) -> tuple[Cure, ...]:
    """Return a cure by this program itself."""
    return (Cure(command=("edge", *words), safe=safe, root=root),)


def by(*words: str, safe: bool = False, root: bool = True) -> tuple[Cure, ...]:
    """Return a cure by a program of the system."""
    return (Cure(command=words, safe=safe, root=root),)

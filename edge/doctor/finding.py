"""One thing that was looked at, and the commands that cure it."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from typing import Final

from edge.commands.service import SERVICES, TARGET, USER


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


FETCH_MODELS: Final = Cure(command=("edge", "assets", "fetch"), safe=True)
JOIN_VIDEO: Final = Cure(command=("usermod", "--append", "--groups", "video", USER), safe=True)
STATE_FOLDER: Final = "/var/lib/emoshift"
MAKE_STATE_FOLDER: Final = Cure(
    command=(
        *("install", "--directory", "--owner", USER, "--group", USER, "--mode", "0750"),
        STATE_FOLDER,
    ),
    safe=True,
)
CLEAN_PACKAGES: Final = Cure(command=("apt-get", "clean"), safe=True)
SET_CLOCK: Final = Cure(command=("timedatectl", "set-ntp", "true"), safe=True)
START_MOSQUITTO: Final = Cure(command=("systemctl", "enable", "--now", "mosquitto"), safe=True)
RESTART_VISION: Final = Cure(command=("systemctl", "restart", SERVICES[0]), safe=True)
START_SERVICES: Final = Cure(command=("systemctl", "enable", "--now", TARGET, *SERVICES), safe=True)
ENABLE_SERVICES: Final = Cure(command=("systemctl", "enable", TARGET, *SERVICES), safe=True)

SAFE_CURES: Final = frozenset(
    {
        *(FETCH_MODELS, JOIN_VIDEO, MAKE_STATE_FOLDER, CLEAN_PACKAGES, SET_CLOCK),
        *(START_MOSQUITTO, RESTART_VISION, START_SERVICES, ENABLE_SERVICES),
    }
)
"""All that root runs on the word of a process of the services' user: whoever has taken that process
over must not gain root by it."""


def edge(*words: str) -> tuple[Cure, ...]:
    """Return a cure by this program itself, which a person has to run."""
    return (Cure(command=("edge", *words)),)


def by(*words: str, root: bool = True) -> tuple[Cure, ...]:
    """Return a cure by a program of the system, which a person has to run."""
    return (Cure(command=words, root=root),)

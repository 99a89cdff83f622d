"""What ``edge doctor --json`` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReportedCure(_Part):
    """A command that cures a fault.

    Attributes:
        command: As it is typed into a shell.
        safe: Whether ``--fix`` runs it.
    """

    command: str
    safe: bool


class Check(_Part):
    """One thing that was looked at.

    Attributes:
        check: Its name, such as ``camera``.
        good: Whether it holds.
        detail: What was found, one line for people; its wording may change.
        cures: Commands that cure it, in their order; empty where all is well, or where no command
            helps.
    """

    check: str
    good: bool
    detail: str
    cures: tuple[ReportedCure, ...] = ()


class Fix(_Part):
    """A command that ``--fix`` has run.

    Attributes:
        command: As it would be typed.
        good: Whether it succeeded.
        detail: Its last line, empty where it said nothing.
    """

    command: str
    good: bool
    detail: str


class DoctorReport(_Part):
    """Everything the doctor found.

    Attributes:
        schema_: Names the form and its version; keys are added within a version, never changed.
        software: Version of this program.
        user: As whom it looked: the service's user, or whoever ran it.
        good: Whether every check holds.
        checks: Every check, in the order in which they were made; after the fixes, if any.
        fixes: What ``--fix`` has done.
    """

    schema_: Literal["emoshift.doctor/1"] = Field(default="emoshift.doctor/1", alias="schema")
    software: str
    user: str
    good: bool
    checks: tuple[Check, ...]
    fixes: tuple[Fix, ...] = ()

"""The audit log: who signed in, saw, took away or changed what, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select

from dashboard.store import schema as t
from emoshift.logs import printable

if TYPE_CHECKING:
    from sqlalchemy import Engine

COMMAND_LINE: Final = "command line"
"""The account under which commands on the server are logged."""


class Action(StrEnum):
    """What was done."""

    SIGN_IN = "signed in"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - a word for the log
    SIGN_OUT = "signed out"
    VIEW = "viewed"
    EXPORT = "exported"
    REFUSED = "refused"
    LESSON = "lesson"
    CHANGE = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log.

    Attributes:
        at_ms: When, milliseconds since 1970.
        account: Who.
        address: From where.
        action: What was done, see `Action`.
        target: To what.
    """

    at_ms: int
    account: str
    address: str
    action: str
    target: str


class AuditLog:
    """The log of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, entry: Entry) -> None:
        """Add one line."""
        values = {
            "at_ms": entry.at_ms,
            "account": entry.account[:64],
            "address": entry.address[:64],
            "action": str(entry.action),
            "target": printable(entry.target)[:200],
        }
        with self._engine.begin() as connection:
            connection.execute(insert(t.AUDIT).values(**values))

    def read(self, *, limit: int, account: str | None = None) -> list[Entry]:
        """Return the newest lines, newest first, of one account or of all."""
        wanted = select(t.AUDIT).order_by(t.AUDIT.c.at_ms.desc(), t.AUDIT.c.id.desc()).limit(limit)
        if account is not None:
            wanted = wanted.where(t.AUDIT.c.account == account)
        with self._engine.connect().execution_options(reads_only=True) as connection:
            return [
                Entry(
                    at_ms=row.at_ms,
                    account=row.account,
                    address=row.address,
                    action=row.action,
                    target=row.target,
                )
                for row in connection.execute(wanted)
            ]

    def forget(self, *, before_ms: int) -> int:
        """Delete what is older and return how many lines that were."""
        with self._engine.begin() as connection:
            old = delete(t.AUDIT).where(t.AUDIT.c.at_ms < before_ms)
            return connection.execute(old).rowcount

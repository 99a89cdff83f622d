"""Accounts, sessions and lesson marks."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, insert, select, update

from dashboard.errors import UsageError
from dashboard.store import schema as t

if TYPE_CHECKING:
    from sqlalchemy import Engine

IDLE_MS: Final = 60 * 60 * 1000
LONGEST_MS: Final = 12 * 60 * 60 * 1000
MIN_PASSWORD: Final = 10
_TOUCH_MS: Final = 60_000
_HASHER: Final = PasswordHasher()
# Verified when the name is unknown, so that the answer takes as long as for a known one.
_NOBODY: Final = _HASHER.hash(secrets.token_urlsafe(16))


class Role(StrEnum):
    """What a person may see: aggregates, or devices as well."""

    VIEWER = "viewer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's account, without the password."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser.

    Attributes:
        account: Whose it is.
        csrf: What every form it sends must carry.
    """

    account: Account
    csrf: str


class People:
    """Accounts and sessions of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, name: str, password: str, role: Role) -> None:
        """Make an account, or change its password and role; its sessions end.

        Raises:
            UsageError: The name or the password will not do.
        """
        if not 1 <= len(name) <= 64 or not name.isprintable() or name != name.strip():
            raise UsageError(f"account: found {name!r}, expected 1 to 64 printable characters")
        if len(password) < MIN_PASSWORD:
            raise UsageError(
                f"password: {len(password)} characters, expected at least {MIN_PASSWORD}"
            )
        hashed = _HASHER.hash(password)
        with self._engine.begin() as connection:
            connection.execute(delete(t.SESSION).where(t.SESSION.c.account == name))
            changed = connection.execute(
                update(t.ACCOUNT)
                .where(t.ACCOUNT.c.name == name)
                .values(password=hashed, role=role.value, disabled=False)
            )
            if changed.rowcount == 0:
                connection.execute(
                    insert(t.ACCOUNT).values(
                        name=name, password=hashed, role=role.value, disabled=False
                    )
                )

    def remove(self, name: str) -> bool:
        """Remove an account and its sessions; tell whether there was one."""
        with self._engine.begin() as connection:
            connection.execute(delete(t.SESSION).where(t.SESSION.c.account == name))
            gone = connection.execute(delete(t.ACCOUNT).where(t.ACCOUNT.c.name == name))
            return gone.rowcount > 0

    def accounts(self) -> list[Account]:
        """Return every account, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(t.ACCOUNT).order_by(t.ACCOUNT.c.name))
            return [Account(name=row.name, role=Role(row.role)) for row in rows]

    def check(self, name: str, password: str) -> Account | None:
        """Return the account whose name and password these are."""
        with self._engine.connect() as connection:
            row = connection.execute(select(t.ACCOUNT).where(t.ACCOUNT.c.name == name)).first()
        try:
            _HASHER.verify(_NOBODY if row is None else row.password, password)
        except (VerifyMismatchError, InvalidHashError):
            return None
        if row is None or row.disabled:
            return None
        return Account(name=row.name, role=Role(row.role))

    def begin_session(self, account: Account, *, now_ms: int) -> str:
        """Open a session and return its secret; only a digest of it is stored."""
        secret = secrets.token_urlsafe(32)
        with self._engine.begin() as connection:
            connection.execute(
                delete(t.SESSION).where(
                    (t.SESSION.c.seen_ms < now_ms - IDLE_MS)
                    | (t.SESSION.c.created_ms < now_ms - LONGEST_MS)
                )
            )
            connection.execute(
                insert(t.SESSION).values(
                    token=_digest(secret),
                    account=account.name,
                    csrf=secrets.token_urlsafe(24),
                    created_ms=now_ms,
                    seen_ms=now_ms,
                )
            )
        return secret

    def session(self, secret: str, *, now_ms: int) -> Session | None:
        """Return the session of a secret, unless it has expired."""
        token = _digest(secret)
        wanted = (
            select(t.SESSION, t.ACCOUNT.c.role)
            .join(t.ACCOUNT, t.ACCOUNT.c.name == t.SESSION.c.account)
            .where(t.SESSION.c.token == token, ~t.ACCOUNT.c.disabled)
        )
        with self._engine.connect() as connection:
            row = connection.execute(wanted).first()
        if row is None or row.seen_ms < now_ms - IDLE_MS or row.created_ms < now_ms - LONGEST_MS:
            return None
        if row.seen_ms < now_ms - _TOUCH_MS:
            with self._engine.begin() as connection:
                connection.execute(
                    update(t.SESSION).where(t.SESSION.c.token == token).values(seen_ms=now_ms)
                )
        return Session(account=Account(name=row.account, role=Role(row.role)), csrf=row.csrf)

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(t.SESSION).where(t.SESSION.c.token == _digest(secret)))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

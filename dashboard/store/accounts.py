"""Accounts, what each may see, sessions, and browsers that have signed in before."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, insert, select, update

from dashboard.store import schema as t
from emoshift.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine

    from emoshift.topics import Address

IDLE_MS: Final = 60 * 60 * 1000
LONGEST_MS: Final = 12 * 60 * 60 * 1000
MIN_PASSWORD: Final = 10
KNOWN_BROWSER_MS: Final = 180 * 24 * 3600 * 1000
"""How long a browser is remembered that has signed in."""

_KNOWN_BROWSERS: Final = 20
"""Of one account; the one not seen for longest is forgotten for a new one."""

_TOUCH_MS: Final = 60_000
_SEGMENT: Final = "[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"
_PLACE: Final = re.compile(rf"\*|{_SEGMENT}/(?:\*|{_SEGMENT})")
_GROUP: Final = re.compile(_SEGMENT)
_HASHER: Final = PasswordHasher()
# Verified when the name is unknown, so that the answer takes as long as for a known one.
_NOBODY: Final = _HASHER.hash(secrets.token_urlsafe(16))


class Role(StrEnum):
    """What a person may see: aggregates, or devices as well."""

    VIEWER = "viewer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's account, without the password.

    Attributes:
        name, role: Who it is, and what kind of account.
        places: Classes a viewer may see: ``site/device``, ``site/*`` or ``*``; groups are resolved.
            An admin sees all.
    """

    name: str
    role: Role
    places: frozenset[str] = frozenset()

    def may_see(self, address: Address) -> bool:
        """Whether this person may see a class."""
        if self.role is Role.ADMIN:
            return True
        return not self.places.isdisjoint({"*", f"{address.site}/*", str(address)})


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

    def _read(self) -> Connection:
        return self._engine.connect().execution_options(reads_only=True)

    def put(
        self, name: str, password: str, role: Role, *, places: Iterable[str] | None = None
    ) -> None:
        """Make an account, or change its password and role; its sessions end.

        Args:
            name: Whose.
            password: At least `MIN_PASSWORD` characters.
            role: What kind of account.
            places: What a viewer may see, see `allow`; ``None`` leaves it as it is.

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
            connection.execute(delete(t.KNOWN_BROWSER).where(t.KNOWN_BROWSER.c.account == name))
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
            if places is not None:
                _set_places(connection, name, places)

    def allow(self, name: str, places: Iterable[str]) -> None:
        """Say anew what a viewer may see; it holds from the next request on.

        Args:
            name: The account.
            places: ``site/device``, all of a site (``site/*``), everything (``*``) or a group
                (``@name``).

        Raises:
            UsageError: There is no such account or group, or a place is none.
        """
        with self._engine.begin() as connection:
            known = connection.execute(select(t.ACCOUNT.c.name).where(t.ACCOUNT.c.name == name))
            if known.first() is None:
                raise UsageError(f"{name}: no such account")
            _set_places(connection, name, places)

    def places(self, name: str) -> list[str]:
        """Return what was given to a viewer, groups by their names."""
        wanted = select(t.ACCESS.c.place).where(t.ACCESS.c.account == name)
        with self._read() as connection:
            return sorted(connection.execute(wanted).scalars())

    def put_group(self, name: str, places: Iterable[str]) -> None:
        """Make a group of classes, or say anew what is in it; an empty one is removed.

        Raises:
            UsageError: The name or a place is none.
        """
        wanted = sorted(set(places))
        if not _GROUP.fullmatch(name):
            raise UsageError(f"group: found {name!r}, expected lowercase letters, digits, hyphens")
        for place in wanted:
            _check_place(place)
        with self._engine.begin() as connection:
            connection.execute(delete(t.CLASS_GROUP).where(t.CLASS_GROUP.c.name == name))
            if wanted:
                rows = [{"name": name, "place": place} for place in wanted]
                connection.execute(insert(t.CLASS_GROUP), rows)
            else:
                connection.execute(delete(t.ACCESS).where(t.ACCESS.c.place == f"@{name}"))

    def groups(self) -> dict[str, list[str]]:
        """Return every group of classes and what is in it."""
        found: dict[str, list[str]] = {}
        wanted = select(t.CLASS_GROUP).order_by(t.CLASS_GROUP.c.name, t.CLASS_GROUP.c.place)
        with self._read() as connection:
            for row in connection.execute(wanted):
                found.setdefault(row.name, []).append(row.place)
        return found

    def remove(self, name: str) -> bool:
        """Remove an account and all that belongs to it; returns whether there was one."""
        with self._engine.begin() as connection:
            for table in (t.SESSION, t.KNOWN_BROWSER, t.ACCESS):
                connection.execute(delete(table).where(table.c.account == name))
            gone = connection.execute(delete(t.ACCOUNT).where(t.ACCOUNT.c.name == name))
            return gone.rowcount > 0

    def accounts(self) -> list[Account]:
        """Return every account, by name."""
        with self._read() as connection:
            rows = connection.execute(select(t.ACCOUNT).order_by(t.ACCOUNT.c.name))
            return [Account(name=row.name, role=Role(row.role)) for row in rows]

    def check(self, name: str, password: str) -> Account | None:
        """Return the account whose name and password these are."""
        with self._read() as connection:
            row = connection.execute(select(t.ACCOUNT).where(t.ACCOUNT.c.name == name)).first()
        try:
            _HASHER.verify(_NOBODY if row is None else row.password, password)
        except (VerifyMismatchError, InvalidHashError):
            return None
        if row is None or row.disabled:
            return None
        return Account(name=row.name, role=Role(row.role))

    def knows_browser(self, name: str, secret: str, *, now_ms: int) -> bool:
        """Whether a browser that has this secret has signed in to this account before."""
        wanted = select(t.KNOWN_BROWSER.c.seen_ms).where(
            t.KNOWN_BROWSER.c.token == _digest(secret), t.KNOWN_BROWSER.c.account == name
        )
        with self._read() as connection:
            seen_ms = connection.execute(wanted).scalar()
        return seen_ms is not None and seen_ms > now_ms - KNOWN_BROWSER_MS

    def remember_browser(self, name: str, *, now_ms: int) -> str:
        """Remember a browser that has just signed in and return its secret."""
        secret = secrets.token_urlsafe(32)
        table = t.KNOWN_BROWSER
        with self._engine.begin() as connection:
            connection.execute(
                insert(table).values(token=_digest(secret), account=name, seen_ms=now_ms)
            )
            newest = select(table.c.token).where(table.c.account == name)
            kept = connection.execute(
                newest.order_by(table.c.seen_ms.desc()).limit(_KNOWN_BROWSERS)
            ).scalars()
            connection.execute(
                delete(table).where(table.c.account == name, table.c.token.not_in(list(kept)))
            )
        return secret

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
        with self._read() as connection:
            row = connection.execute(wanted).first()
            places = frozenset() if row is None else _resolve_places(connection, row.account)
        if row is None or row.seen_ms < now_ms - IDLE_MS:
            return None
        if abs(now_ms - row.created_ms) > LONGEST_MS:  # a clock that was ahead lengthens none
            return None
        if row.seen_ms < now_ms - _TOUCH_MS:
            with self._engine.begin() as connection:
                connection.execute(
                    update(t.SESSION).where(t.SESSION.c.token == token).values(seen_ms=now_ms)
                )
        account = Account(name=row.account, role=Role(row.role), places=places)
        return Session(account=account, csrf=row.csrf)

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(t.SESSION).where(t.SESSION.c.token == _digest(secret)))


def _check_place(place: str) -> None:
    if not _PLACE.fullmatch(place):
        raise UsageError(f"class: found {place!r}, expected site/device, site/* or * (all classes)")


def _set_places(connection: Connection, name: str, places: Iterable[str]) -> None:
    wanted = sorted(set(places))
    groups = {place[1:] for place in wanted if place.startswith("@")}
    for place in wanted:
        if not place.startswith("@"):
            _check_place(place)
    known = set(connection.execute(select(t.CLASS_GROUP.c.name).distinct()).scalars())
    if missing := sorted(groups - known):
        raise UsageError(f"@{missing[0]}: no such group; run: edge-dashboard groups set")
    connection.execute(delete(t.ACCESS).where(t.ACCESS.c.account == name))
    if wanted:
        rows = [{"account": name, "place": place} for place in wanted]
        connection.execute(insert(t.ACCESS), rows)


def _resolve_places(connection: Connection, name: str) -> frozenset[str]:
    given = set(
        connection.execute(select(t.ACCESS.c.place).where(t.ACCESS.c.account == name)).scalars()
    )
    groups = [place[1:] for place in given if place.startswith("@")]
    if groups:
        wanted = select(t.CLASS_GROUP.c.place).where(t.CLASS_GROUP.c.name.in_(groups))
        given.update(connection.execute(wanted).scalars())
    return frozenset(place for place in given if not place.startswith("@"))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

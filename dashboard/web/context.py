"""What every request handler needs, and who is asking."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from anyio import to_thread
from sqlalchemy.exc import DatabaseError
from starlette.responses import RedirectResponse

from dashboard.i18n import choose_language
from dashboard.store.accounts import People, Role, Session
from dashboard.web.rate_limit import Throttle
from emoshift.topics import Address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Engine
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.config import Config
    from dashboard.live.hub import Hub
    from dashboard.store.read import Archive

LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")

COOKIE: Final = "emoshift_session"


@dataclass(slots=True, kw_only=True)
class Condition:
    """Whether the database answers and a worker stores, as last looked."""

    database: bool = True
    worker: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The application's parts.

    Attributes:
        config: The settings.
        engine: The database.
        hub: What is true now.
        archive, people: Readers of the database.
        throttle: The login rate limit.
        condition: What was last seen of the database and the workers.
    """

    config: Config
    engine: Engine
    hub: Hub
    archive: Archive
    people: People
    throttle: Throttle = field(default_factory=Throttle)
    condition: Condition = field(default_factory=Condition)

    def hub_condition(self) -> dict[str, bool]:
        """Tell what works, for the pages' banner."""
        return {
            "broker": self.hub.connected,
            "database": self.condition.database,
            "worker": self.condition.worker,
        }


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is answered with an error page.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def now_ms() -> int:
    """Return the time, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def context_of(request: Request) -> Context:
    """Return the application's parts."""
    context: Context = request.app.state.context
    return context


def language_of(request: Request) -> str:
    """Return the viewer's language."""
    cookie = request.cookies.get("emoshift_language")
    return choose_language(cookie, request.headers.get("accept-language", ""))


def client_of(request: Request) -> str:
    """Return the address the request came from."""
    return request.client.host if request.client is not None else "unknown"


def address_of(request: Request) -> Address:
    """Return the device named in the path."""
    return Address(request.path_params["site"], request.path_params["device"])


async def session_of(request: Request) -> Session | None:
    """Return the session of the browser that asks; expired ones are none."""
    secret = request.cookies.get(COOKIE)
    if not secret or len(secret) > 128:
        return None
    people = context_of(request).people
    return await ask(lambda: people.session(secret, now_ms=now_ms()))


def signed_in(
    *, role: Role = Role.VIEWER
) -> Callable[[Callable[[Request], Awaitable[Any]]], Callable[[Request], Awaitable[Any]]]:
    """Let a handler be reached by people of a role alone; others are refused, and logged."""

    def wrap(
        handler: Callable[[Request], Awaitable[Any]],
    ) -> Callable[[Request], Awaitable[Any]]:
        @wraps(handler)
        async def guarded(request: Request) -> Response:
            session = await session_of(request)
            if session is None:
                if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                    return RedirectResponse(f"/login?next={request.url.path}", status_code=303)
                LOG.warning("refused: no session: %s from %s", request.url.path, client_of(request))
                raise Refused(401)
            request.state.session = session
            if role is Role.ADMIN and session.account.role is not Role.ADMIN:
                name, path, where = session.account.name, request.url.path, client_of(request)
                LOG.warning("refused: %r is no admin: %s from %s", name, path, where)
                raise Refused(403)
            answer: Response = await handler(request)
            return answer

        return guarded

    return wrap


async def ask(call: Callable[[], T]) -> T:
    """Run a database call on a thread.

    Raises:
        Refused: With status 503, where the database is away.
    """
    try:
        return await to_thread.run_sync(call)
    except DatabaseError as why:
        LOG.warning("database: away: %s", why.orig)
        raise Refused(503) from why

"""What every request handler needs, and who is asking."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from anyio import to_thread
from starlette.responses import RedirectResponse

from dashboard.i18n import choose_language
from dashboard.live.state import required_faces
from dashboard.store.accounts import Account, People, Role, Session
from dashboard.store.audit import Action, AuditLog, Entry
from dashboard.store.database import NO_ANSWER
from dashboard.store.windows import release_windows
from dashboard.web.rate_limit import HashQueue, Throttle
from emoshift.topics import read_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Engine
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.config import Config
    from dashboard.live.hub import Hub
    from dashboard.store.read import Archive
    from emoshift.topics import Address

LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")

COOKIE: Final = "emoshift_session"
_VIEW_AGAIN_S: Final = 600.0
_VIEWS: Final = 10_000


@dataclass(slots=True, kw_only=True)
class ServerCondition:
    """What works, as last looked.

    Attributes:
        database: Whether the database answers.
        worker: Whether a worker stores, or has nothing to store.
        workers: Per worker how it is doing.
        registry: The version of the device registry that the pages show; 0 before the first look.
    """

    database: bool = True
    worker: bool = True
    workers: tuple[WorkerCondition, ...] = ()
    registry: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCondition:
    """One worker, as last looked.

    Attributes:
        name: Its name.
        state: ``storing``, ``stalled`` (the database takes nothing), ``offline`` (no broker),
            ``silent`` or ``stopped``.
        committed_s: How long ago its last commit was; ``None`` for none since its start.
        lag_s: How long the oldest message of that commit had waited.
        waiting: Messages received and not stored yet.
    """

    name: str
    state: str
    committed_s: float | None
    lag_s: float
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The application's parts.

    Attributes:
        config: The settings.
        engine: The database.
        hub: What is true now.
        archive, people: Readers of the database.
        windows: The history as most viewers see it: windows of time alone.
        audit: The audit log.
        throttle: The login rate limit.
        hashing, known_hashing: Bounded password hashing: of anybody, and of browsers that have
            signed in before, which so wait for no stranger.
        viewed: Which session viewed what last, and when (monotonic seconds).
        condition: What was last seen of the database and the workers.
    """

    config: Config
    engine: Engine
    hub: Hub
    archive: Archive
    windows: Archive
    people: People
    audit: AuditLog
    throttle: Throttle = field(default_factory=Throttle)
    hashing: HashQueue = field(default_factory=lambda: HashQueue(at_once=2, waiting=16))
    known_hashing: HashQueue = field(default_factory=lambda: HashQueue(at_once=1, waiting=4))
    viewed: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)
    condition: ServerCondition = field(default_factory=ServerCondition)

    def archive_of(self, account: Account) -> Archive:
        """Return the history of classes as somebody may see it."""
        moments = account.role is Role.ADMIN or self.config.web.viewers_see == "moments"
        return self.archive if moments else self.windows

    def release_windows(self, device: int, address: Address) -> None:
        """Write down what viewers see of a class by now."""
        state = self.hub.devices[address]
        release_windows(
            self.engine,
            device,
            now_ms=now_ms(),
            min_faces=required_faces(state, self.config.web.min_faces),
        )

    def hub_condition(self) -> dict[str, bool]:
        """Return what works, for the pages' banner."""
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
    """Return the device named in the path.

    Raises:
        Refused: With status 404, where no device can have this name.
    """
    address = read_address("{site}/{device}".format(**request.path_params))
    if address is None:
        raise Refused(404)
    return address


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
                await record(request, Action.REFUSED, path)
                raise Refused(403)
            answer: Response = await handler(request)
            return answer

        return guarded

    return wrap


async def class_of(request: Request) -> Address:
    """Return the class named in the path, once the viewer may see it; the view is logged.

    Raises:
        Refused: With status 404, as for a class that does not exist.
    """
    address = address_of(request)
    if not request.state.session.account.may_see(address):
        name, path, where = request.state.session.account.name, request.url.path, client_of(request)
        LOG.warning("refused: %r may not see this class: %s from %s", name, path, where)
        await record(request, Action.REFUSED, path)
        raise Refused(404)
    await record_view(request, f"class {address}")
    return address


async def record(
    request: Request, action: Action, target: str, *, account: str | None = None
) -> None:
    """Write a line into the audit log.

    Args:
        request: Who does it, and from where.
        action: What is done.
        target: To what.
        account: Whose account, where nobody has signed in.
    """
    name = request.state.session.account.name if account is None else account
    entry = Entry(
        at_ms=now_ms(), account=name, address=client_of(request), action=action, target=target
    )
    await ask(lambda: context_of(request).audit.write(entry))


async def record_view(request: Request, target: str) -> None:
    """Write that something is viewed, once in ten minutes for a session: pages ask again often."""
    viewed = context_of(request).viewed
    key = (request.state.session.csrf, target)
    moment_s = time.monotonic()
    if moment_s - viewed.get(key, -_VIEW_AGAIN_S) < _VIEW_AGAIN_S:
        return
    viewed[key] = moment_s
    viewed.move_to_end(key)
    if len(viewed) > _VIEWS:
        viewed.popitem(last=False)
    await record(request, Action.VIEW, target)


async def ask(call: Callable[[], T]) -> T:
    """Run a database call on a thread.

    Raises:
        Refused: With status 503, where the database is away.
    """
    try:
        return await to_thread.run_sync(call)
    except NO_ANSWER as why:
        LOG.warning("database: away: %s", getattr(why, "orig", why))
        raise Refused(503) from why

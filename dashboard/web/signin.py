"""Signing in and out, and what a viewer prefers."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from dashboard.i18n import LANGUAGES
from dashboard.store.accounts import KNOWN_BROWSER_MS, LONGEST_MS
from dashboard.store.audit import Action
from dashboard.store.database import NO_ANSWER
from dashboard.web.context import (
    COOKIE,
    Refused,
    ask,
    client_of,
    context_of,
    now_ms,
    record,
    session_of,
    signed_in,
)
from dashboard.web.rate_limit import BusyError, login_keys
from dashboard.web.render import render

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

LOG: Final = logging.getLogger(__name__)
_LOGIN_COOKIE: Final = "emoshift_login"
_BROWSER_COOKIE: Final = "emoshift_browser"
_THEMES: Final = ("auto", "light", "dark")


def same_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _read_form(request: Request) -> FormData:
    """Return the form; no browser sends a zero byte or half a character."""
    form = await request.form(max_files=0, max_fields=20)
    for value in form.values():
        if isinstance(value, str) and not _can_be_stored(value):
            raise Refused(400)
    return form


def _can_be_stored(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


async def form_of(request: Request, token: str) -> FormData:
    """Return the form, once it has proved to come from our own page.

    Raises:
        Refused: With status 403, where it has not; 400 for text that cannot be stored.
    """
    form = await _read_form(request)
    sent = str(form.get("csrf", "")).encode()
    proven = token and hmac.compare_digest(sent, token.encode())
    if not proven or not same_origin(request):
        LOG.warning("refused: forged form: %s from %s", request.url.path, client_of(request))
        raise Refused(403)
    return form


def _safe_target(wanted: object) -> str:
    """Return a path of ours, whatever was asked for."""
    if isinstance(wanted, str) and wanted.startswith("/") and not wanted.startswith(("//", "/\\")):
        return wanted
    return "/"


async def login_page(request: Request) -> Response:
    """Show the form."""
    if await session_of(request) is not None:
        return RedirectResponse("/", status_code=303)
    return _login_form(request, problem=None, status=200)


def _login_form(request: Request, *, problem: str | None, status: int, wait_s: int = 0) -> Response:
    token = request.cookies.get(_LOGIN_COOKIE) or secrets.token_urlsafe(24)
    answer = render(
        request,
        "login.html",
        status=status,
        token=token,
        problem=problem,
        wait_s=wait_s,
        target=_safe_target(request.query_params.get("next")),
    )
    _set_cookie(request, answer, _LOGIN_COOKIE, token, age_s=3600)
    return answer


async def login(request: Request) -> Response:
    """Check a name and a password; the try is counted before anything is hashed."""
    context = context_of(request)
    form = await form_of(request, request.cookies.get(_LOGIN_COOKIE, ""))
    name, password = str(form.get("name", ""))[:64], str(form.get("password", ""))[:1024]
    browser = await _known_browser(request, name)
    keys = login_keys(client_of(request), name, browser)
    if wait_s := context.throttle.begin(*keys, now_s=time.monotonic()):
        LOG.warning("login: %r from %s: too many tries", name, client_of(request))
        return _login_form(request, problem="wait", status=429, wait_s=round(wait_s) + 1)
    hashing = context.hashing if browser is None else context.known_hashing
    try:
        account = await hashing.run(lambda: context.people.check(name, password))
    except BusyError:
        LOG.warning("login: too many at once; refused %r from %s", name, client_of(request))
        return _login_form(request, problem="busy", status=503)
    except NO_ANSWER as why:
        raise Refused(503) from why
    if account is None:
        LOG.warning("login: %r from %s: refused", name, client_of(request))
        await record(request, Action.WRONG_PASSWORD, "", account=name)
        return _login_form(request, problem="wrong", status=401)
    context.throttle.succeed(*keys)
    secret = await ask(lambda: context.people.begin_session(account, now_ms=now_ms()))
    LOG.info("login: %r from %s", name, client_of(request))
    await record(request, Action.SIGN_IN, "", account=name)
    answer = RedirectResponse(_safe_target(form.get("next")), status_code=303)
    _set_cookie(request, answer, COOKIE, secret, age_s=LONGEST_MS // 1000)
    if browser is None:
        known = await ask(lambda: context.people.remember_browser(name, now_ms=now_ms()))
        _set_cookie(request, answer, _BROWSER_COOKIE, known, age_s=KNOWN_BROWSER_MS // 1000)
    answer.delete_cookie(_LOGIN_COOKIE, path="/")
    return answer


async def _known_browser(request: Request, name: str) -> str | None:
    """Return what to count the tries of a browser by that has signed in to this account before."""
    secret = request.cookies.get(_BROWSER_COOKIE, "")
    if not secret or len(secret) > 128:
        return None
    people = context_of(request).people
    known = await ask(lambda: people.knows_browser(name, secret, now_ms=now_ms()))
    return hashlib.sha256(f"{secret} {name}".encode()).hexdigest() if known else None


@signed_in()
async def logout(request: Request) -> Response:
    """End the session."""
    await form_of(request, request.state.session.csrf)
    secret = request.cookies.get(COOKIE, "")
    await ask(lambda: context_of(request).people.end_session(secret))
    await record(request, Action.SIGN_OUT, "")
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


async def prefer(request: Request) -> Response:
    """Remember the viewer's language and theme; that needs no account."""
    if not same_origin(request):
        raise Refused(403)
    form = await _read_form(request)
    answer = RedirectResponse(_safe_target(form.get("back")), status_code=303)
    if (language := form.get("language")) in LANGUAGES:
        _set_cookie(request, answer, "emoshift_language", str(language), age_s=31_536_000)
    if (theme := form.get("theme")) in _THEMES:
        _set_cookie(request, answer, "emoshift_theme", str(theme), age_s=31_536_000)
    return answer


def _set_cookie(request: Request, answer: Response, name: str, value: str, *, age_s: int) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=age_s,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict" if name in {COOKIE, _BROWSER_COOKIE} else "lax",
    )

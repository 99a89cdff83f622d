"""Signing in and out, and what a viewer prefers."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from dashboard.i18n import LANGUAGES
from dashboard.store.accounts import LONGEST_MS
from dashboard.web.context import (
    COOKIE,
    Refused,
    ask,
    client_of,
    context_of,
    now_ms,
    session_of,
    signed_in,
)
from dashboard.web.render import render

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

LOG: Final = logging.getLogger(__name__)
_LOGIN_COOKIE: Final = "emoshift_login"
_THEMES: Final = ("auto", "light", "dark")


def same_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def form_of(request: Request, token: str) -> FormData:
    """Return the form, once it has proved to come from our own page.

    Raises:
        Refused: With status 403, where it has not.
    """
    form = await request.form(max_files=0, max_fields=20)
    sent = form.get("csrf")
    proven = isinstance(sent, str) and token and hmac.compare_digest(sent, token)
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
    """Check a name and a password."""
    context = context_of(request)
    form = await form_of(request, request.cookies.get(_LOGIN_COOKIE, ""))
    name, password = str(form.get("name", ""))[:64], str(form.get("password", ""))[:1024]
    keys = (f"from {client_of(request)}", f"as {name}")
    if wait_s := context.throttle.wait_s(*keys, now_s=time.monotonic()):
        LOG.warning("login: %r from %s: too many tries", name, client_of(request))
        return _login_form(request, problem="wait", status=429, wait_s=round(wait_s) + 1)
    account = await ask(lambda: context.people.check(name, password))
    if account is None:
        context.throttle.fail(*keys, now_s=time.monotonic())
        LOG.warning("login: %r from %s: refused", name, client_of(request))
        return _login_form(request, problem="wrong", status=401)
    context.throttle.forgive(*keys)
    secret = await ask(lambda: context.people.begin_session(account, now_ms=now_ms()))
    LOG.info("login: %r from %s", name, client_of(request))
    answer = RedirectResponse(_safe_target(form.get("next")), status_code=303)
    _set_cookie(request, answer, COOKIE, secret, age_s=LONGEST_MS // 1000)
    answer.delete_cookie(_LOGIN_COOKIE, path="/")
    return answer


@signed_in()
async def logout(request: Request) -> Response:
    """End the session."""
    await form_of(request, request.state.session.csrf)
    secret = request.cookies.get(COOKIE, "")
    await ask(lambda: context_of(request).people.end_session(secret))
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


async def prefer(request: Request) -> Response:
    """Remember the viewer's language and theme; that needs no account."""
    if not same_origin(request):
        raise Refused(403)
    form = await request.form(max_files=0, max_fields=20)
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
        samesite="lax" if name != COOKIE else "strict",
    )

"""Templates in the viewer's language, with nothing inline that a strict policy would refuse."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from babel.numbers import format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboard import charts
from dashboard.i18n import LANGUAGES, catalogue
from dashboard.live.state import tells_single_faces
from dashboard.store.accounts import Role
from dashboard.web.context import context_of, language_of
from dashboard.web.strings import script_words, state_names
from emoshift.emotions import STATES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

CHARTS_ADDRESS: Final = f"/charts.js?v={str(charts.CHARTS.sha256)[:12]}"
STATIC: Final = Path(str(resources.files("dashboard.web").joinpath("static")))


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("dashboard.web"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = catalogue(language)
    environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        asset=asset,
        charts_address=CHARTS_ADDRESS,
        languages=LANGUAGES,
        states=STATES,
        state_names=state_names(words),
        Role=Role,
    )
    environment.filters["iso"] = _iso
    environment.filters["number"] = partial(format_decimal, locale=language)
    environment.filters["data"] = data_block
    return environment


@cache
def asset(name: str) -> str:
    """Return the address of a static file, which changes when the file does."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def data_block(value: object) -> Markup:
    """Write JSON for a data block of a page, with nothing in it that could end the block."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - escaped just here


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Render a page for whoever asks."""
    language = language_of(request)
    words = catalogue(language)
    theme = request.cookies.get("emoshift_theme", "auto")
    page = _environment(language).get_template(template)
    context, session = context_of(request), getattr(request.state, "session", None)
    devices = context.hub.devices.values()
    windows = session is not None and context.archive_of(session.account).windows
    values.setdefault(
        "single_faces", not windows and any(tells_single_faces(state) for state in devices)
    )
    text = page.render(
        request_path=request.url.path,
        session=session,
        language=language,
        theme=theme if theme in {"light", "dark"} else "auto",
        words=script_words(words),
        broker_up=context_of(request).hub.connected,
        **values,
    )
    return HTMLResponse(text, status_code=status)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")

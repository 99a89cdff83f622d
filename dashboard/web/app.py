"""The application: routes, middleware, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard.charts import find_charts
from dashboard.live.hub import Hub
from dashboard.store.accounts import People
from dashboard.store.audit import AuditLog
from dashboard.store.database import NO_ANSWER
from dashboard.store.read import Archive
from dashboard.web import exports, marks, pages, signin, streams
from dashboard.web import metrics as exporter
from dashboard.web.condition import alive, feed_watchdog, watch
from dashboard.web.context import Context, Refused
from dashboard.web.headers import SecurityHeaders
from dashboard.web.render import STATIC, render
from emoshift.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Engine
    from starlette.requests import Request

    from dashboard.config import Config
    from dashboard.ingest.supervisor import Supervised

LOG: Final = logging.getLogger(__name__)


def make_app(
    config: Config, engine: Engine, *, supervised: Callable[[], Supervised] | None = None
) -> Starlette:
    """Make the application; the database is open, the broker is connected to when it starts.

    Args:
        config: The settings.
        engine: The database.
        supervised: Reports on the worker that runs beside the pages, if one does.
    """
    archive = Archive(engine)
    hub = Hub(config.broker)
    context = Context(
        config=config,
        engine=engine,
        hub=hub,
        archive=archive,
        windows=Archive(engine, windows=True),
        people=People(engine),
        audit=AuditLog(engine),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with contextlib.suppress(*NO_ANSWER):
            hub.restore(await to_thread.run_sync(archive.devices))
        hub.start()
        notifier = Notifier.from_environment()
        tasks = [
            asyncio.create_task(watch(context, supervised, notifier)),
            asyncio.create_task(feed_watchdog(notifier)),
        ]
        notifier.ready()
        try:
            yield
        finally:
            notifier.stopping()
            for task in tasks:
                task.cancel()
            await to_thread.run_sync(hub.stop)

    app = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=4),
        ],
        exception_handlers={Refused: _refused, HTTPException: _http_refused},
        lifespan=lifespan,
    )
    app.state.context = context
    return app


def _routes() -> list[Route | Mount]:
    get, post = ["GET"], ["POST"]
    one = "{site}/{device}"
    return [
        Route("/", pages.home, methods=get),
        Route("/login", signin.login_page, methods=get),
        Route("/login", signin.login, methods=post),
        Route("/logout", signin.logout, methods=post),
        Route("/prefer", signin.prefer, methods=post),
        Route("/class", pages.first_class, methods=get),
        Route("/choose", pages.choose_class, methods=get),
        Route(f"/class/{one}", pages.class_page, methods=get),
        Route(f"/class/{one}/lesson", pages.mark_lesson, methods=post),
        Route(f"/class/{one}/note", pages.mark_note, methods=post),
        Route(f"/class/{one}/mark", marks.mark_class, methods=post),
        Route(f"/class/{one}/marks.jsonl", marks.export_class_marks, methods=get),
        Route(f"/class/{one}/data", pages.class_data, methods=get),
        Route(f"/class/{one}/compare", pages.compare_data, methods=get),
        Route(f"/class/{one}/live", streams.class_stream, methods=get),
        Route(f"/class/{one}/export.{{format}}", exports.export_class, methods=get),
        Route("/fleet", pages.fleet_page, methods=get),
        Route("/fleet/live", streams.fleet_stream, methods=get),
        Route(f"/device/{one}/approve", pages.approve_device, methods=post),
        Route(f"/device/{one}", pages.device_page, methods=get),
        Route(f"/device/{one}/data", pages.device_data, methods=get),
        Route(f"/device/{one}/live", streams.device_stream, methods=get),
        Route(f"/device/{one}/export.{{format}}", exports.export_events, methods=get),
        Route("/audit", pages.audit_page, methods=get),
        Route("/about", pages.about_page, methods=get),
        Route("/metrics", exporter.metrics, methods=get),
        Route("/alive", alive, methods=get),
        Route("/charts.js", _charts, methods=get),
        Mount("/static", _Static(directory=STATIC), name="static"),
    ]


class _Static(StaticFiles):
    """Files whose addresses change with their content may be kept for ever."""

    async def get_response(self, path: str, scope: Any) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


async def _charts(_request: Request) -> Response:
    """Serve the chart library; without it the pages say so where a chart would be."""
    found = await to_thread.run_sync(find_charts)
    if found is None:
        return PlainTextResponse("not fetched; run: edge-dashboard fetch\n", status_code=404)
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return FileResponse(found, media_type="text/javascript", headers=kept)


async def _refused(request: Request, why: Exception) -> Response:
    status = why.status if isinstance(why, Refused) else 500
    return _error(request, status)


async def _http_refused(request: Request, why: Exception) -> Response:
    status = why.status_code if isinstance(why, HTTPException) else 500
    return _error(request, status)


def _error(request: Request, status: int) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return render(request, "error.html", status=status, code=status)
    return JSONResponse({"error": status}, status_code=status)

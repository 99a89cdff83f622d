"""The application: routes, middleware, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from sqlalchemy.exc import DatabaseError
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
from dashboard.store.read import Archive
from dashboard.web import exports, pages, signin, streams
from dashboard.web import metrics as exporter
from dashboard.web.context import Context, Refused, now_ms
from dashboard.web.headers import SecurityHeaders
from dashboard.web.render import STATIC, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine
    from starlette.requests import Request

    from dashboard.config import Config

LOG: Final = logging.getLogger(__name__)

_DRIFT_EVERY_MS: Final = 3600 * 1000
_WATCH_S: Final = 2.0
_FEW: Final = 20
_WORKER_GONE_MS: Final = 15_000


def make_app(config: Config, engine: Engine) -> Starlette:
    """Make the application; the database is open, the broker is connected to when it starts."""
    archive = Archive(engine)
    hub = Hub(config.broker)
    context = Context(
        config=config,
        engine=engine,
        hub=hub,
        archive=archive,
        people=People(engine),
        audit=AuditLog(engine),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with contextlib.suppress(DatabaseError):
            hub.recall(await to_thread.run_sync(archive.devices))
        hub.start()
        watch = asyncio.create_task(_watch(context))
        try:
            yield
        finally:
            watch.cancel()
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
        Route("/alive", _alive, methods=get),
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


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


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


async def _follow_registry(context: Context) -> None:
    """Show devices that a worker has enrolled since, and none that was forgotten."""
    archive = context.archive
    fresh = context.hub.retain(await to_thread.run_sync(archive.addresses))
    if len(fresh) > _FEW:
        context.hub.recall(await to_thread.run_sync(archive.devices))
        return
    found = [await to_thread.run_sync(archive.device, address) for address in sorted(fresh)]
    context.hub.recall(device for device in found if device is not None)


async def _watch(context: Context) -> None:
    """Look every moment whether the database and a worker are there, and every hour for drift."""
    next_drift_ms = 0
    while True:
        try:
            if now_ms() >= next_drift_ms:
                next_drift_ms = now_ms() + _DRIFT_EVERY_MS
                context.hub.drift_rise = await to_thread.run_sync(
                    partial(context.archive.drift_rise, now_ms=now_ms())
                )
            workers = await to_thread.run_sync(context.archive.workers)
            await _follow_registry(context)
            context.condition.database = True
            fresh = [w for w in workers if now_ms() - w.seen_ms < _WORKER_GONE_MS]
            context.condition.worker = bool(fresh)
        except DatabaseError:
            context.condition.database = False
        await asyncio.sleep(_WATCH_S)

"""Whether the dashboard does its work, for the pages, ``/alive`` and systemd."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from anyio import to_thread
from starlette.responses import JSONResponse

from dashboard.live.steady_clock import steady_ms
from dashboard.store.database import NO_ANSWER
from dashboard.web.context import Context, WorkerCondition, context_of, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.ingest.supervisor import Supervised
    from dashboard.store.read import WorkerStatus
    from emoshift.systemd import Notifier

_WATCH_S: Final = 2.0
_DRIFT_EVERY_S: Final = 3600.0
_FEW: Final = 20
_GONE_S: Final = 15.0
"""A worker without a sign of life for this long is taken for gone."""
_FORGOTTEN_S: Final = 3600.0
"""One that has been gone for this long is not expected back."""


async def alive(request: Request) -> Response:
    """Report what works; status 503 where messages are not stored."""
    context = context_of(request)
    condition = context.condition
    works = context.hub_condition()
    return JSONResponse(
        {
            "status": "ok" if all(works.values()) else "failing",
            **works,
            "workers": [
                {
                    "name": worker.name,
                    "state": worker.state,
                    "last_commit_s": worker.committed_s,
                    "lag_s": worker.lag_s,
                    "waiting": worker.waiting,
                }
                for worker in condition.workers
            ],
        },
        status_code=200 if all(works.values()) else 503,
        headers={"Cache-Control": "no-store"},
    )


async def feed_watchdog(notifier: Notifier) -> None:
    """Show the service manager that requests are answered; a database that hangs is no reason."""
    if notifier.ping_every_s is not None:
        while True:
            notifier.ping()
            await asyncio.sleep(notifier.ping_every_s)


async def watch(
    context: Context, supervised: Callable[[], Supervised] | None, notifier: Notifier
) -> None:
    """Look every moment whether the database and the workers do their work.

    Whether a worker lives shows in that its sign of life changes, not in how old it says to be.
    """
    signs: dict[str, tuple[int, float]] = {}
    next_drift_s = float("-inf")
    while True:
        workers: list[WorkerStatus] = []
        try:
            if time.monotonic() >= next_drift_s:
                next_drift_s = time.monotonic() + _DRIFT_EVERY_S
                context.hub.drift_rise = await to_thread.run_sync(
                    partial(context.archive.drift_rise, now_ms=now_ms())
                )
            workers = await to_thread.run_sync(context.archive.workers)
            await _follow_registry(context)
            context.condition.database = True
        except NO_ANSWER:
            context.condition.database = False
        now_s = time.monotonic()
        for worker in workers:
            if signs.get(worker.name, (-1, 0.0))[0] != worker.seen_ms:
                first = worker.name not in signs
                age_s = max(0.0, (steady_ms() - worker.seen_ms) / 1000) if first else 0.0
                signs[worker.name] = (worker.seen_ms, now_s - age_s)
        found = [_stored(worker, now_s - signs[worker.name][1]) for worker in workers]
        found = [w for w in found if w.state != "silent" or now_s - signs[w.name][1] < _FORGOTTEN_S]
        if supervised is not None:
            found = _with_supervised(found, supervised(), context.config.worker.name)
        context.condition.workers = tuple(found)
        context.condition.worker = any(w.state in {"storing", "offline"} for w in found)
        notifier.status(_status(context, found))
        await asyncio.sleep(_WATCH_S)


async def _follow_registry(context: Context) -> None:
    """Show devices that a worker has enrolled since, none that was forgotten, and repairs."""
    archive = context.archive
    version = await to_thread.run_sync(archive.registry_version)
    if version != context.condition.registry:
        if context.condition.registry:
            context.hub.correct(await to_thread.run_sync(archive.devices))
        context.condition.registry = version
    fresh = context.hub.retain(await to_thread.run_sync(archive.addresses))
    if len(fresh) > _FEW:
        context.hub.restore(await to_thread.run_sync(archive.devices))
        return
    found = [await to_thread.run_sync(archive.device, address) for address in sorted(fresh)]
    context.hub.restore(device for device in found if device is not None)


def _stored(worker: WorkerStatus, age_s: float) -> WorkerCondition:
    """Describe a worker by what it has written into the database."""
    state = "storing" if worker.connected else "offline"
    return WorkerCondition(
        name=worker.name,
        state="silent" if age_s > _GONE_S else state,
        committed_s=_ago_s(worker.committed_ms, worker.seen_ms, age_s),
        lag_s=worker.lag_ms / 1000,
        waiting=worker.waiting,
    )


def _with_supervised(
    found: list[WorkerCondition], own: Supervised, name: str
) -> list[WorkerCondition]:
    """Describe the worker beside the pages by what it says itself, also without a database."""
    others = [worker for worker in found if worker.name != name]
    report = own.report
    if not own.running:
        state = "stopped"
    elif report is None or own.age_s > _GONE_S:
        state = "silent"
    elif report.stalled:
        state = "stalled"
    else:
        state = "storing" if report.connected else "offline"
    committed_s = None
    if report is not None and report.committed_ms:
        committed_s = max(0.0, (time.time_ns() // 1_000_000 - report.committed_ms) / 1000)
    return [
        *others,
        WorkerCondition(
            name=name,
            state=state,
            committed_s=committed_s,
            lag_s=0.0 if report is None else report.lag_ms / 1000,
            waiting=0 if report is None else report.waiting,
        ),
    ]


def _ago_s(committed_ms: int, seen_ms: int, age_s: float) -> float | None:
    """Return how long ago a commit was, by the worker's own clock alone."""
    return None if not committed_ms else max(0.0, (seen_ms - committed_ms) / 1000 + age_s)


def _status(context: Context, workers: Iterable[WorkerCondition]) -> str:
    works = context.hub_condition()
    parts = [f"{name}: {'ok' if works[name] else 'away'}" for name in ("broker", "database")]
    parts += [f"{worker.name}: {worker.state}" for worker in workers]
    return ", ".join(parts)

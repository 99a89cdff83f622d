"""Live streams: server-sent events, as fast as they come and no faster than a page can draw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from dashboard.live.hub import onset_ms
from dashboard.live.state import is_live, shown_summary
from dashboard.live.steady_clock import steady_ms
from dashboard.store.accounts import Role
from dashboard.web.context import (
    Context,
    Refused,
    address_of,
    ask,
    class_of,
    context_of,
    now_ms,
    record_view,
    session_of,
    signed_in,
)
from dashboard.web.pages import now_of, state_of
from dashboard.web.views import MINUTE_MS, Span, class_history, class_now, fleet_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.live.hub import HubEvent, Listener
    from dashboard.store.accounts import Session
    from emoshift.topics import Address

_PAUSE_S: Final = 0.03
_TICK_S: Final = 1.0
_HISTORY_S: Final = 1.0
_FLEET_S: Final = 0.25
_SESSION_S: Final = 60.0
_SENT_AT_ONCE: Final = 40
_SETTLED_S: Final = 1.0
"""After this a worker has stored what came before a subscription was in force."""
_WINDOW_S: Final = 10.0
"""How often to look for a new window of time, and whether the device is there."""
_NEVER_S: Final = float("inf")


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _stream(source: AsyncIterator[str]) -> StreamingResponse:
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(source, media_type="text/event-stream", headers=headers)


async def _gather(listener: Listener) -> list[HubEvent]:
    """Wait for something, at most a tick, and return all that has come."""
    found = []
    try:
        found.append(await asyncio.wait_for(listener.queue.get(), _TICK_S))
    except TimeoutError:
        return found
    while not listener.queue.empty():
        found.append(listener.queue.get_nowait())
    return found


async def _still_allowed(request: Request, next_check_s: float) -> float | None:
    """Return when to look again whether the session holds; ``None`` when the stream ends."""
    if context_of(request).hub.closing:
        return None
    if time.monotonic() < next_check_s:
        return next_check_s
    try:
        session = await session_of(request)
        if session is None or not _may_see(request, session):
            return None
    except Refused:  # the database is away; that ends nobody's session
        pass
    return time.monotonic() + _SESSION_S


def _may_see(request: Request, session: Session) -> bool:
    """Whether the account may still see what the stream shows."""
    if not request.url.path.startswith("/class/"):
        return session.account.role is Role.ADMIN
    context, began = context_of(request), request.state.session.account
    same = context.archive_of(session.account) is context.archive_of(began)
    return same and session.account.may_see(address_of(request))


@signed_in()
async def class_stream(request: Request) -> Response:
    """Stream one class: its counts now, its transitions, its last minutes."""
    context, address = context_of(request), await class_of(request)
    state_of(context, address)
    if context.archive_of(request.state.session.account).windows:
        return _stream(_window_events(request, context, address))
    return _stream(_class_events(request, context, address))


async def _window_events(
    request: Request, context: Context, address: Address
) -> AsyncIterator[str]:
    """Tell of windows of time alone: nothing that is sent here depends on when a face changes."""
    next_session_s, next_look_s = time.monotonic() + _SESSION_S, 0.0
    last: dict[str, Any] = {}
    found: dict[str, Any] = {}
    yield "retry: 1000\n\n"
    while address in context.hub.devices:
        if time.monotonic() >= next_look_s:
            next_look_s, before = time.monotonic() + _WINDOW_S, found.get("until")
            with contextlib.suppress(Refused):  # the database is away: the banner says so
                found = await ask(lambda: now_of(context, address, windows=True))
            if before and found.get("until") != before:
                yield _event("again", {})
        now = {**found, **context.hub_condition()}
        if found and now != last:
            yield _event("now", now)
            last = now
        checked = await _still_allowed(request, next_session_s)
        if checked is None or await request.is_disconnected():
            return
        next_session_s = checked
        await asyncio.sleep(_TICK_S)


async def _class_events(request: Request, context: Context, address: Address) -> AsyncIterator[str]:
    min_faces = context.config.web.min_faces
    next_session_s = time.monotonic() + _SESSION_S
    next_history_s, again_s = 0.0, _NEVER_S
    stale = True
    last: dict[str, Any] = {}
    with context.hub.listen(address) as listener:
        yield "retry: 1000\n\n"
        while address in context.hub.devices:
            state, moment = state_of(context, address), now_ms()
            now = {**class_now(state, steady_ms(), min_faces=min_faces), **context.hub_condition()}
            if now != last:
                yield _event("now", now)
                last = now
            if stale and time.monotonic() >= next_history_s:
                yield _event("minutes", await _last_minutes(context, address, moment))
                next_history_s, stale = time.monotonic() + _HISTORY_S, False
            events = await _gather(listener)
            stale = stale or bool(events)
            state = context.hub.devices.get(address, state)
            shown = shown_summary(state, steady_ms(), min_faces=min_faces)
            if shown is not None and (news := _describe(events, admin=False)):
                yield _event("changes", news)
            if listener.overrun or any(h.kind == "resync" for h in events):
                listener.overrun, again_s = False, time.monotonic() + _SETTLED_S
            if time.monotonic() >= again_s:
                again_s = _NEVER_S
                yield _event("again", {})
            checked = await _still_allowed(request, next_session_s)
            if checked is None or await request.is_disconnected():
                return
            next_session_s = checked
            await asyncio.sleep(_PAUSE_S if events else 0)


async def _last_minutes(context: Context, address: Address, moment: int) -> list[dict[str, Any]]:
    span = Span(start_ms=moment - 2 * MINUTE_MS, end_ms=moment + MINUTE_MS, live=True)

    def read() -> list[dict[str, Any]]:
        device = context.archive.device(address)
        return class_history(context.archive, None if device is None else device.id, span)

    try:
        return await ask(read)
    except Refused:
        return []


def _describe(events: list[HubEvent], *, admin: bool) -> list[dict[str, Any]]:
    """Describe events; what happened long ago belongs into the history alone."""
    found = []
    for event in events:
        body = event.transition
        if body is None or not (admin or is_live(body)):
            continue
        shown = {
            "id": body.event_id,
            "t": onset_ms(event),
            "from": body.before,
            "to": body.after,
        }
        if admin:
            shown |= {
                "confidence": round(body.confidence, 2),
                "latency": body.latency_ms,
                "historical": body.historical,
                "degraded": body.degraded,
            }
        found.append(shown)
    return found[-_SENT_AT_ONCE:]


@signed_in(role=Role.ADMIN)
async def device_stream(request: Request) -> Response:
    """Stream one device: its state and its events."""
    context, address = context_of(request), address_of(request)
    state_of(context, address)
    await record_view(request, f"device {address}")
    return _stream(_device_events(request, context, address))


async def _device_events(
    request: Request, context: Context, address: Address
) -> AsyncIterator[str]:
    next_session_s, again_s = time.monotonic() + _SESSION_S, _NEVER_S
    last: dict[str, Any] = {}
    with context.hub.listen(address) as listener:
        yield "retry: 1000\n\n"
        while address in context.hub.devices:
            state = state_of(context, address)
            row = fleet_row(state, steady_ms(), hub=context.hub)
            now = {**row, **context.hub_condition()}
            if now != last:
                yield _event("device", now)
                last = now
            events = await _gather(listener)
            if news := _describe(events, admin=True):
                yield _event("changes", news)
            if listener.overrun or any(h.kind == "resync" for h in events):
                listener.overrun, again_s = False, time.monotonic() + _SETTLED_S
            if time.monotonic() >= again_s:
                again_s = _NEVER_S
                yield _event("again", {})
            checked = await _still_allowed(request, next_session_s)
            if checked is None or await request.is_disconnected():
                return
            next_session_s = checked
            await asyncio.sleep(_PAUSE_S if events else 0)


@signed_in(role=Role.ADMIN)
async def fleet_stream(request: Request) -> Response:
    """Stream all devices: those whose row has changed."""
    await record_view(request, "fleet")
    return _stream(_fleet_events(request, context_of(request)))


def _shown_ms(request: Request) -> int:
    """Return when the page was rendered that asks; 0 where it does not say."""
    try:
        return int(request.query_params.get("since", "0"))
    except ValueError:
        return 0


async def _fleet_events(request: Request, context: Context) -> AsyncIterator[str]:
    next_session_s = time.monotonic() + _SESSION_S
    next_all_s = 0.0
    last: dict[str, Any] = {}
    dirty: set[Address] = set()
    shown_ms = _shown_ms(request)
    known = {  # what the page was rendered with need not be shown again
        str(address): fleet_row(state, shown_ms, hub=context.hub)
        for address, state in context.hub.devices.items()
        if state.seen_ms < shown_ms
    }
    with context.hub.listen(None) as listener:
        yield "retry: 1000\n\n"
        while True:
            if (condition := context.hub_condition()) != last:
                yield _event("now", condition)
                last = condition
            if time.monotonic() >= next_all_s or listener.overrun:
                listener.overrun = False
                dirty = set(context.hub.devices)  # silence is shown by no message
                next_all_s = time.monotonic() + 10
            rows = [
                fleet_row(context.hub.devices[a], steady_ms(), hub=context.hub)
                for a in sorted(dirty & context.hub.devices.keys())
            ]
            changed = [row for row in rows if known.get(row["id"]) != row]
            known.update({row["id"]: row for row in changed})
            if changed:
                yield _event("rows", changed)
            events = await _gather(listener)
            dirty = {h.address for h in events if h.address is not None}
            checked = await _still_allowed(request, next_session_s)
            if checked is None or await request.is_disconnected():
                return
            next_session_s = checked
            await asyncio.sleep(_FLEET_S if events else 0)

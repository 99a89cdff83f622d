"""The pages, and the data they draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, RedirectResponse, Response

from dashboard.i18n import catalogue
from dashboard.live.state import DeviceState, presence, required_faces, tells_single_faces
from dashboard.live.steady_clock import steady_ms
from dashboard.store.accounts import Role
from dashboard.store.audit import Action
from dashboard.store.lessons import (
    end_lesson,
    remove_note,
    start_lesson,
    undo_lesson,
    write_note,
)
from dashboard.store.marks import read_marks
from dashboard.store.registry import approve, enrolments
from dashboard.web.context import (
    Context,
    Refused,
    address_of,
    ask,
    class_of,
    context_of,
    language_of,
    now_ms,
    record,
    record_view,
    signed_in,
)
from dashboard.web.render import render
from dashboard.web.signin import form_of
from dashboard.web.strings import (
    attention_names,
    column_names,
    presence_names,
    trend_names,
)
from dashboard.web.views import (
    SPANS_MS,
    choose_span,
    class_history,
    class_now,
    class_window,
    compare_lessons,
    compared,
    describe_event,
    fleet_row,
    health_series,
    latest_changes,
    lesson_span,
    sentence,
)
from emoshift.text_files import read_text_file

if TYPE_CHECKING:
    from starlette.requests import Request

    from dashboard.store.read import Lesson
    from dashboard.web.views import Span
    from emoshift.topics import Address

_EVENTS: Final = 100
_AUDIT_LINES: Final = 500
_LONGEST_NUMBER: Final = 16


def state_of(context: Context, address: Address) -> DeviceState:
    """Return what is known of a device now.

    Raises:
        Refused: With status 404, where nothing is.
    """
    state = context.hub.devices.get(address)
    if state is None:
        raise Refused(404)
    return state


def now_of(context: Context, address: Address, *, windows: bool) -> dict[str, Any]:
    """Describe the class now, or in its latest window; reads the database for windows alone."""
    state, min_faces = state_of(context, address), context.config.web.min_faces
    if not windows:
        return class_now(state, steady_ms(), min_faces=min_faces)
    device = context.windows.device(address)
    newest = None
    if device is not None:
        context.release_windows(device.id, address)
        newest = context.windows.newest_window(device.id, now_ms=now_ms())
    return class_window(
        newest, state, moment_ms=now_ms(), steady_ms=steady_ms(), min_faces=min_faces
    )


def rooms_of(request: Request) -> list[Address]:
    """Return the classes that whoever asks may see."""
    account = request.state.session.account
    return [room for room in sorted(context_of(request).hub.devices) if account.may_see(room)]


@signed_in()
async def home(_request: Request) -> Response:
    """Go to the first class."""
    return RedirectResponse("/class", status_code=303)


@signed_in()
async def first_class(request: Request) -> Response:
    """Go to the class that is live: the one last shown if it is, else any, else the last shown."""
    devices = context_of(request).hub.devices
    last = request.cookies.get("emoshift_room", "")
    rooms = rooms_of(request)
    if not rooms:
        return render(request, "empty.html")
    moment = steady_ms()
    chosen = min(
        rooms,
        key=lambda room: (
            presence(devices[room], moment) != "online",
            str(room) != last,
            room,
        ),
    )
    return RedirectResponse(f"/class/{chosen}", status_code=303)


@signed_in()
async def choose_class(request: Request) -> Response:
    """Go to the class chosen in the list, without a script."""
    wanted = request.query_params.get("room", "")
    rooms = {str(room) for room in rooms_of(request)}
    if wanted not in rooms:
        raise Refused(404)
    return RedirectResponse(f"/class/{wanted}", status_code=303)


@signed_in()
async def class_page(request: Request) -> Response:
    """Show one class."""
    context, address = context_of(request), await class_of(request)
    state = state_of(context, address)
    query = request.query_params
    free = "from" in query or "first" in query or "lesson" in query
    lesson = await ask(lambda: _chosen_lesson(context, address, query.get("lesson", "")))
    windows = context.archive_of(request.state.session.account).windows
    answer = render(
        request,
        "class.html",
        address=address,
        single_faces=tells_single_faces(state) and not windows,
        windows=windows,
        rooms=rooms_of(request),
        lesson=lesson,
        marked=query.get("marked"),
        info=state.info,
        spans=list(SPANS_MS),
        span="" if free else query.get("span", "lesson"),
        required=required_faces(state, context.config.web.min_faces),
        now=await ask(lambda: now_of(context, address, windows=windows)),
    )
    answer.set_cookie("emoshift_room", str(address), httponly=True, samesite="lax")
    return answer


@signed_in()
async def class_data(request: Request) -> Response:
    """Return a class over time, and its lessons."""
    context, address = context_of(request), await class_of(request)
    state_of(context, address)
    moment, words = now_ms(), catalogue(language_of(request))
    query, account = request.query_params, request.state.session.account
    author, archive = account.name, context.archive_of(account)

    def read() -> dict[str, Any]:
        span = choose_span(query, now_ms=moment)
        device = archive.device(address)
        if device is None:
            return {
                **_ends(span),
                "buckets": [],
                "lessons": [],
                "latest": [],
                "notes": [],
                "marks": [],
            }
        if archive.windows:
            context.release_windows(device.id, address)
        lessons = archive.lessons(device.id)
        chosen = next((one for one in lessons if one.ended_ms is None), None)
        if (asked := _chosen_lesson(context, address, query.get("lesson", ""))) is not None:
            chosen, span = asked, lesson_span(asked, now_ms=moment)
        notes = archive.annotations(device.id, author, span.start_ms, span.end_ms)
        return {
            **_ends(span),
            "buckets": class_history(archive, device.id, span),
            "latest": latest_changes(archive, device.id, span),
            "lessons": compare_lessons(archive, device.id, lessons, now_ms=moment),
            "sentence": sentence(archive, device.id, chosen, now_ms=moment, words=words),
            "notes": [{"id": note.id, "t": note.at_ms, "text": note.text} for note in notes],
            "marks": [
                {"id": mark.id, "t": mark.at_ms, "verdict": mark.verdict}
                for mark in read_marks(
                    context.engine, device.id, author, span.start_ms, span.end_ms
                )
            ],
        }

    return JSONResponse(await ask(read))


def _chosen_lesson(context: Context, address: Address, number: str) -> Lesson | None:
    if not number.isdecimal() or len(number) >= _LONGEST_NUMBER:
        return None
    device = context.archive.device(address)
    return None if device is None else context.archive.lesson(device.id, int(number))


def _ends(span: Span) -> dict[str, Any]:
    return {"from": span.start_ms, "to": span.end_ms, "live": span.live}


@signed_in()
async def compare_data(request: Request) -> Response:
    """Return two lessons or weeks of a class, to be laid side by side."""
    context, address = context_of(request), await class_of(request)
    state_of(context, address)
    moment, archive = now_ms(), context.archive_of(request.state.session.account)
    choices = [request.query_params.get(name, "") for name in ("a", "b")]

    def read() -> list[dict[str, Any] | None]:
        device = archive.device(address)
        if device is None:
            return [None, None]
        if archive.windows:
            context.release_windows(device.id, address)
        return [compared(archive, device.id, choice, now_ms=moment) for choice in choices]

    return JSONResponse(dict(zip("ab", await ask(read), strict=True)))


@signed_in()
async def mark_lesson(request: Request) -> Response:
    """Mark the start or the end of a lesson."""
    context, address = context_of(request), await class_of(request)
    session = request.state.session
    form = await form_of(request, session.csrf)
    device = await ask(lambda: context.archive.device(address))
    if device is None:
        raise Refused(404)
    moment = now_ms()
    if form.get("action") == "start":
        title = " ".join(str(form.get("title", "")).split())[:120]
        words = catalogue(language_of(request))
        name, engine = title or words.gettext("Lesson"), context.engine
        by = session.account.name
        await ask(lambda: start_lesson(engine, device.id, title=name, by=by, now_ms=moment))
        await record(request, Action.LESSON, f"started in {address}")
    elif form.get("action") == "end":
        ours = None if session.account.role is Role.ADMIN else session.account.name
        ended = await ask(lambda: end_lesson(context.engine, device.id, by=ours, now_ms=moment))
        if not ended:
            await record(request, Action.REFUSED, f"ending a lesson in {address}")
            raise Refused(403)
        await record(request, Action.LESSON, f"ended in {address}")
    elif form.get("action") == "undo":
        ours = None if session.account.role is Role.ADMIN else session.account.name
        await ask(lambda: undo_lesson(context.engine, device.id, by=ours, now_ms=moment))
        await record(request, Action.LESSON, f"mark undone in {address}")
        return RedirectResponse(f"/class/{address}", status_code=303)
    return RedirectResponse(f"/class/{address}?marked={form.get('action')}", status_code=303)


@signed_in()
async def mark_note(request: Request) -> Response:
    """Write or remove a note on the time line; only its author sees it."""
    context, address = context_of(request), await class_of(request)
    session = request.state.session
    form = await form_of(request, session.csrf)
    device = await ask(lambda: context.archive.device(address))
    if device is None:
        raise Refused(404)
    text = " ".join(str(form.get("text", "")).split())
    number = str(form.get("remove", ""))
    engine, author = context.engine, session.account.name
    if number.isdecimal() and len(number) < _LONGEST_NUMBER:
        await ask(lambda: remove_note(engine, device.id, author=author, number=int(number)))
    elif text:
        moment = now_ms()
        await ask(lambda: write_note(engine, device.id, author=author, at_ms=moment, text=text))
    return RedirectResponse(f"/class/{address}", status_code=303)


@signed_in(role=Role.ADMIN)
async def fleet_page(request: Request) -> Response:
    """Show every device, those first that need somebody."""
    context = context_of(request)
    await record_view(request, "fleet")
    moment = steady_ms()
    words = catalogue(language_of(request))
    rows = [fleet_row(state, moment, hub=context.hub) for state in context.hub.devices.values()]
    rows.sort(key=lambda row: (-row["weight"], row["id"]))
    problems = await ask(context.archive.problems)
    workers = await ask(context.archive.workers)
    waiting = await ask(lambda: enrolments(context.engine, approved=False))
    return render(
        request,
        "fleet.html",
        columns=column_names(words),
        rows=rows,
        online=sum(row["presence"] == "online" for row in rows),
        attention=sum(row["weight"] > 0 for row in rows),
        problems=problems,
        workers=workers,
        waiting=waiting,
        moment=moment,
        attention_names=attention_names(words),
        presence_names=presence_names(words),
    )


@signed_in(role=Role.ADMIN)
async def approve_device(request: Request) -> Response:
    """Approve a device that waits."""
    context, address = context_of(request), address_of(request)
    session = request.state.session
    await form_of(request, session.csrf)
    engine, by = context.engine, session.account.name
    waiting = {one.address for one in await ask(lambda: enrolments(engine, approved=False))}
    if address not in waiting:
        raise Refused(404)
    await ask(lambda: approve(engine, address, by=by, now_ms=now_ms()))
    await record(request, Action.CHANGE, f"device {address}: approved")
    return RedirectResponse("/fleet", status_code=303)


@signed_in(role=Role.ADMIN)
async def device_page(request: Request) -> Response:
    """Show one device."""
    context, address = context_of(request), address_of(request)
    state = state_of(context, address)
    await record_view(request, f"device {address}")
    words = catalogue(language_of(request))
    device = await ask(lambda: context.archive.device(address))
    archive = context.archive
    number = -1 if device is None else device.id
    problems = [p for p in await ask(archive.problems) if p.address == address]
    return render(
        request,
        "device.html",
        span=request.query_params.get("span", "day"),
        trends=trend_names(words),
        address=address,
        single_faces=tells_single_faces(state),
        state=state,
        row=fleet_row(state, steady_ms(), hub=context.hub),
        notes=await ask(lambda: archive.notes(number)),
        missing=await ask(lambda: archive.missing(number)),
        problems=problems,
        attention_names=attention_names(words),
        presence_names=presence_names(words),
    )


@signed_in(role=Role.ADMIN)
async def device_data(request: Request) -> Response:
    """Return a device's latency over time and its latest events."""
    context, address = context_of(request), address_of(request)
    state_of(context, address)
    await record_view(request, f"device {address}")
    query = {"span": "day", **request.query_params}
    span = choose_span(query, now_ms=now_ms())
    archive = context.archive

    def read() -> dict[str, Any]:
        device = archive.device(address)
        if device is None:
            return {"latency": health_series([]), "events": []}
        healths = archive.health_history(device.id, span.start_ms, span.end_ms)
        events = archive.events(device.id, 0, span.end_ms, limit=_EVENTS)
        return {
            "latency": health_series(healths),
            "events": [describe_event(event) for event in events],
        }

    return JSONResponse({"from": span.start_ms, "to": span.end_ms, **await ask(read)})


@signed_in(role=Role.ADMIN)
async def audit_page(request: Request) -> Response:
    """Show who signed in, saw, exported or changed what."""
    context = context_of(request)
    await record_view(request, "audit log")
    entries = await ask(lambda: context.audit.read(limit=_AUDIT_LINES))
    return render(
        request, "audit.html", entries=entries, audit_days=context.config.history.audit_days
    )


@signed_in()
async def about_page(request: Request) -> Response:
    """Say what is measured, what is not, and what the law says."""
    context = context_of(request)
    card = context.config.web.model_card
    text = None
    if card is not None:
        try:
            text = read_text_file(card)
        except (OSError, ValueError):
            text = None
    infos = [s.info for s in context.hub.devices.values() if s.info is not None]
    return render(
        request,
        "about.html",
        models=sorted({info.model for info in infos}),
        unisolated=sum(info.isolation == "none" for info in infos),
        devices=len(infos),
        min_faces=context.config.web.min_faces,
        events_days=context.config.history.events_days,
        audit_days=context.config.history.audit_days,
        minutes_days=context.config.history.minutes_days,
        model_card=text,
    )

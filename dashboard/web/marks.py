"""A teacher's marks: taken in, taken back, and exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response

from dashboard.store.audit import Action
from dashboard.store.events import MINUTE_MS
from dashboard.store.marks import (
    MOST_BACK_MIN,
    Verdict,
    export_marks,
    remove_mark,
    write_mark,
)
from dashboard.web.context import (
    Refused,
    ask,
    class_of,
    context_of,
    now_ms,
    record,
    signed_in,
)
from dashboard.web.signin import form_of

if TYPE_CHECKING:
    from starlette.requests import Request

_LONGEST_NUMBER: Final = 16


@signed_in()
async def mark_class(request: Request) -> Response:
    """Mark some minutes of a class as right or wrong, or take a mark back."""
    context, address = context_of(request), await class_of(request)
    session = request.state.session
    form = await form_of(request, session.csrf)
    device = await ask(lambda: context.archive.device(address))
    if device is None:
        raise Refused(404)
    engine, author = context.engine, session.account.name
    archive = context.archive_of(session.account)
    if archive.windows:
        await ask(lambda: context.release_windows(device.id, address))
    number, said = str(form.get("remove", "")), str(form.get("verdict", ""))
    if number.isdecimal() and len(number) < _LONGEST_NUMBER:
        await ask(lambda: remove_mark(engine, device.id, author=author, number=int(number)))
    elif said in set(Verdict):
        ago = str(form.get("ago", "0"))
        ago_min = int(ago) if ago.isdecimal() and len(ago) < _LONGEST_NUMBER else 0
        at_ms = now_ms() - min(ago_min, MOST_BACK_MIN) * MINUTE_MS
        await ask(
            lambda: write_mark(
                engine,
                archive,
                device.id,
                author=author,
                verdict=Verdict(said),
                at_ms=at_ms,
            )
        )
    else:
        raise Refused(400)
    return RedirectResponse(f"/class/{address}#marks-title", status_code=303)


@signed_in()
async def export_class_marks(request: Request) -> Response:
    """Export the marks of a class, without who made them; of viewers of windows their own alone."""
    context, address = context_of(request), await class_of(request)
    device = await ask(lambda: context.archive.device(address))
    if device is None:
        raise Refused(404)
    account = request.state.session.account
    # The marks of others may hold counts of single minutes, which most viewers do not see.
    author = account.name if context.archive_of(account).windows else None
    lines = await ask(lambda: list(export_marks(context.engine, device.id, author=author)))
    await record(request, Action.EXPORT, f"marks of {address}")
    name = f"marks-{address.site}-{address.device}.jsonl"
    return Response(
        "".join(lines),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        media_type="application/x-ndjson",
    )

"""Exports: what is shown, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response, StreamingResponse

from dashboard.store.accounts import Role
from dashboard.store.audit import Action
from dashboard.web.context import (
    Refused,
    address_of,
    ask,
    class_of,
    context_of,
    now_ms,
    record,
    signed_in,
)
from dashboard.web.pages import state_of
from dashboard.web.views import choose_span
from emoshift.emotions import EMOTIONS, STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.requests import Request

    from dashboard.store.read import Bucket, Event

FORMATS: Final = ("csv", "parquet")
_MOST_EVENTS: Final = 2_000_000
_CSV: Final = "text/csv; charset=utf-8"
_SEPARATORS: Final = re.compile("[,;\t|\uff0c\uff1b]")
_FORMULA: Final = tuple("=+-@%")
_PARQUET: Final = "application/vnd.apache.parquet"


@signed_in()
async def export_class(request: Request) -> Response:
    """Export a class over time: aggregates alone."""
    context, address, kind = context_of(request), await class_of(request), _format(request)
    span = choose_span(request.query_params, now_ms=now_ms())
    state_of(context, address)
    archive = context.archive_of(request.state.session.account)

    def read() -> list[dict[str, Any]]:
        device = archive.device(address)
        if device is None:
            return []
        if archive.windows:
            context.release_windows(device.id, address)
        buckets = archive.class_history(device.id, span.start_ms, span.end_ms)
        return [_class_row(bucket) for bucket in buckets]

    rows = await ask(read)
    await record(request, Action.EXPORT, f"class {address} as {kind}")
    return _answer(rows, kind, name=f"class-{address.site}-{address.device}")


@signed_in(role=Role.ADMIN)
async def export_events(request: Request) -> Response:
    """Export a device's single transitions."""
    context, address, kind = context_of(request), address_of(request), _format(request)
    span = choose_span({"span": "day", **request.query_params}, now_ms=now_ms())
    archive = context.archive
    device = await ask(lambda: archive.device(address))
    if device is None:
        raise Refused(404)
    await record(request, Action.EXPORT, f"events of {address} as {kind}")
    events = archive.events(device.id, span.start_ms, span.end_ms, limit=_MOST_EVENTS)
    name = f"events-{address.site}-{address.device}"
    if kind == "csv":
        return StreamingResponse(
            _event_lines(events), headers=_attached(name, kind), media_type=_CSV
        )
    rows = await ask(lambda: [_event_row(event) for event in events])
    return _answer(rows, kind, name=name)


def _format(request: Request) -> str:
    kind: str = request.path_params["format"]
    if kind not in FORMATS:
        raise Refused(404)
    return kind


def _class_row(bucket: Bucket) -> dict[str, Any]:
    states = bucket.states or (None,) * len(STATES)
    changes = bucket.changes or (None,) * len(EMOTIONS)
    return {
        "start": _date(bucket.start_ms),
        **{f"share_{name}": share for name, share in zip(STATES, states, strict=True)},
        **{f"to_{name}": count for name, count in zip(EMOTIONS, changes, strict=True)},
    }


def _event_row(event: Event) -> dict[str, Any]:
    row = asdict(event)
    placed_ms, received_ms = row.pop("placed_ms"), row.pop("received_ms")
    return {"onset": _date(placed_ms), "received": _date(received_ms), **row}


def _event_lines(events: Iterable[Event]) -> Iterator[str]:
    first = True
    for event in events:
        row = _event_row(event)
        if first:
            yield _line(row.keys())
            first = False
        yield _line(row.values())


def _line(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_plain(value) for value in values])
    return out.getvalue()


def _plain(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula or for several cells.

    Programs skip spaces before a formula, read full-width signs as the plain ones and split at the
    separator of their language, be it inside quotation marks or not.
    """
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if not isinstance(value, str):
        return value
    text = "".join(one if one.isprintable() else " " for one in value)
    parts = _SEPARATORS.split(text)
    risky = any(unicodedata.normalize("NFKC", p).strip(" \"'")[:1] in _FORMULA for p in parts if p)
    return f"'{_SEPARATORS.sub(' ', text)}" if risky else text


def _answer(rows: list[dict[str, Any]], kind: str, *, name: str) -> Response:
    if kind == "csv":
        lines = [_line(rows[0].keys())] if rows else []
        text = "".join(lines + [_line(row.values()) for row in rows])
        return Response(text, headers=_attached(name, kind), media_type=_CSV)
    import pyarrow as pa
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), out)
    return Response(out.getvalue(), headers=_attached(name, kind), media_type=_PARQUET)


def _attached(name: str, kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

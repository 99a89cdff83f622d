"""Exports: what is shown, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import re
import tempfile
import unicodedata
from dataclasses import asdict
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final, get_type_hints

from starlette.responses import Response, StreamingResponse

from dashboard.store.accounts import Role
from dashboard.store.audit import Action
from dashboard.store.read import Event
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
    from collections.abc import Iterable, Iterator, Mapping

    from starlette.requests import Request

    from dashboard.store.read import Bucket

FORMATS: Final = ("csv", "parquet")
_MOST_EVENTS: Final = 2_000_000
_CSV: Final = "text/csv; charset=utf-8"
_SEPARATORS: Final = re.compile("[,;\t|\uff0c\uff1b]")
_FORMULA: Final = tuple("=+-@%")
_PARQUET: Final = "application/vnd.apache.parquet"
_ROWS_AT_ONCE: Final = 20_000
"""Rows of a Parquet file that are in memory: two million at once are 3 GB."""
_PIECE_BYTES: Final = 64 * 1024
_CLASS_COLUMNS: Final[dict[str, type]] = {
    "start": datetime,
    **{f"share_{name}": float for name in STATES},
    **{f"to_{name}": int for name in EMOTIONS},
}
_EVENT_COLUMNS: Final[dict[str, type]] = {
    "onset": datetime,
    "received": datetime,
    **{
        name: kind
        for name, kind in get_type_hints(Event).items()
        if name not in {"placed_ms", "received_ms"}
    },
}


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
    name = f"class-{address.site}-{address.device}"
    return await _answer(rows, _CLASS_COLUMNS, kind, name=name)


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
    return await _answer(map(_event_row, events), _EVENT_COLUMNS, kind, name=name)


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


def _lines(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, type]) -> Iterator[str]:
    yield _line(columns)
    for row in rows:
        yield _line(row[name] for name in columns)


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


async def _answer(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, type], kind: str, *, name: str
) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    if kind == "csv":
        return StreamingResponse(_lines(rows, columns), headers=headers, media_type=_CSV)
    file = await ask(lambda: _write_parquet(rows, columns))
    return StreamingResponse(_pieces(file), headers=headers, media_type=_PARQUET)


def _write_parquet(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, type]) -> IO[bytes]:
    """Write rows into a file without a name, some at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {
        datetime: pa.timestamp("us", tz="UTC"),
        str: pa.string(),
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    rest = iter(rows)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
    with parquet.ParquetWriter(file, schema) as writer:
        while part := list(itertools.islice(rest, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
    file.seek(0)
    return file


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

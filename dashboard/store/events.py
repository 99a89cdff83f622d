"""Storing events and counting those that are new by minute, as fast as each database can."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects import postgresql

from dashboard.store import schema as t
from emoshift.emotions import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

MINUTE_MS: Final = 60_000
_LEAP: Final = 100

Row = tuple[int, int, int, int, int, str, str, int, int, float, float, int, int, int, int]
"""One event, in the order of the columns of `EVENT`."""

_NAMES: Final = [column.name for column in t.EVENT.columns]
_BOOT: Final = 0  # where these stand in a row
_SEQ: Final = 1
_DEVICE: Final = 2
_PLACED: Final = 3
_AFTER: Final = 8
_COLUMNS: Final = ", ".join(f'"{name}"' for name in _NAMES)
_TALLY: Final = ", ".join(f'"{name}"' for name in ("device", "minute", *EMOTIONS))
_GROWN: Final = ", ".join(f'"{name}" = tally."{name}" + excluded."{name}"' for name in EMOTIONS)
_ADD_UP: Final = f"ON CONFLICT (device, minute) DO UPDATE SET {_GROWN}"


def _postgresql() -> str:
    """Write one statement that stores, counts what was new, and returns how much that was.

    Fifteen arrays as text are what client and server both read quickest; 2,000 rows as 30,000
    parameters take three times as long, and rows that come back as much again.
    """
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"%s::{c.type.compile(dialect=dialect)}[]" for c in t.EVENT.columns)
    counts = ", ".join(f'count(*) FILTER (WHERE "after" = {code})' for code in range(len(EMOTIONS)))
    return f"""
        WITH stored AS (
            INSERT INTO event ({_COLUMNS}) SELECT * FROM unnest({arrays})
            ON CONFLICT DO NOTHING RETURNING device, placed_ms / {MINUTE_MS} AS minute, "after"
        ), counted AS (
            INSERT INTO tally ({_TALLY})
            SELECT device, minute, {counts} FROM stored GROUP BY 1, 2 ORDER BY 1, 2
            {_ADD_UP}
        )
        SELECT count(*) FROM stored"""


_POSTGRESQL: Final = _postgresql()
_MARKS: Final = ", ".join("?" * len(_NAMES))
_SQLITE: Final = f"INSERT INTO event ({_COLUMNS}) VALUES ({_MARKS})"
_SQLITE_TALLY: Final = (
    f"INSERT INTO tally ({_TALLY}) VALUES ({', '.join('?' * (2 + len(EMOTIONS)))}) {_ADD_UP}"
)
_KNOWN: Final = "SELECT seq FROM event WHERE boot = ? AND seq BETWEEN ? AND ?"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: Final[list[Callable[[Any], str]]] = [
    _quoted if name in {"camera", "track"} else repr for name in _NAMES
]


def store_in_postgresql(connection: Connection, rows: Sequence[Row]) -> int:
    """Store events in the order of their keys; return how many were new."""
    arrays = tuple(
        "{" + ",".join(map(write, column)) + "}"
        for write, column in zip(_WRITERS, zip(*rows, strict=True), strict=True)
    )
    return int(connection.exec_driver_sql(_POSTGRESQL, arrays).scalar() or 0)


def store_in_sqlite(connection: Connection, rows: Sequence[Row]) -> int:
    """Store events in the order of their keys; return how many were new.

    Nobody else writes while this transaction lasts, so what is known can be asked first.
    """
    new = list(_unknown(connection, rows))
    if not new:
        return 0
    counts: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * len(EMOTIONS))
    for row in new:
        counts[row[_DEVICE], row[_PLACED] // MINUTE_MS][row[_AFTER]] += 1
    tallies = [(*key, *counts[key]) for key in sorted(counts)]
    connection.exec_driver_sql(_SQLITE, new)
    connection.exec_driver_sql(_SQLITE_TALLY, tallies)
    return len(new)


def _unknown(connection: Connection, rows: Sequence[Row]) -> Iterator[Row]:
    for boot, found in groupby(rows, key=itemgetter(_BOOT)):
        for run in _runs(list(found)):
            limits = (boot, run[0][_SEQ], run[-1][_SEQ])
            known = {row[0] for row in connection.exec_driver_sql(_KNOWN, limits)}
            yield from (row for row in run if row[_SEQ] not in known)


def _runs(rows: list[Row]) -> Iterator[list[Row]]:
    """Split the events of a boot where its numbers leap, so that little is asked about."""
    start = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at][_SEQ] - rows[at - 1][_SEQ] > _LEAP:
            yield rows[start:at]
            start = at

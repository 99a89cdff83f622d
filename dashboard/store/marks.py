"""A teacher's marks of a class: "this was right", "this was wrong"; of minutes, never of a face."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select

from dashboard.store import schema as t
from dashboard.store.events import MINUTE_MS
from dashboard.store.windows import WINDOW_MIN
from emoshift.emotions import EMOTIONS, Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from dashboard.store.read import Archive

SCHEMA: Final = "emoshift.feedback/1"
AROUND_MIN: Final = 3
"""Minutes that a mark is about: the one that is marked and the two before it. Where a class is
shown in windows of time, the last whole window takes their place, as the teacher saw it."""
MOST_BACK_MIN: Final = 60
"""Older moments are not remembered well enough to be judged."""
_TOLD: Final = tuple(emotion.label for emotion in Emotion if emotion is not Emotion.NEUTRAL)


class Verdict(StrEnum):
    """What a teacher says of some minutes."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One mark.

    Attributes:
        id: Its number.
        at_ms: The end of the minutes marked.
        verdict: What was said.
    """

    id: int
    at_ms: int
    verdict: Verdict


def write_mark(
    engine: Engine, archive: Archive, device: int, *, author: str, verdict: Verdict, at_ms: int
) -> None:
    """Keep a mark together with the aggregates of the minutes it is about.

    The same account's earlier mark of the same minute is replaced. Minutes in which the class was
    too small to be shown add nothing.

    Args:
        engine: The database.
        archive: Its reader.
        device: The class.
        author: Whose mark it is.
        verdict: What is said.
        at_ms: The end of the minutes, milliseconds since 1970.
    """
    minute = at_ms // MINUTE_MS
    end_ms = minute * MINUTE_MS
    around_min = 2 * WINDOW_MIN if archive.windows else AROUND_MIN  # the last whole window
    shown = archive.class_history(device, end_ms - around_min * MINUTE_MS, end_ms)
    changes = [bucket.changes for bucket in shown if bucket.changes is not None]
    counts = (
        dict(zip(EMOTIONS, map(sum, zip(*changes, strict=True)), strict=True)) if changes else {}
    )
    info = archive.info(device)
    around = {
        "faces": round(sum(bucket.faces for bucket in shown) / len(shown), 1) if shown else 0.0,
        "minutes": sum(bucket.minutes for bucket in shown),
        "changes": {name: counts.get(name, 0) for name in _TOLD},
        "model": _model_of(info),
    }
    same = (t.MARK.c.device == device) & (t.MARK.c.author == author) & (t.MARK.c.at_ms == end_ms)
    with engine.begin() as connection:
        connection.execute(delete(t.MARK).where(same))
        connection.execute(
            insert(t.MARK).values(
                device=device,
                author=author,
                at_ms=end_ms,
                verdict=verdict.value,
                around=json.dumps(around),
            )
        )


def remove_mark(engine: Engine, device: int, *, author: str, number: int) -> None:
    """Remove one of the author's own marks."""
    own = (t.MARK.c.id == number) & (t.MARK.c.device == device) & (t.MARK.c.author == author)
    with engine.begin() as connection:
        connection.execute(delete(t.MARK).where(own))


def read_marks(engine: Engine, device: int, author: str, start_ms: int, end_ms: int) -> list[Mark]:
    """Return the marks that one account made on a class, oldest first; nobody else's."""
    wanted = (
        select(t.MARK.c.id, t.MARK.c.at_ms, t.MARK.c.verdict)
        .where(
            t.MARK.c.device == device,
            t.MARK.c.author == author,
            t.MARK.c.at_ms >= start_ms,
            t.MARK.c.at_ms <= end_ms,
        )
        .order_by(t.MARK.c.at_ms)
    )
    with engine.connect() as connection:
        return [
            Mark(id=row.id, at_ms=row.at_ms, verdict=Verdict(row.verdict))
            for row in connection.execute(wanted)
        ]


def export_marks(
    engine: Engine, device: int | None = None, *, author: str | None = None
) -> Iterator[str]:
    """Yield every mark of a class, or of all, as a line of JSON, without who made it.

    With an author, that account's marks alone.

    ``edge calibrate --feedback`` and ``train detector fit --feedback`` read these lines.
    """
    wanted = select(t.MARK.c.at_ms, t.MARK.c.verdict, t.MARK.c.around).order_by(t.MARK.c.at_ms)
    if device is not None:
        wanted = wanted.where(t.MARK.c.device == device)
    if author is not None:
        wanted = wanted.where(t.MARK.c.author == author)
    with engine.connect() as connection:
        for row in connection.execute(wanted):
            at = datetime.fromtimestamp(row.at_ms / 1000, UTC).isoformat(timespec="seconds")
            mark = {"schema": SCHEMA, "at": at, "verdict": row.verdict, **json.loads(row.around)}
            yield json.dumps(mark) + "\n"


def _model_of(info: dict[str, Any] | None) -> str:
    if info is None:
        return ""
    layer = info.get("site_layer")
    return f"{info.get('model', '')}+{layer}" if layer else str(info.get("model", ""))

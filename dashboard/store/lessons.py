"""Lesson marks and a teacher's notes: when a lesson began and ended, and what happened in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select, update

from dashboard.store import schema as t

if TYPE_CHECKING:
    from sqlalchemy import Engine

UNDO_MS: Final = 10 * 60_000
"""A mark can be taken back for this long."""
MAX_NOTE: Final = 200
"""Characters of a note that are kept."""


def start_lesson(engine: Engine, device: int, *, title: str, by: str, now_ms: int) -> None:
    """Mark the start of a lesson; one that still ran in the same room ends with it."""
    with engine.begin() as connection:
        connection.execute(
            update(t.LESSON)
            .where(t.LESSON.c.device == device, t.LESSON.c.ended_ms.is_(None))
            .values(ended_ms=now_ms)
        )
        connection.execute(
            insert(t.LESSON).values(
                device=device, title=title[:120], started_ms=now_ms, marked_by=by
            )
        )


def end_lesson(engine: Engine, device: int, *, by: str | None, now_ms: int) -> bool:
    """Mark the end of the running lesson; returns whether there was one.

    Args:
        engine: The database.
        device: The class.
        by: Whose lesson it must be; ``None`` for anybody's.
        now_ms: When, milliseconds since 1970.
    """
    running = (t.LESSON.c.device == device) & t.LESSON.c.ended_ms.is_(None)
    if by is not None:
        running &= t.LESSON.c.marked_by == by
    with engine.begin() as connection:
        ended = connection.execute(update(t.LESSON).where(running).values(ended_ms=now_ms))
        return ended.rowcount > 0


def undo_lesson(engine: Engine, device: int, *, by: str | None, now_ms: int) -> bool:
    """Take the latest mark of a room back, if it is recent; returns whether there was one.

    A lesson just started is removed, and one that it ended runs on; a lesson just ended runs on.
    Only marks of the account ``by`` are taken back; ``None`` is any account.
    """
    with engine.begin() as connection:
        latest = connection.execute(
            select(t.LESSON)
            .where(t.LESSON.c.device == device)
            .order_by(t.LESSON.c.started_ms.desc(), t.LESSON.c.id.desc())
            .limit(1)
        ).first()
        if latest is None or (by is not None and latest.marked_by != by):
            return False
        if latest.ended_ms is None:
            if now_ms - latest.started_ms > UNDO_MS:
                return False
            connection.execute(delete(t.LESSON).where(t.LESSON.c.id == latest.id))
            connection.execute(
                update(t.LESSON)
                .where(t.LESSON.c.device == device, t.LESSON.c.ended_ms == latest.started_ms)
                .values(ended_ms=None)
            )
            return True
        if now_ms - latest.ended_ms > UNDO_MS:
            return False
        connection.execute(update(t.LESSON).where(t.LESSON.c.id == latest.id).values(ended_ms=None))
        return True


def write_note(engine: Engine, device: int, *, author: str, at_ms: int, text: str) -> None:
    """Keep a note on a class; only its author will see it."""
    with engine.begin() as connection:
        connection.execute(
            insert(t.ANNOTATION).values(
                device=device, author=author, at_ms=at_ms, text=text[:MAX_NOTE]
            )
        )


def remove_note(engine: Engine, device: int, *, author: str, number: int) -> None:
    """Remove one of the author's own notes."""
    with engine.begin() as connection:
        connection.execute(
            delete(t.ANNOTATION).where(
                t.ANNOTATION.c.id == number,
                t.ANNOTATION.c.device == device,
                t.ANNOTATION.c.author == author,
            )
        )

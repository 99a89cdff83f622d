"""Lesson marks: when one began, when it ended, what it was called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, update

from dashboard.store import schema as t

if TYPE_CHECKING:
    from sqlalchemy import Engine


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
    """Mark the end of the running lesson; tell whether there was one.

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

"""Messages that the database refused, kept with their payload until somebody decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from dashboard.store import schema as t
from dashboard.store.batch import gather
from dashboard.store.read import Archive
from emoshift.messages import MessageError, Problem, read_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from dashboard.store.write import HistoryWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One message that the database refused.

    Attributes:
        id: Number of the row.
        received_ms: When it was received, milliseconds since 1970.
        topic, payload: The message.
        reason: What the database said.
    """

    id: int
    received_ms: int
    topic: str
    payload: bytes
    reason: str


class DeadLetters:
    """The dead letters of a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, ids: Sequence[int] | None = None) -> list[DeadLetter]:
        """Return them, oldest first; those with certain numbers, or all."""
        wanted = select(t.DEAD_LETTER).order_by(t.DEAD_LETTER.c.id)
        if ids is not None:
            wanted = wanted.where(t.DEAD_LETTER.c.id.in_(ids))
        with self._engine.connect() as connection:
            return [DeadLetter(**row) for row in connection.execute(wanted).mappings()]

    def retry(self, letter: DeadLetter, history: HistoryWriter) -> None:
        """Store one as if it had just been received, and forget it here.

        Raises:
            DBAPIError: The database refuses it still.
            MessageError: Its device is not approved.
        """
        message = read_message(letter.topic, letter.payload, received_ms=letter.received_ms)
        history.write(gather([message]))
        if Archive(self._engine).device(message.address) is None:
            detail = f"{message.address} is not approved; run: edge-dashboard devices list"
            raise MessageError(Problem.UNKNOWN_DEVICE, detail, message.address)
        self.drop([letter.id])

    def drop(self, ids: Sequence[int]) -> int:
        """Delete some; returns how many there were."""
        with self._engine.begin() as connection:
            return connection.execute(
                delete(t.DEAD_LETTER).where(t.DEAD_LETTER.c.id.in_(ids))
            ).rowcount

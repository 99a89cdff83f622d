"""Make the next items while the present one is in use."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class _End:
    """Closes the line; carries what went wrong, if anything did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Line(Generic[T]):
    """A bounded queue whose writer gives up when the reader has left."""

    def __init__(self, depth: int) -> None:
        self.items: queue.Queue[T | _End] = queue.Queue(depth)
        self.left = threading.Event()

    def offer(self, item: T | _End) -> bool:
        while not self.left.is_set():
            try:
                self.items.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def fill(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if not self.offer(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by the reader
            self.offer(_End(error))
        else:
            self.offer(_End(None))


def ahead(items: Iterable[T], depth: int = 4) -> Iterator[T]:
    """Yield ``items`` in order, made on a thread up to ``depth`` in advance."""
    line: _Line[T] = _Line(depth)
    thread = threading.Thread(target=line.fill, args=(items,), name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := line.items.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        line.left.set()
        thread.join()

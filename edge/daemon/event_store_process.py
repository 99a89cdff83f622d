"""The process that has the outbox open for the vision process (`edge.daemon.event_store`).

Requests come on standard input, answers of a fixed size go out on standard output. It ends when
the input does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from edge.config import Outbox as OutboxSettings
from edge.daemon.confine import confine
from edge.daemon.event_store import ANSWER, LENGTH, STATES
from edge.daemon.isolation import die_with_parent, seal_memory
from edge.outbox.event import TransitionEvent
from edge.outbox.settings import OutboxStats, memory_path
from edge.outbox.store import Outbox
from emoshift.errors import EmoshiftError
from emoshift.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOTHING: Final = OutboxStats(
    depth=0, pending=0, dropped=0, damaged=0, set_aside=0, stored=0, state=STATES[0]
)


def main(parent: int) -> None:
    """Serve the process that started this one until it has no more requests.

    Args:
        parent: Its number; this process dies with it.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the vision process ends in order, and this with it
    die_with_parent(parent, signal.SIGKILL)
    seal_memory()
    set_up_logs(logging.INFO)
    # Whatever prints, prints elsewhere: the answers alone go to the vision process.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    try:
        outbox = _open(_read(requests))
    except EmoshiftError as why:
        answers.write(_answer(problem=str(why)))
        return
    with outbox:
        answers.write(_answer())
        while request := _read(requests):
            answers.write(_serve(outbox, request))


def _open(request: Sequence[str]) -> Outbox:
    settings = OutboxSettings.model_validate_json(request[1])
    folder, memory = settings.path.parent, memory_path(settings.path)
    with contextlib.suppress(OSError):  # opening it says so, with what to do
        folder.mkdir(parents=True, exist_ok=True)
    writes = [folder] if memory is None else [folder, memory.parent]
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    code = [Path(sysconfig.get_path(name)) for name in names]
    confine(writes=writes, reads=[*code, Path(__file__).parents[2], Path("/proc")])
    return Outbox.from_config(settings, writer=True)


def _read(requests: BinaryIO) -> list[str]:
    """Return the next request; nothing at the end of all."""
    head = requests.read(LENGTH.size)
    if len(head) != LENGTH.size:
        return []
    found: list[str] = json.loads(requests.read(LENGTH.unpack(head)[0]))
    return found


def _serve(outbox: Outbox, request: Sequence[str]) -> bytes:
    match request:
        case ["append", *changes]:
            outbox.append([TransitionEvent.from_json(change) for change in changes])
        case ["snapshot", ("info" | "class" | "health") as kind, body]:
            return _answer(done=outbox.put_snapshot(kind, body))
        case ["expire"]:
            outbox.expire()
        case ["stats"]:
            return _answer(outbox.stats())
        case _:
            return _answer(problem=f"unknown request {request[0]!r}")
    return _answer()


def _answer(stats: OutboxStats = _NOTHING, *, done: bool = True, problem: str = "") -> bytes:
    counts = (stats.depth, stats.pending, stats.dropped, stats.damaged, stats.set_aside)
    said = problem.encode("ascii", "replace")[:200]
    return ANSWER.pack(done, STATES.index(stats.state), *counts, stats.stored, said)


if __name__ == "__main__":
    main(int(sys.argv[1]))

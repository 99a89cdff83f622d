"""The outbox as the vision process sees it: another process that opens the file.

The file is shared with the process that has the network, which may have been taken over. So the
vision process never reads it: it hands its events and messages to a process of its own, confined to
the outbox's folder (`edge.daemon.confine`), and gets answers of a fixed size back.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Final, Protocol, Self

from edge.outbox.settings import OutboxState, OutboxStats
from emoshift.errors import OutboxError
from emoshift.logs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge import config
    from edge.outbox.event import TransitionEvent
    from edge.outbox.store import SnapshotKind

ANSWER: Final = struct.Struct("<BB6x6Q200s")
"""Whether it was done, the outbox's state, its six counts, and what went wrong, as ASCII."""
LENGTH: Final = struct.Struct("<I")
"""Of a request, which follows as JSON."""
STATES: Final = tuple(OutboxState)

_CLOSE_S: Final = 10.0


class EventStore(Protocol):
    """What deciding needs of an outbox: `edge.outbox.store.Outbox`, or a process that has one."""

    def append(self, changes: Sequence[TransitionEvent]) -> object:
        """Store changes, oldest first."""

    def flush(self) -> object:
        """Store what earlier calls could not."""

    def put_snapshot(self, kind: SnapshotKind, body: str) -> bool:
        """Replace the latest word of a kind."""

    def expire(self) -> None:
        """Do what only time demands."""

    def stats(self) -> OutboxStats:
        """Count what waits and what was given up."""


class EventStoreProcess:
    """A process that has the outbox open for writing, for as long as this is open.

    It dies with this process. Where it ends by itself, or cannot open the outbox, every later call
    raises `OutboxError`; what was stored until then stays stored. It is opened while others start.

    Args:
        settings: The outbox that is configured.
        command: How to start the process.

    Raises:
        OutboxError: It cannot be started.
    """

    def __init__(self, settings: config.Outbox, *, command: Sequence[str] | None = None) -> None:
        self._path = settings.path
        try:
            self._process = subprocess.Popen(
                _command() if command is None else command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as why:
            raise OutboxError(
                f"{self._path}: the process that stores events cannot be started: {why.strerror}"
            ) from why
        if self._process.stdin is None or self._process.stdout is None:
            raise OutboxError(f"{self._path}: the process that stores events has no pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._opening = True
        with contextlib.suppress(OutboxError):  # the first call says so
            self._send("open", settings.model_dump_json())

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def append(self, changes: Sequence[TransitionEvent]) -> None:
        """Store changes in one commit, oldest first; see `edge.outbox.store.Outbox.append`."""
        self._ask("append", *(change.to_json() for change in changes))

    def flush(self) -> None:
        """Store what earlier calls could not."""
        self._ask("append")

    def put_snapshot(self, kind: SnapshotKind, body: str) -> bool:
        """Replace the latest word of a kind; False where the disk refuses."""
        return self._ask("snapshot", kind, body)[0] == 1

    def expire(self) -> None:
        """Drop what is too old, and go back to a disk that has recovered."""
        self._ask("expire")

    def stats(self) -> OutboxStats:
        """Count what waits and what was given up."""
        _, state, depth, pending, dropped, damaged, set_aside, stored, _ = self._ask("stats")
        return OutboxStats(
            depth=depth,
            pending=pending,
            dropped=dropped,
            damaged=damaged,
            set_aside=set_aside,
            stored=stored,
            state=STATES[state],
        )

    def close(self) -> None:
        """Let the process store what it still holds and end."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, *request: str) -> tuple[int, int, int, int, int, int, int, int, bytes]:
        """Send a request and return the answer, whose every field is checked.

        Raises:
            OutboxError: The process has ended, answers nonsense, or says what is wrong.
        """
        if self._opening:
            self._opening = False
            self._receive()
        self._send(*request)
        return self._receive()

    def _send(self, *request: str) -> None:
        body = json.dumps(request).encode()
        try:
            self._requests.write(LENGTH.pack(len(body)) + body)
            self._requests.flush()
        except OSError as why:
            raise self._ended() from why

    def _receive(self) -> tuple[int, int, int, int, int, int, int, int, bytes]:
        found = self._answers.read(ANSWER.size)
        if len(found) != ANSWER.size:
            raise self._ended()
        answer = ANSWER.unpack(found)
        said = answer[-1].rstrip(b"\0").decode("ascii", "replace")
        if said:
            raise OutboxError(printable(said))
        if answer[0] > 1 or answer[1] >= len(STATES) or max(answer[2:8]) >= 2**53:
            raise OutboxError(f"{self._path}: the process that stores events answers nonsense")
        return answer

    def _ended(self) -> OutboxError:
        return OutboxError(f"{self._path}: the process that stores events has ended; see above")


def _command() -> list[str]:
    flags = ["-P"] if sys.flags.safe_path else []
    return [sys.executable, *flags, "-m", "edge.daemon.event_store_process", str(os.getpid())]

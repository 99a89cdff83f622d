"""Keeps a worker running: started again when it ends, and when it says nothing any more."""

from __future__ import annotations

import logging
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from dashboard.ingest.report import WorkerReport

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG: Final = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
SILENT_S: Final = 60.0
"""A worker that says nothing for this long hangs, and is started anew."""
_STEADY_S: Final = 60.0
"""A worker that ran for this long is started again at once."""
_GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervised:
    """What the supervisor knows of its worker.

    Attributes:
        running: Whether the process is there.
        restarts: How often it was started again.
        report: What it said last; ``None`` before it said anything.
        age_s: How long ago that was.
    """

    running: bool
    restarts: int
    report: WorkerReport | None
    age_s: float


class Supervisor:
    """Runs a worker as a process of its own while the block lasts.

    Args:
        arguments: Of the command that runs it, such as ``worker --leashed``.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "dashboard", *arguments]
        self._stop = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = -1
        self._report: WorkerReport | None = None
        self._reported_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="worker-supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        """The worker's process number, while there is one."""
        process = self._process
        return None if process is None else process.pid

    def state(self) -> Supervised:
        """Report how the worker is doing."""
        process = self._process
        return Supervised(
            running=process is not None and process.poll() is None,
            restarts=max(0, self._restarts),
            report=self._report,
            age_s=time.monotonic() - self._reported_s,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2 * _GRACE_S)

    def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stop.is_set():
            began_s = time.monotonic()
            self._restarts += 1
            try:
                code = self._run_once()
            except OSError as why:  # no memory or descriptor just now, or being upgraded
                code = f"cannot be started: {why}"
            if self._stop.is_set():
                return
            if time.monotonic() - began_s > _STEADY_S:
                wait_s = FIRST_WAIT_S
            LOG.error("the worker ended (%s); started again in %.1f s", code, wait_s)
            self._stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _run_once(self) -> str:
        self._reported_s = time.monotonic()
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._process, self._report = process, None
        hung = False
        try:
            while not self._stop.is_set() and not hung and self._read(process):
                state = self.state()
                hung = state.report is not None and state.age_s > SILENT_S
        finally:
            (process.kill if hung else process.terminate)()
            try:
                process.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
        return f"silent for {SILENT_S:.0f} s" if hung else f"exit {process.returncode}"

    def _read(self, process: subprocess.Popen[bytes]) -> bool:
        """Take in what the worker says for a moment; False when it has ended."""
        if process.stdout is None:
            return False
        ready, _, _ = select.select([process.stdout], [], [], 0.25)
        if not ready:
            return process.poll() is None
        line = process.stdout.readline()
        if line:
            try:
                self._report = WorkerReport.from_line(line)
            except (ValueError, TypeError):
                LOG.debug("the worker says %r", line)
            self._reported_s = time.monotonic()
        return bool(line)

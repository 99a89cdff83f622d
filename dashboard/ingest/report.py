"""How a worker is doing: written by the worker, read by the process that supervises it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker says of itself about once a second.

    Attributes:
        connected: Whether it has the broker.
        stalled: Why the database takes nothing; empty while it does.
        waiting: Messages received and not stored yet.
        lag_ms: How long the oldest message of the last commit had waited.
        committed_ms: The last commit, milliseconds since 1970; 0 for none since the start.
    """

    connected: bool
    stalled: str
    waiting: int
    lag_ms: int
    committed_ms: int

    def to_line(self) -> bytes:
        """Write it as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> WorkerReport:
        """Read such a line."""
        return cls(**json.loads(line))

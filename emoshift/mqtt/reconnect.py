"""When to try again, with which protocol, and how loudly to say so: no clock, no socket."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from emoshift.mqtt.connection import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 4.0
"""Short enough that a broker that returns is found within five seconds."""
ANSWER_S: Final = 5.0
"""A broker that takes a connection but does not answer CONNECT in this time is given up."""
FIRST_ANSWER_S: Final = 1.5
"""Likewise for the preferred version before a broker has accepted it: brokers of MQTT 3.1.1 that
misread the CONNECT of MQTT 5 wait for the rest of it for ever instead of refusing."""
SLOW_DELAY_S: Final = 60.0
"""For what only a person can mend."""
SETTLED_S: Final = 30.0
"""A connection that held this long makes the delays start from the beginning."""

_PATIENCE: Final = {Failure.HUNG_UP: 2, Failure.SILENT: 1}
"""So often in a row may a broker do this before the other version is tried. A broker may refuse a
version by it; a cut wire looks the same, and 3.1.1 does not show whether anybody listens."""
_PATIENCE_PROVEN: Final = 4
"""Likewise with a version that it has accepted before."""
_SLOW: Final = (
    Failure.CREDENTIALS,
    Failure.AUTHENTICATION,
    Failure.FORBIDDEN,
    Failure.IDENTITY,
    Failure.PROTOCOL,
    Failure.TAKEN_OVER,
    Failure.TOO_OFTEN,
    Failure.MOVED,
    Failure.SUBSCRIPTION,
    Failure.ADMINISTRATOR,
)
"""What only a person can mend, or what more attempts would make worse."""
_ADAPT: Final = (Failure.NO_RETAIN, Failure.NO_QOS)
"""After these the owner of the connection asks for less, and may try at once."""


class ConnectionState(Enum):
    """Where somebody stands with the broker."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    ONLINE = "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What to log of a failure."""

    level: int
    text: str


class Reconnect:
    """The state of the link and the plan for the next attempt.

    Args:
        protocols: MQTT versions to try, the preferred one first.
        jitter: Gives numbers in 0 to 1, so that a building's devices do not return as one.
    """

    def __init__(self, protocols: tuple[str, ...], jitter: Callable[[], float]) -> None:
        self.state = ConnectionState.WAITING
        self.due_s = float("-inf")
        self._protocols = protocols
        self._choice = 0
        self._jitter = jitter
        self._delay_s = FIRST_DELAY_S
        self._since_s = 0.0
        self._said: Failure | None = None
        self._refused_protocols = 0
        self._accepted: str | None = None
        self._unexplained = 0
        self._flapping = False

    @property
    def protocol(self) -> str:
        """Which version to try, or is in use."""
        return self._protocols[self._choice]

    @property
    def since_s(self) -> float:
        """When the present state began."""
        return self._since_s

    @property
    def answer_s(self) -> float:
        """How long the broker may take to answer the CONNECT of this attempt."""
        older_left = self._choice + 1 < len(self._protocols)
        return FIRST_ANSWER_S if older_left and self._accepted != self.protocol else ANSWER_S

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to connect."""
        return self.state is ConnectionState.WAITING and now_s >= self.due_s

    def start(self, now_s: float) -> None:
        """An attempt begins."""
        self.state = ConnectionState.CONNECTING
        self._since_s = now_s

    def succeed(self, now_s: float) -> int:
        """The broker has accepted us; returns the level to log it at."""
        level = logging.DEBUG if self._flapping else logging.INFO
        self.state = ConnectionState.ONLINE
        self._since_s = now_s
        self._refused_protocols = self._unexplained = 0
        self._accepted = self.protocol
        return level

    def fail(self, failure: Failure, detail: str, now_s: float) -> Notice:
        """There is no connection (any more); plan the next attempt and return what to log."""
        if self.state is ConnectionState.ONLINE:
            self._choice = 0  # it may have been another broker, or a hang-up, that refused
            self._flapping = now_s - self._since_s < SETTLED_S and self._said is failure
            if now_s - self._since_s >= SETTLED_S:
                self._delay_s = FIRST_DELAY_S
                self._said = None
        self.state = ConnectionState.WAITING
        self._since_s = now_s
        if self._refuses_version(failure):
            refused = self.protocol
            if self._next_protocol():
                self.due_s = now_s
                return Notice(
                    level=logging.DEBUG,
                    text=f"MQTT {refused}: {detail}; trying MQTT {self.protocol}",
                )
        if failure in _ADAPT and failure is not self._said:
            self._said = failure
            self.due_s = now_s
            return Notice(level=logging.WARNING, text=f"{detail}; {failure.value}")
        if failure is Failure.RESTARTED:  # wanted: at once, and nothing to worry about
            self.due_s = now_s
            return Notice(level=logging.DEBUG, text=f"{detail}; {failure.value}")
        if failure in _SLOW or failure in _ADAPT:
            wait_s = SLOW_DELAY_S
        else:
            wait_s = self._delay_s
            self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)
        wait_s *= 0.5 + 0.5 * self._jitter()
        self.due_s = now_s + wait_s
        level = logging.DEBUG if failure is self._said else logging.WARNING
        self._said = failure
        return Notice(
            level=level, text=f"{detail}; {failure.value}; next attempt in {wait_s:.1f} s"
        )

    def _refuses_version(self, failure: Failure) -> bool:
        """Whether it looks as if the broker did not like the version of MQTT."""
        if failure is Failure.PROTOCOL:
            return True
        if failure not in _PATIENCE:
            return False
        self._unexplained += 1
        if self._accepted is None:
            patience = _PATIENCE[failure]
        else:
            patience = _PATIENCE_PROVEN if self._accepted == self.protocol else 1
        return self._unexplained >= patience

    def _next_protocol(self) -> bool:
        """Turn to the next version, unless all have been refused since the last success."""
        self._refused_protocols += 1
        self._unexplained = 0
        self._choice = (self._choice + 1) % len(self._protocols)
        if self._refused_protocols < len(self._protocols):
            return True
        self._refused_protocols = 0
        return False

"""Keeps a connection to a broker up: connects, waits, tries again, in one thread."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final

from emoshift.mqtt.connection import Connected, ConnectionEvent, Failure, Lost
from emoshift.mqtt.paho import PROTOCOLS
from emoshift.mqtt.reconnect import ConnectionState, Reconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emoshift.mqtt.connection import Connection, OutgoingMessage
    from emoshift.mqtt.wakeup import Wakeup

_NO_TOKEN: Final = -1


class ReconnectingConnection:
    """One connection after another; its owner calls `turn` for ever.

    Args:
        connect: Makes a connection for a version of MQTT.
        address: Of the broker, for messages.
        log: Where to say that the connection came or went; nowhere if ``None``.
        wakeup: Ends the wait between two attempts (and, where the connection polls it too, of a
            turn).
    """

    def __init__(
        self,
        connect: Callable[[str], Connection],
        *,
        address: str,
        log: logging.Logger | None = None,
        wakeup: Wakeup | None = None,
    ) -> None:
        self.notice = ""
        """The last word on why there is no connection."""
        self.notice_level = logging.DEBUG
        """How loudly it was said: once for each kind of failure as a warning."""
        self._connect = connect
        self._address = address
        self._log = log
        self._wakeup = wakeup
        self._plan = Reconnect(PROTOCOLS, random.random)
        self._connection: Connection | None = None

    @property
    def state(self) -> ConnectionState:
        """Whether it waits, connects or is online."""
        return self._plan.state

    @property
    def online(self) -> bool:
        """Whether the broker is there now."""
        return self._plan.state is ConnectionState.ONLINE

    @property
    def since_s(self) -> float:
        """When the present state began, on the monotonic clock."""
        return self._plan.since_s

    @property
    def due_s(self) -> float:
        """When the next attempt is due, while it waits."""
        return self._plan.due_s

    def turn(self, timeout_s: float) -> Sequence[ConnectionEvent]:
        """Do what is due for about this long, or as long as connecting takes.

        Returns:
            What happened. After `Connected` the owner subscribes; after `Lost` it waits, for the
            next `Connected` comes by itself.
        """
        now_s = time.monotonic()
        if self._connection is None:
            if self._plan.is_due(now_s):
                self._start(now_s)
            else:
                self._wait(min(timeout_s, self._plan.due_s - now_s))
            return ()
        events = [*self._connection.turn(timeout_s)]
        now_s = time.monotonic()
        slow = self.state is ConnectionState.CONNECTING and now_s - self.since_s > (
            self._plan.answer_s
        )
        if slow and not events:
            detail = f"no answer to CONNECT within {self._plan.answer_s:g} s"
            events.append(Lost(failure=Failure.SILENT, detail=detail))
        for event in events:
            if isinstance(event, Connected):
                level = self._plan.succeed(now_s)
                self._log_notice(level, f"connected to {self._address} (MQTT {event.protocol})")
            elif isinstance(event, Lost):
                self.lose(event.failure, event.detail)
        return events

    def send(self, message: OutgoingMessage) -> int:
        """Send a message; returns its token, or -1 while there is no connection."""
        return _NO_TOKEN if self._connection is None else self._connection.send(message)

    def subscribe(self, *topics: str) -> None:
        """Subscribe on this connection; the next one starts without."""
        if self._connection is not None and topics:
            self._connection.subscribe(*topics)

    def unsubscribe(self, *topics: str) -> None:
        """End subscriptions."""
        if self._connection is not None and topics:
            self._connection.unsubscribe(*topics)

    def acknowledge(self, token: int) -> None:
        """Acknowledge a received message; one of an earlier connection is ignored."""
        if self._connection is not None:
            self._connection.acknowledge(token)

    def restart(self) -> None:
        """Say goodbye and connect anew, so that what was not acknowledged comes again."""
        self.close()
        self.lose(Failure.RESTARTED, "asked to connect again")

    def lose(self, failure: Failure, detail: str) -> None:
        """Give this connection up and plan the next one."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None
        notice = self._plan.fail(failure, detail, time.monotonic())
        self.notice, self.notice_level = notice.text, notice.level
        self._log_notice(notice.level, f"broker {self._address}: {notice.text}")

    def close(self) -> None:
        """Say goodbye."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _start(self, now_s: float) -> None:
        connection = self._connect(self._plan.protocol)
        self._connection = connection
        self._plan.start(now_s)
        connection.open()

    def _log_notice(self, level: int, text: str) -> None:
        if self._log is not None:
            self._log.log(level, "%s", text)

    def _wait(self, timeout_s: float) -> None:
        if self._wakeup is None:
            time.sleep(max(0.0, timeout_s))
        else:
            self._wakeup.wait(timeout_s)

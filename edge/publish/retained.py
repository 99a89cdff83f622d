"""The retained messages beside the events: what the vision process last said of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emoshift.mqtt.connection import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.outbox.statements import Snapshot

CLASS_EXPIRY_S: Final = 90
"""A broker drops the class summary when nothing confirms it for this long (MQTT 5)."""
CLASS_REPEAT_S: Final = 30.0

_QOS: Final = {"info": 1, "class": 1, "health": 0}


class Snapshots:
    """Decides which snapshot is due on this connection.

    A class summary is repeated while the vision process lives, which its snapshots show, and
    cleared when it does not: nobody should read for hours how a class felt in the morning.

    Args:
        base: The device's topic.
        boot_session: This run of the kernel.
        stale_after_s: A vision process that wrote nothing for this long is not there.

    Attributes:
        fresh: The last message of each kind by its name; but for ``info``, while it is of now.
    """

    def __init__(self, *, base: str, boot_session: str, stale_after_s: float) -> None:
        self.fresh: dict[str, str] = {}
        self._base = base
        self._boot_session = boot_session
        self._stale_after_s = stale_after_s
        self._sent: dict[str, tuple[int, int]] = {}
        self._class_s = 0.0
        self._class_sent = True  # an earlier connection may have left one on the broker

    def restart(self) -> None:
        """On a new connection everything is due again."""
        self._sent.clear()
        self._class_sent = True

    def due(
        self, found: Iterable[Snapshot], *, generation: int, now_s: float
    ) -> list[OutgoingMessage]:
        """Return the messages to send now."""
        present = {snapshot.kind: snapshot for snapshot in found}
        fresh = {
            kind
            for kind, snapshot in present.items()
            if snapshot.boot_session == self._boot_session
            and now_s - snapshot.monotonic_s <= self._stale_after_s
        }
        alive = fresh | {"info"} | ({"class"} if fresh else set())
        self.fresh = {
            kind: snapshot.body
            for kind, snapshot in present.items()
            if kind in alive and (kind == "info" or snapshot.boot_session == self._boot_session)
        }
        messages = []
        for kind in ("info", "health"):
            if kind in present and (kind == "info" or kind in fresh):
                version = (generation, present[kind].version)
                if self._sent.get(kind) != version:
                    self._sent[kind] = version
                    messages.append(self._message(kind, present[kind].body))
        messages += self._class(present.get("class"), bool(fresh), generation, now_s)
        return messages

    def clear_class(self) -> list[OutgoingMessage]:
        """Return the message that removes the class summary from the broker, if one is there."""
        if not self._class_sent:
            return []
        self._class_sent = False
        self._sent.pop("class", None)
        return [self._message("class", "")]

    def _class(
        self, snapshot: Snapshot | None, alive: bool, generation: int, now_s: float
    ) -> list[OutgoingMessage]:
        if snapshot is None or not alive or snapshot.boot_session != self._boot_session:
            return self.clear_class()
        version = (generation, snapshot.version)
        if self._sent.get("class") == version and now_s - self._class_s < CLASS_REPEAT_S:
            return []
        self._sent["class"] = version
        self._class_s = now_s
        self._class_sent = True
        return [self._message("class", snapshot.body)]

    def _message(self, kind: str, body: str) -> OutgoingMessage:
        return OutgoingMessage(
            topic=f"{self._base}/{kind}",
            payload=body,
            qos=_QOS[kind],
            retain=True,
            expiry_s=CLASS_EXPIRY_S if kind == "class" and body else None,
        )


def stale_after_s(health_interval_s: float) -> float:
    """How long the vision process may be silent: two health messages and some patience."""
    return 2 * health_interval_s + 5.0

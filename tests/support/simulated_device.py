"""A device without a camera: its own library of bundles, and MQTT messages that follow from it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Self

from dashboard.simulate.classroom import Classroom
from edge.bundle.installed import Library
from emoshift.mqtt.connection import Connected, OutgoingMessage
from emoshift.mqtt.paho import Broker, PahoConnection
from emoshift.mqtt.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dashboard.simulate.classroom import Outgoing
    from emoshift.topics import Address

EVERY_S = 0.2


class SimulatedDevice:
    """Tells five times a second what its library holds, and how sure it is with that.

    Args:
        address: Its site and name.
        library: Folder of its bundles, which ``edge models`` changes.
        port: Of the broker on this machine.
        unsure: Share of predictions that nothing is decided by, by the id of a bundle.
    """

    def __init__(
        self, address: Address, library: Path, *, port: int, unsure: Mapping[str, float]
    ) -> None:
        self.address = address
        self.library = library
        self._room = Classroom(address, seed=1)
        self._unsure = unsure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._connection = ReconnectingConnection(
            lambda protocol: PahoConnection(Broker(host="127.0.0.1", port=port), protocol=protocol),
            address=f"127.0.0.1:{port}",
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        online = False
        try:
            while not self._stop.is_set():
                events = self._connection.turn(EVERY_S)
                if any(isinstance(event, Connected) for event in events):
                    online = True
                    self._send(self._room.status("online"))
                if online:
                    self._tell()
        finally:
            self._connection.close()

    def _tell(self) -> None:
        model = Library(self.library).load().manifest.bundle_id
        self._send(self._room.info(), model=model)
        self._send(self._room.health(0), abstained=self._unsure.get(model, 0.2))

    def _send(self, message: Outgoing, **changes: object) -> None:
        content = json.loads(message.payload) | changes
        self._connection.send(
            OutgoingMessage(
                topic=message.topic,
                payload=json.dumps(content).encode(),
                qos=message.qos,
                retain=message.retain,
            )
        )

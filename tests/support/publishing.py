"""A publisher and a subscriber, both real, each in a thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from edge.config import Config, parse_config
from edge.publish.publisher import run_publisher
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import (
    ConnectionChange,
    DeviceStatus,
    Gap,
    NewEvent,
    Notification,
    listen,
    subscriber_id,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def make_config(folder: Path, port: int, **mqtt: Any) -> Config:
    """A configuration whose outbox and broker are a test's own."""
    return parse_config(
        {
            "device": {"site": "school", "name": "room-12"},
            "outbox": {"path": str(folder / "outbox.db")},
            "mqtt": {"host": "127.0.0.1", "port": port, **mqtt},
        },
        where="test",
    )


class Running:
    """A publisher in a thread; leaving the block stops it cleanly."""

    def __init__(self, config: Config, *, grace_s: float = 0.0) -> None:
        self._grace_s = grace_s
        self.state = ""
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._config = config
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            run_publisher(self._config, self._stop, on_progress=self._note, grace_s=self._grace_s)
        except BaseException as why:  # noqa: BLE001 - reported by the test that waits for it
            self.failure = why

    def _note(self, state: str) -> None:
        self.state = state

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def stop_at_once(self) -> None:
        """Run it with the stop already asked for."""
        self._stop.set()
        self._run()
        assert self.failure is None

    def stop(self) -> None:
        """Ask for a clean stop and wait for it."""
        self._stop.set()
        self._thread.join(30.0)
        assert not self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Listening:
    """A subscriber in a thread that keeps the news."""

    def __init__(self, port: int) -> None:
        self.news: list[Notification] = []
        self._stop = threading.Event()
        self._broker = Broker.from_settings(make_config_mqtt(port), client_id=subscriber_id())
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for news in listen(self._broker, self._stop, keep_s=0):
            self.news.append(news)

    @property
    def online(self) -> bool:
        """Whether its link is up."""
        changes = [n for n in self.news if isinstance(n, ConnectionChange)]
        return bool(changes) and changes[-1].online

    @property
    def tracks(self) -> list[str]:
        """The events heard, after de-duplication, as they came."""
        return [n.event.track for n in list(self.news) if isinstance(n, NewEvent)]

    @property
    def states(self) -> list[str]:
        """What devices have said of their own presence."""
        return [n.state.value for n in list(self.news) if isinstance(n, DeviceStatus)]

    @property
    def on_time(self) -> list[str]:
        """The events heard that filled no gap, as they came."""
        return [n.event.track for n in list(self.news) if isinstance(n, NewEvent) and not n.late]

    @property
    def late(self) -> int:
        """How many events filled a gap that had been told."""
        return len(self.tracks) - len(self.on_time)

    @property
    def gaps(self) -> list[Gap]:
        """The gaps told."""
        return [n for n in list(self.news) if isinstance(n, Gap)]

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.online)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30.0)


def make_config_mqtt(port: int) -> Any:
    """The broker's table alone."""
    return parse_config({"mqtt": {"host": "127.0.0.1", "port": port}}, where="test").mqtt

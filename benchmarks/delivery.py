"""The other half: from an event in the outbox until a subscriber has it from a real broker."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.run import bench_config
from benchmarks.workload import outbox_folder
from edge.config import parse_config
from edge.outbox.store import Outbox
from edge.publish.publisher import run_publisher
from emoshift.errors import UnavailableError
from emoshift.local_broker import HOST, local_broker
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import ConnectionChange, NewEvent, listen, subscriber_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.outbox.event import TransitionEvent

_LONGEST_S: Final = 60.0
_APART_S: Final = 0.05
"""Events do not follow each other on the heels: each finds the publisher waiting."""


def time_delivery(changes: Sequence[TransitionEvent]) -> NDArray[np.float64]:
    """Put events one by one, and wait for each to come back from the broker.

    Returns:
        Shape ``(len(changes) - 1,)``, milliseconds from the call that stores an event until the
        subscriber has read it; the first one also waited for the link, so it does not count.

    Raises:
        UnavailableError: There is no broker, or not every event came back.
    """
    stop = threading.Event()
    took: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(outbox_folder()))
        broker = stack.enter_context(local_broker())
        data = bench_config().model_dump(mode="python")
        data["mqtt"].update(host=HOST, port=broker.port)
        data["outbox"]["path"] = folder / "outbox.db"
        config = parse_config(data, where="benchmark")
        outbox = stack.enter_context(Outbox.open(config.outbox.path, writer=True))
        publisher = threading.Thread(target=run_publisher, args=(config, stop), daemon=True)
        deadline = threading.Timer(_LONGEST_S, stop.set)
        deadline.start()
        waiting = list(reversed(changes))
        try:
            put_s = 0.0
            for news in listen(Broker.from_settings(config.mqtt, client_id=subscriber_id()), stop):
                now_s = time.perf_counter()
                if isinstance(news, NewEvent):
                    took.append(now_s - put_s)
                    time.sleep(_APART_S)
                elif not (isinstance(news, ConnectionChange) and news.online):
                    continue
                elif not publisher.is_alive():
                    publisher.start()
                if not waiting:
                    break
                put_s = time.perf_counter()
                outbox.append([waiting.pop()])
        finally:
            deadline.cancel()
            stop.set()
            if publisher.is_alive():
                publisher.join()
    if len(took) < len(changes):
        raise UnavailableError(f"only {len(took)} of {len(changes)} events came back from {HOST}")
    return np.array(took[1:]) * 1e3

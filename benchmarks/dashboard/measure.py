"""What `edge-bench dashboard` measures; each function returns what it found, in one line."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.dashboard.load import prepare, send
from benchmarks.dashboard.postgres import postgres, process_s
from dashboard.simulate.classroom import Outgoing, make_school
from dashboard.simulate.publish import PublishingLoad, Simulator
from dashboard.store.database import open_store
from dashboard.store.read import Archive
from dashboard.web.views import SPANS_MS
from emoshift.errors import InputError
from emoshift.local_broker import free_port, local_broker
from emoshift.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

_CATCH_UP_S: Final = 120.0
_KINDS: Final = ("worker", "broker", "database")


def _start_worker(port: int, database: str, name: str, *, shared: bool) -> subprocess.Popen[bytes]:
    arguments = ["worker", "--broker", f"127.0.0.1:{port}", "--name", name]
    arguments += ["--database", database, *(["--shared"] if shared else [])]
    return subprocess.Popen([sys.executable, "-m", "dashboard", *arguments])


@contextlib.contextmanager
def _workers(port: int, database: str, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    archive = Archive(open_store(database))
    names = [f"measured-{number}" for number in range(count)]
    processes = [_start_worker(port, database, name, shared=count > 1) for name in names]
    try:
        while not {w.name for w in archive.workers() if w.connected} >= set(names):
            time.sleep(0.1)
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def measure_ingest(*, postgresql: bool, events: int, workers: int) -> str:
    """Time how long events take from the broker to the database.

    They are published as fast as the broker takes them.
    """
    packets = prepare(_make_events(events))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres()) if postgresql else None
        setting = str(folder / "history.db") if server is None else server.make_database()
        running = stack.enter_context(local_broker(folder))
        port, name = running.port, running.name
        processes = stack.enter_context(_workers(port, setting, workers))
        archive = Archive(open_store(setting))

        def spent_s() -> tuple[float, ...]:
            mine = sum(process_s(process.pid) for process in processes)
            return time.process_time(), mine, 0.0 if server is None else server.processor_s()

        before_s, began_s = spent_s(), time.monotonic()
        sent_s = send(BrokerSettings(host="127.0.0.1", port=port), packets)
        stored = archive.count_events()
        while stored < events and time.monotonic() - began_s < sent_s + _CATCH_UP_S:
            time.sleep(0.1)
            stored = archive.count_events()
        took_s = time.monotonic() - began_s
        load, worker, database = (
            1e6 * (after_s - at_s) / events
            for after_s, at_s in zip(spent_s(), before_s, strict=True)
        )
        kind = archive.kind
    return (
        f"{name}, {kind}, {workers} worker(s): {events} sent in {sent_s:.1f} s, {stored} stored"
        f" after {took_s:.1f} s: {stored / took_s:.0f}/s, {events - stored} lost; processor time"
        f" an event: worker {worker:.0f} us, database server {database:.0f} us, load {load:.0f} us;"
        f" load average {os.getloadavg()[0]:.1f}"
    )


def _make_events(events: int) -> list[Outgoing]:
    rooms, began_ms = make_school(50, seed=1), time.time_ns() // 1_000_000
    return [rooms[n % len(rooms)].change(began_ms) for n in range(events)]


def measure_reading(database: str, *, runs: int) -> str:
    """Time reading a term of one class from a filled database."""
    archive = Archive(open_store(database))
    events, devices = archive.count_events(), archive.devices()
    if not devices:
        raise InputError(f"{database}: holds no class; fill one with: edge-bench dashboard fill")
    end_ms = max(device.seen_ms for device in devices)
    took_s = []
    for number in range(runs):
        device = devices[number % len(devices)]
        began_s = time.perf_counter()
        buckets = archive.class_history(device.id, end_ms - SPANS_MS["term"], end_ms)
        took_s.append(time.perf_counter() - began_s)
    took_s.sort()
    return (
        f"{events} events, {len(devices)} classes, n={runs}: p50 {statistics.median(took_s):.3f} s,"
        f" worst {took_s[-1]:.3f} s, {len(buckets)} buckets"
    )


def measure_restarts(*, postgresql: bool, count: int, rate: float) -> str:
    """Count what killing worker, broker and database loses.

    Each is killed in turn.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres()) if postgresql else None
        setting = str(folder / "history.db") if server is None else server.make_database()
        port = free_port()
        archive = Archive(open_store(setting))
        running = stack.enter_context(contextlib.ExitStack())
        running.enter_context(local_broker(folder, port=port, persistent=True))
        worker = _start_worker(port, setting, "measured", shared=False)
        while not any(w.connected for w in archive.workers()):
            time.sleep(0.1)
        simulator = Simulator(BrokerSettings(host="127.0.0.1", port=port), make_school(8, seed=5))
        stop, sent = threading.Event(), []
        thread = threading.Thread(
            target=lambda: sent.append(simulator.run(PublishingLoad(rate=rate), stop).transitions)
        )
        thread.start()
        done = dict.fromkeys(("worker", "broker") if server is None else _KINDS, 0)
        for number in range(count):
            time.sleep(2)
            kind = tuple(done)[number % len(done)]
            done[kind] += 1
            if kind == "worker":
                worker.kill()
                worker.wait()
                worker = _start_worker(port, setting, "measured", shared=False)
            elif kind == "broker":
                running.close()
                running.enter_context(local_broker(folder, port=port, persistent=True))
            elif server is not None:
                server.stop()  # at once, in the middle of whatever it does
                time.sleep(0.5)
                server.start()
        time.sleep(5)
        stop.set()
        thread.join()
        until_s = time.monotonic() + _CATCH_UP_S
        while archive.count_events() < sent[0] and time.monotonic() < until_s:
            time.sleep(0.2)
        stored, missing = archive.count_events(), sum(map(archive.missing, _ids(archive)))
        kind, counted = archive.kind, archive.count_tallied()
        worker.terminate()
        worker.wait()
    restarted = ", ".join(f"{times} of the {what}" for what, times in done.items())
    return (
        f"{kind}, {count} restarts ({restarted}): {sent[0]} sent, {stored} stored,"
        f" {counted} in the sums by minute, {sent[0] - stored} lost, {missing} gaps"
    )


def _ids(archive: Archive) -> list[int]:
    return [device.id for device in archive.devices()]

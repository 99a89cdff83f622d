"""Measures the dashboard on this machine: ``python -m dashboard.measure ingest|term|restarts``."""

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

import click

from dashboard.postgres import postgres, process_s
from dashboard.simulate.classroom import Outgoing, make_school
from dashboard.simulate.publish import Load, Simulator
from dashboard.simulate.volley import prepare, send
from dashboard.store.database import open_engine, open_store
from dashboard.store.read import Archive
from dashboard.web.views import SPANS_MS
from emoshift.local_broker import free_port, local_broker
from emoshift.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

_CATCH_UP_S: Final = 120.0
_KINDS: Final = ("worker", "broker", "database")


@click.group()
def main() -> None:
    """Measure, and say what was measured."""


def _start_worker(port: int, database: str, name: str, *, shared: bool) -> subprocess.Popen[bytes]:
    arguments = ["worker", "--mqtt-host", "127.0.0.1", "--mqtt-port", str(port), "--name", name]
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


@main.command()
@click.option("--postgresql", is_flag=True, help="Store in a PostgreSQL server of its own.")
@click.option("--events", default=100_000, show_default=True)
@click.option("--workers", default=1, show_default=True)
def ingest(postgresql: bool, events: int, workers: int) -> None:
    """Tell events as fast as the broker takes them, and time until the last of them is stored.

    The processor time of each part is told too: on a busy machine it says more than the rate.
    """
    packets = prepare(_story(events))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres()) if postgresql else None
        setting = str(folder / "history.db") if server is None else server.make_database()
        server_of_mqtt = stack.enter_context(local_broker(folder))
        port, name = server_of_mqtt.port, server_of_mqtt.name
        processes = stack.enter_context(_workers(port, setting, workers))
        archive = Archive(open_store(setting))

        def spent_s() -> tuple[float, ...]:
            mine = sum(process_s(process.pid) for process in processes)
            return time.process_time(), mine, 0.0 if server is None else server.processor_s()

        before_s, began_s = spent_s(), time.monotonic()
        told_s = send(BrokerSettings(host="127.0.0.1", port=port), packets)
        stored = archive.count_events()
        while stored < events and time.monotonic() - began_s < told_s + _CATCH_UP_S:
            time.sleep(0.1)
            stored = archive.count_events()
        took_s = time.monotonic() - began_s
        load, worker, database = (
            1e6 * (after_s - at_s) / events
            for after_s, at_s in zip(spent_s(), before_s, strict=True)
        )
        kind = archive.kind
    click.echo(
        f"{name}, {kind}, {workers} worker(s): {events} told in {told_s:.1f} s, {stored} stored"
        f" after {took_s:.1f} s: {stored / took_s:.0f}/s, {events - stored} lost; processor time"
        f" an event: worker {worker:.0f} us, database server {database:.0f} us, load {load:.0f} us;"
        f" load average {os.getloadavg()[0]:.1f}"
    )


def _story(events: int) -> list[Outgoing]:
    rooms, began_ms = make_school(50, seed=1), time.time_ns() // 1_000_000
    return [rooms[n % len(rooms)].change(began_ms) for n in range(events)]


@main.command()
@click.option("--database", required=True, help="A filled database (edge-dashboard fill).")
@click.option("--runs", default=20, show_default=True)
def term(database: str, runs: int) -> None:
    """Read a term of one class from a filled database."""
    archive = Archive(open_engine(database))
    events, devices = archive.count_events(), archive.devices()
    end_ms = max(device.seen_ms for device in devices)
    took_s = []
    for number in range(runs):
        device = devices[number % len(devices)]
        began_s = time.perf_counter()
        buckets = archive.class_history(device.id, end_ms - SPANS_MS["term"], end_ms)
        took_s.append(time.perf_counter() - began_s)
    took_s.sort()
    click.echo(
        f"{events} events, {len(devices)} classes, n={runs}: p50 {statistics.median(took_s):.3f} s,"
        f" worst {took_s[-1]:.3f} s, {len(buckets)} buckets"
    )


@main.command()
@click.option("--postgresql", is_flag=True, help="Store in a PostgreSQL server, restarted as well.")
@click.option("--restarts", "count", default=100, show_default=True, help="All kinds together.")
@click.option("--rate", default=200.0, show_default=True)
def restarts(postgresql: bool, count: int, rate: float) -> None:
    """Kill the worker, the broker and the database in turn, and count what is missing."""
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
        stop, told = threading.Event(), []
        thread = threading.Thread(
            target=lambda: told.append(simulator.run(Load(rate=rate), stop).transitions)
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
        while archive.count_events() < told[0] and time.monotonic() < until_s:
            time.sleep(0.2)
        stored, missing = archive.count_events(), sum(map(archive.missing, _ids(archive)))
        kind, counted = archive.kind, archive.count_tallied()
        worker.terminate()
        worker.wait()
    restarted = ", ".join(f"{times} of the {what}" for what, times in done.items())
    click.echo(
        f"{kind}, {count} restarts ({restarted}): {told[0]} told, {stored} stored,"
        f" {counted} in the sums by minute, {told[0] - stored} lost, {missing} gaps"
    )


def _ids(archive: Archive) -> list[int]:
    return [device.id for device in archive.devices()]


if __name__ == "__main__":
    main()

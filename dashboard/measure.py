"""Measures the dashboard on this machine: ``python -m dashboard.measure ingest|term|restarts``."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dashboard.config import Broker
from dashboard.embedded import broker, free_port
from dashboard.simulate.classroom import make_school
from dashboard.simulate.publish import Load, Simulator
from dashboard.store.database import open_engine, open_store
from dashboard.store.read import Archive
from dashboard.web.views import SPANS_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

_CATCH_UP_S: Final = 120.0
_DATABASE: Final = click.option("--database", help="An empty database; a temporary file otherwise.")


@click.group()
def main() -> None:
    """Measure, and say what was measured."""


def _start_worker(port: int, database: str, name: str, *, shared: bool) -> subprocess.Popen[bytes]:
    arguments = ["worker", "--mqtt-host", "127.0.0.1", "--mqtt-port", str(port), "--name", name]
    arguments += ["--database", database, *(["--shared"] if shared else [])]
    return subprocess.Popen([sys.executable, "-m", "dashboard", *arguments])  # noqa: S603 - our own


@contextlib.contextmanager
def _workers(port: int, database: str, count: int) -> Iterator[None]:
    archive = Archive(open_store(database))
    names = [f"measured-{number}" for number in range(count)]
    processes = [_start_worker(port, database, name, shared=count > 1) for name in names]
    try:
        while not {w.name for w in archive.workers() if w.connected} >= set(names):
            time.sleep(0.1)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


@main.command()
@_DATABASE
@click.option("--events", default=40_000, show_default=True)
@click.option("--rate", default=20_000.0, show_default=True)
@click.option("--workers", default=1, show_default=True)
def ingest(database: str | None, events: int, rate: float, workers: int) -> None:
    """Tell events as fast as they go, and time until the last of them is stored."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        setting, port = database or str(folder / "history.db"), free_port()
        name = stack.enter_context(broker(folder, port=port))
        stack.enter_context(_workers(port, setting, workers))
        archive = Archive(open_store(setting))
        before = archive.count_events()
        simulator = Simulator(Broker(host="127.0.0.1", port=port), make_school(50, seed=1))
        began_s = time.monotonic()
        told = simulator.run(Load(rate=rate, events=events), threading.Event())
        while archive.count_events() - before < events:
            if time.monotonic() - began_s > told.seconds + _CATCH_UP_S:
                break
            time.sleep(0.05)
        took_s = time.monotonic() - began_s
        stored = archive.count_events() - before
    click.echo(
        f"{name}, {workers} worker(s): {events} told in {told.seconds:.1f} s, {stored} stored"
        f" after {took_s:.1f} s: {stored / took_s:.0f}/s, {events - stored} lost"
    )


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
@_DATABASE
@click.option("--rounds", default=50, show_default=True, help="Each kills a worker and a broker.")
@click.option("--rate", default=200.0, show_default=True)
def restarts(database: str | None, rounds: int, rate: float) -> None:
    """Kill the worker and restart the broker over and over, and count what is missing."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        setting, port = database or str(folder / "history.db"), free_port()
        archive = Archive(open_store(setting))
        running = stack.enter_context(contextlib.ExitStack())
        running.enter_context(broker(folder, port=port, persistent=True))
        worker = _start_worker(port, setting, "measured", shared=False)
        while not any(w.connected for w in archive.workers()):
            time.sleep(0.1)
        simulator = Simulator(Broker(host="127.0.0.1", port=port), make_school(8, seed=5))
        stop, told = threading.Event(), []
        thread = threading.Thread(
            target=lambda: told.append(simulator.run(Load(rate=rate), stop).transitions)
        )
        thread.start()
        for _ in range(rounds):
            time.sleep(2)
            worker.kill()
            worker.wait()
            worker = _start_worker(port, setting, "measured", shared=False)
            time.sleep(2)
            running.close()
            running.enter_context(broker(folder, port=port, persistent=True))
        time.sleep(5)
        stop.set()
        thread.join()
        until_s = time.monotonic() + _CATCH_UP_S
        while archive.count_events() < told[0] and time.monotonic() < until_s:
            time.sleep(0.2)
        stored, missing = archive.count_events(), sum(map(archive.missing, _ids(archive)))
        worker.terminate()
        worker.wait()
    click.echo(
        f"{2 * rounds} restarts: {told[0]} told, {stored} stored, {told[0] - stored} lost,"
        f" {missing} gaps"
    )


def _ids(archive: Archive) -> list[int]:
    return [device.id for device in archive.devices()]


if __name__ == "__main__":
    main()

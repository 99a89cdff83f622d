"""``edge-bench dashboard``: how much the dashboard takes on this machine."""

from __future__ import annotations

import time
from pathlib import Path

import click

from emoshift.errors import InputError, UsageError


@click.group()
def dashboard() -> None:
    """Measure the dashboard: storing, reading, and restarts."""


@dashboard.command()
@click.option("--postgresql", is_flag=True, help="Store in a PostgreSQL server of its own.")
@click.option("--events", default=100_000, show_default=True)
@click.option("--workers", default=1, show_default=True)
def ingest(*, postgresql: bool, events: int, workers: int) -> None:
    """Time how long events take from the broker to the database.

    They are published as fast as the broker takes them.

    The processor time of each part is printed too: on a busy machine it says more than the rate.

    \b
    Example:
      edge-bench dashboard ingest --postgresql
    """
    from benchmarks.dashboard.measure import measure_ingest

    click.echo(measure_ingest(postgresql=postgresql, events=events, workers=workers))


@dashboard.command()
@click.option("--events", default=5_000_000, show_default=True)
@click.option("--classes", default=50, show_default=True)
@click.option("--weeks", default=12, show_default=True)
@click.argument("database")
def fill(database: str, *, events: int, classes: int, weeks: int) -> None:
    """Fill an empty database with a simulated term.

    \b
    Example:
      edge-bench dashboard fill term.db
    """
    from benchmarks.dashboard.fill_history import fill_term
    from dashboard.store.database import open_store
    from dashboard.store.read import Archive

    began_s = time.monotonic()
    engine = open_store(database)
    if Archive(engine).devices():
        raise UsageError(f"{database}: is not empty; name a new one")
    fill_term(
        engine,
        events=events,
        rooms=classes,
        weeks=weeks,
        end_ms=time.time_ns() // 1_000_000,
        seed=1,
    )
    click.echo(f"{events} events in {time.monotonic() - began_s:.0f} s")


@dashboard.command()
@click.option("--runs", default=20, show_default=True)
@click.argument("database")
def read(database: str, *, runs: int) -> None:
    """Time reading a term of one class from a filled database.

    \b
    Example:
      edge-bench dashboard read term.db
    """
    from benchmarks.dashboard.measure import measure_reading

    if "://" not in database and not Path(database).exists():
        raise InputError(f"{database}: no such database; run: edge-bench dashboard fill {database}")
    click.echo(measure_reading(database, runs=runs))


@dashboard.command()
@click.option("--postgresql", is_flag=True, help="Store in a PostgreSQL server, restarted as well.")
@click.option("--restarts", "count", default=100, show_default=True, help="All kinds together.")
@click.option("--rate", default=200.0, show_default=True, help="Events a second.")
def restarts(*, postgresql: bool, count: int, rate: float) -> None:
    """Count what killing worker, broker and database loses.

    Each is killed in turn.

    \b
    Example:
      edge-bench dashboard restarts --restarts 100
    """
    from benchmarks.dashboard.measure import measure_restarts

    click.echo(measure_restarts(postgresql=postgresql, count=count, rate=rate))

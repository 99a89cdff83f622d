"""A database that refuses, and workers that are killed: nothing is acknowledged and thrown away."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from dashboard.cli import main
from dashboard.ingest.supervisor import Supervisor
from dashboard.simulate.classroom import Classroom
from dashboard.store.database import open_store
from dashboard.store.dead_letters import DeadLetters
from dashboard.store.read import Archive
from dashboard.store.registry import approve
from dashboard.store.write import HistoryWriter
from emoshift.topics import Address
from tests.dashboard.test_worker import publish, simulate, working
from tests.faults.report import add_to_report
from tests.support.dashboard import NOW_MS, settings
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker


def execute(setting: str, *statements: str) -> None:
    engine = open_store(setting)
    for statement in statements:
        with engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


def refuse(database: str, condition: str) -> None:
    """Let the database refuse events by a trigger."""
    if database.startswith("postgresql"):
        execute(
            database,
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'not this one'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON event FOR EACH ROW"
            f" WHEN ({condition}) EXECUTE FUNCTION refuse()",
        )
    else:
        execute(
            database,
            f"CREATE TRIGGER refuse BEFORE INSERT ON event WHEN {condition}"
            " BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )


def accept(database: str) -> None:
    """Let it take events again."""
    of = " ON event" if database.startswith("postgresql") else ""
    execute(database, f"DROP TRIGGER refuse{of}")


def test_one_refused_event_is_kept(mqtt, database, history, capsys):
    """What the database refuses of a single event is a dead letter; the others are stored."""
    refuse(database, "NEW.seq = 7")
    room = Classroom(Address("school", "room-1"), seed=1)
    messages = [room.change(NOW_MS + 1000 * i) for i in range(20)]
    with working(settings(mqtt, database)) as worker:
        publish(mqtt, [(room.status("online").topic, room.status("online").payload)])
        publish(mqtt, [(m.topic, m.payload) for m in messages])
        archive = history(database)
        wait_until(lambda: archive.count_events() == 19 and worker.figures.set_aside == 1)
    engine = open_store(database)
    (letter,) = DeadLetters(engine).read()
    assert letter.payload == messages[6].payload
    assert "not this one" in letter.reason
    accept(database)
    DeadLetters(engine).retry(letter, HistoryWriter(engine))
    assert archive.count_events() == 20
    assert DeadLetters(engine).read() == []
    figures = {"events": 20, "stored at once": 19, "dead letters": 1, "stored after retry": 20}
    add_to_report(capsys, f"{engine.dialect.name} refuses one event", figures)
    engine.dispose()


def test_refusing_every_event_is_an_outage(mqtt, database, history, capsys):
    """While every event is refused nothing is acknowledged; afterwards all are stored."""
    refuse(database, "NEW.seq > 0")
    config = settings(mqtt, database)
    with working(config) as worker:
        simulate(config, events=200)
        wait_until(lambda: "not this one" in worker.figures.stalled)
        accept(database)
        archive = history(database)
        wait_until(lambda: archive.count_events() == 200)
        assert worker.figures.set_aside == 0
        wait_until(lambda: not worker.figures.stalled)
    kind = "PostgreSQL" if database.startswith("postgresql") else "SQLite"
    figures = {"events": 200, "stored": archive.count_events(), "dead letters": 0}
    add_to_report(capsys, f"{kind} refuses every event for a while", figures)


def test_a_read_only_server(mqtt, postgres, history, capsys):
    """A server that became read-only (a fail-over) is waited for."""
    database = postgres.make_database()
    name = database.rsplit("/", 1)[1].split("?")[0]
    config = settings(mqtt, database)
    with working(config) as worker:
        execute(database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        execute(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        simulate(config, events=100)
        wait_until(lambda: "read-only" in worker.figures.stalled)
        engine = open_store(database.rsplit("/", 1)[0] + "/postgres" + _query(database))
        with engine.begin() as connection:
            connection.execute(
                text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off')
            )
        engine.dispose()
        archive = history(database)
        wait_until(lambda: archive.count_events() == 100)
    add_to_report(capsys, "PostgreSQL becomes read-only", {"events": 100, "stored": 100})


def _query(database: str) -> str:
    return "?" + database.split("?", 1)[1] if "?" in database else ""


def test_a_damaged_database(mqtt, sqlite, history, capsys):
    """With a damaged file nothing is acknowledged; once it is put back everything is stored."""
    config = settings(mqtt, sqlite)
    with working(config) as worker:
        simulate(config, events=50)
        wait_until(lambda: worker.figures.new == 50)
        with contextlib.closing(sqlite3.connect(sqlite, isolation_level=None)) as raw:
            raw.execute("CREATE TABLE other (x)")  # so that the worker reads the file again
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = Path(sqlite).read_bytes()
        with Path(sqlite).open("r+b") as file:
            file.write(whole[:100] + b"x" * (len(whole) - 100))
        publish_more(config)
        wait_until(lambda: worker.figures.stalled)
        assert worker.figures.new == 50
        with Path(sqlite).open("r+b") as file:
            file.write(whole)
        archive = history(sqlite)
        wait_until(lambda: archive.count_events() == 60)
    add_to_report(capsys, "SQLite file damaged and put back", {"events": 60, "stored": 60})


def publish_more(config) -> None:
    """Ten events of another room."""
    room = Classroom(Address("school", "room-9"), seed=9)
    publish(
        config.broker.port,
        [(m.topic, m.payload) for m in (room.change(NOW_MS + 1000 * i) for i in range(10))],
    )


def test_a_killed_worker_is_started_again(mqtt, sqlite, history, capsys):
    """The supervisor starts a killed worker again, and what came meanwhile is stored."""
    config = settings(mqtt, sqlite)
    open_store(sqlite).dispose()
    arguments = ["--broker", f"127.0.0.1:{mqtt}", "--database", sqlite]
    with Supervisor(["worker", "--leashed", *arguments]) as supervisor:
        wait_until(lambda: connected(supervisor))
        os.kill(supervisor.pid, signal.SIGKILL)
        killed_s = time.monotonic()
        simulate(config, events=50)
        wait_until(lambda: supervisor.state().restarts == 1 and connected(supervisor))
        back_s = time.monotonic() - killed_s
        archive = history(sqlite)
        wait_until(lambda: archive.count_events() == 50)
        wait_until(lambda: (supervisor.state().report.committed_ms or 0) > 0)
        pid = supervisor.pid
    wait_until(lambda: not alive(pid))
    figures = {"events": 50, "stored": 50, "until it listens again (s)": round(back_s, 1)}
    add_to_report(capsys, "dashboard's worker killed", figures)


def test_a_worker_that_cannot_be_started_is_tried_again(mqtt, sqlite, tmp_path, monkeypatch):
    """A system that has no room for a process at this moment leaves the pages no dead worker."""
    open_store(sqlite).dispose()
    interpreter, real = tmp_path / "python", sys.executable
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with Supervisor(
        ["worker", "--leashed", "--broker", f"127.0.0.1:{mqtt}", "--database", sqlite]
    ) as supervisor:
        wait_until(lambda: supervisor.state().restarts >= 1)
        interpreter.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
        interpreter.chmod(0o755)
        wait_until(lambda: connected(supervisor))


def test_a_retried_class_is_withheld_as_the_settings_say(sqlite):
    """What was set aside is stored by the rules of this dashboard, not by the usual ones."""
    engine, room = open_store(sqlite), Classroom(Address("school", "room-1"), seed=1, faces=6)
    config = Path(sqlite).with_name("dashboard.toml")
    config.write_text(f'[history]\ndatabase = "{sqlite}"\n[web]\nmin_faces = 10\n')
    reported = Classroom(room.address, seed=-1, faces=6).summary(NOW_MS)
    HistoryWriter(engine).set_aside(reported.topic, reported.payload, "said", received_ms=NOW_MS)
    ran = CliRunner().invoke(main, ["dead-letters", "retry", "--config", str(config)])
    assert ran.output == "1 stored\n"
    assert Archive(engine).class_history(1, NOW_MS - 60_000, NOW_MS + 60_000) == []
    engine.dispose()


def test_what_a_waiting_device_sent_stays_aside(sqlite):
    """A message of a device that nobody has approved is no dead letter less."""
    engine, room = open_store(sqlite), Classroom(Address("school", "room-1"), seed=1)
    config = Path(sqlite).with_name("dashboard.toml")
    config.write_text(f'[history]\ndatabase = "{sqlite}"\n[devices]\nautomatic = 0\n')
    reported = room.change(NOW_MS)
    HistoryWriter(engine).set_aside(reported.topic, reported.payload, "said", received_ms=NOW_MS)
    retry = ["dead-letters", "retry", "--config", str(config)]
    ran = CliRunner().invoke(main, retry)
    assert "not approved" in ran.output
    assert len(DeadLetters(engine).read()) == 1
    approve(engine, room.address, by="anna", now_ms=NOW_MS)
    assert CliRunner().invoke(main, retry).output == "1 stored\n"
    assert Archive(engine).count_events() == 1
    engine.dispose()


def connected(supervisor: Supervisor) -> bool:
    report = supervisor.state().report
    return report is not None and report.connected


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

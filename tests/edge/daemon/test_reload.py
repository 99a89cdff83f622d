"""SIGHUP: a good configuration takes over, a bad one changes nothing; what happens is said."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge.config import Config, parse_config
from edge.daemon.reload import CONCERNS, changed_keys, hold_fixed
from emoshift.mqtt.background import BackgroundConnection
from emoshift.mqtt.connection import Connected, Received
from emoshift.mqtt.paho import Broker
from tests.support.brokers import BrokerProcess
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emoshift.mqtt.connection import ConnectionEvent


def config(**tables: Any) -> Any:
    """A configuration of a few keys."""
    return parse_config(tables, where="test")


def test_every_table_concerns_a_process() -> None:
    """No table of the configuration is read again and then ignored by both processes."""
    heeded = {key.partition(".")[0] for keys in CONCERNS.values() for key in keys}
    assert heeded == set(Config.model_fields)


def test_changed_keys_are_named() -> None:
    """Every key that differs is named with its table."""
    before = config(mqtt={"host": "a"}, camera={"fps": 10})
    after = config(mqtt={"host": "b"}, camera={"fps": 10, "width": 640})
    assert changed_keys(before, after) == ["camera.width", "mqtt.host"]
    assert changed_keys(before, before) == []


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        pytest.param({"camera": {"fps": 5}}, {"camera": {"fps": 9}}, [], id="live"),
        pytest.param(
            {"outbox": {"path": "/a"}}, {"outbox": {"path": "/b"}}, ["outbox.path"], id="outbox"
        ),
        pytest.param(
            {"camera": {"source": "0"}},
            {"camera": {"source": "rtsp://camera/1"}},
            ["camera.source"],
            id="from a camera without to one with a network",
        ),
        pytest.param(
            {"camera": {"source": "0"}},
            {"camera": {"source": "gstreamer:nvarguscamerasrc"}},
            ["camera.source"],
            id="from a camera to one behind a service of this machine",
        ),
        pytest.param(
            {"camera": {"source": "gstreamer:nvarguscamerasrc"}},
            {"camera": {"source": "0"}},
            ["camera.source"],
            id="from one behind a service of this machine",
        ),
        pytest.param({"camera": {"source": "0"}}, {"camera": {"source": "1"}}, [], id="camera"),
    ],
)
def test_what_cannot_change_live_is_held(
    before: dict[str, Any], after: dict[str, Any], held: list[str]
) -> None:
    """Keys that cannot change live keep their old values and are named."""
    old, new = config(**before), config(**after)
    result, named = hold_fixed(old, new)
    assert named == held
    for name in held:
        table, _, key = name.partition(".")
        assert getattr(getattr(result, table), key) == getattr(getattr(old, table), key)


def write(path: Path, port: int, more: str = "") -> None:
    path.write_text(
        f'[device]\nname = "room-12"\n[outbox]\npath = "{path.parent}/outbox.db"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n{more}'
    )


@contextlib.contextmanager
def publishing(path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real publisher with this configuration; it must end cleanly."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.daemon.process", "publish", "--config", str(path)],
            stderr=file,
        )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.broker
def test_what_leaves_the_device_follows_the_file(tmp_path: Path) -> None:
    """Who forbids single faces is obeyed at once: the publisher takes back what told of them."""
    path, log = tmp_path / "edge.toml", tmp_path / "log"
    ledgers: list[bytes] = []

    def keep(event: ConnectionEvent) -> None:
        match event:
            case Connected():
                reader.subscribe("emoshift/v1/school/room-12/ledger")
            case Received():
                ledgers.append(event.payload)

    with BrokerProcess(tmp_path / "broker") as broker:
        reader = BackgroundConnection(
            Broker(host="127.0.0.1", port=broker.port),
            on_event=keep,
            log=logging.getLogger(__name__),
        )
        reader.start()
        write(path, broker.port)
        try:
            with publishing(path, log) as process:
                wait_until(lambda: ledgers)
                write(path, broker.port, '[privacy]\npublish = "class"\n')
                os.kill(process.pid, signal.SIGHUP)
                wait_until(lambda: "reloaded: privacy.publish" in log.read_text())
                wait_until(lambda: ledgers[-1] == b"")
        finally:
            reader.stop()


@pytest.mark.broker
def test_the_publisher_moves_to_another_broker(tmp_path: Path) -> None:
    """A running publisher survives a bad file, and follows a good one to another broker."""
    path, log = tmp_path / "edge.toml", tmp_path / "log"
    with BrokerProcess(tmp_path / "a") as first, BrokerProcess(tmp_path / "b") as second:
        write(path, first.port)
        with publishing(path, log) as process:
            wait_until(lambda: f"connected to 127.0.0.1:{first.port}" in log.read_text())
            write(path, second.port, "retries = 3\n")
            os.kill(process.pid, signal.SIGHUP)
            wait_until(lambda: "the old configuration stays" in log.read_text())
            assert "unknown key mqtt.retries" in log.read_text()
            write(path, second.port)
            os.kill(process.pid, signal.SIGHUP)
            wait_until(lambda: f"connected to 127.0.0.1:{second.port}" in log.read_text())
            assert "reloaded: mqtt.port" in log.read_text()


@pytest.mark.clip
def test_no_reload_without_a_legal_basis(tmp_path: Path, landmarker: Path) -> None:
    """``edge run`` goes on with the old configuration where the new one states no basis."""
    del landmarker
    path, log = tmp_path / "edge.toml", tmp_path / "log"
    rest = f'[camera]\nsource = "/dev/none"\n[outbox]\npath = "{tmp_path}/outbox.db"\n'
    path.write_text(f'[device]\nlegal_basis = "a test"\n{rest}')
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "--config", str(path)], stderr=file
        )
    try:
        wait_until(lambda: "camera lost: /dev/none" in log.read_text())
        path.write_text(rest)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded, the old configuration stays" in log.read_text())
        assert "device.legal_basis: missing" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(60) == 0

"""The doctor: one finding for each thing, and what to do about the bad ones."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from edge.commands.doctor import Finding, examine
from edge.config import parse_config
from tests.support.brokers import MOSQUITTO, BrokerProcess
from tests.support.handmade_bundle import cnn_member, write_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker_port(tmp_path: Path) -> Iterator[int]:
    """The port of a broker."""
    with BrokerProcess(tmp_path / "broker") as broker:
        yield broker.port


@pytest.mark.parametrize(
    ("password", "good", "word"),
    [
        pytest.param("right", True, "signed in, MQTT 5", id="right"),
        pytest.param("wrong", False, "check username and password_file", id="wrong"),
    ],
)
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_broker_is_asked_to_sign_in(
    tmp_path: Path, password: str, good: bool, word: str
) -> None:
    """The configured name and password are tried, and a refusal is reported with its hint."""
    file = tmp_path / "passwords"
    file.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", file, "room-12", "right"], check=True)
    with BrokerProcess(
        tmp_path / "broker", settings=f"password_file {file}", anonymous=False
    ) as broker:
        mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "room-12"}
        found = findings({"mqtt": {**mqtt, "password": password}})["broker"]
    assert (found.good, word in found.detail) == (good, True), found.detail


def findings(data: dict[str, Any]) -> dict[str, Finding]:
    return {f.what: f for f in examine(parse_config(data, where="test"))}


@pytest.mark.usefixtures("landmarker")
def test_a_good_device(tmp_path: Path, counting_clip: Path, broker_port: int) -> None:
    """Everything that can be right on any machine is found right."""
    found = findings(
        {
            "device": {"legal_basis": "a test"},
            "camera": {"source": str(counting_clip)},
            "models": {
                "bundle": str(write_bundle(tmp_path / "bundle", cnn_member())),
                "allow_unsigned": True,
            },
            "outbox": {"path": str(tmp_path / "outbox.db")},
            "mqtt": {"host": "127.0.0.1", "port": broker_port},
        }
    )
    assert list(found) == [
        *("system", "opencv", "decoder", "numpy", "runtime", "faces", "models", "threads"),
        *("legal basis", "camera", "temperature", "throttling", "outbox", "disk", "clock"),
        *("broker", "services"),
    ]
    assert [f.what for f in found.values() if not f.good and f.what != "clock"] == []
    assert "brightness" in found["camera"].detail


def test_each_fault_is_found(tmp_path: Path) -> None:
    """Every fault is reported, with what was found and what to do."""
    found = findings(
        {
            "camera": {"source": "/dev/video97"},
            "models": {"bundle": str(tmp_path / "none"), "threads": 16},
            "outbox": {"path": "/proc/emoshift/outbox.db"},
            "mqtt": {"host": "127.0.0.1", "port": 9},
        }
    )
    said = {f.what: f.detail for f in found.values() if not f.good}
    assert "plug the camera in" in said["camera"]
    assert "no such bundle" in said["models"]
    assert "device.legal_basis" in said["legal basis"]
    assert "127.0.0.1:9" in said["broker"]
    assert "events would wait in the outbox" in said["broker"]
    assert ("threads" in said) == (len(os.sched_getaffinity(0)) < 16)
    assert all("\n" not in detail for detail in said.values())
    cures = {f.what: [str(cure) for cure in f.cures] for f in found.values() if not f.good}
    assert any("init" in cure for cure in cures["camera"])
    assert any("init" in cure for cure in cures["legal basis"])
    assert any("mosquitto" in cure for cure in cures["broker"])

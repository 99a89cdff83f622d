"""Settings of device and dashboard: one broker table, all problems at once, the same words."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dashboard.config import load_config as load_dashboard
from edge.config import load_config as load_device
from emoshift.errors import ConfigError
from emoshift.mqtt.paho import Broker
from emoshift.settings import BrokerSettings, Table, parse_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("load", "table"),
    [
        pytest.param(load_device, "mqtt", id="device"),
        pytest.param(load_dashboard, "broker", id="dashboard"),
    ],
)
def test_both_programs_explain_a_wrong_broker_alike(tmp_path: Path, load: Any, table: str) -> None:
    """All problems at once, each unknown key with the one that was meant."""
    path = tmp_path / "settings.toml"
    path.write_text(f"[{table[:-1]}]\n[{table}]\nhots = 'a'\nport = 0\ncert_file = 'a.pem'\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: 3 problems")
    assert f"unknown table [{table[:-1]}]; did you mean [{table}]?" in said
    assert f"unknown key {table}.hots; did you mean host?" in said
    assert f"{table}.port: " in said


def test_a_certificate_without_its_key() -> None:
    """They belong together."""
    with pytest.raises(ConfigError, match="cert_file and key_file belong together"):
        parse_settings(BrokerSettings, {"cert_file": "a.pem"}, where="test")


def test_a_table_within_a_table() -> None:
    """A key is looked for in the table in which it stands."""

    class Inner(Table):
        width: int = 1

    class Middle(Table):
        inner: Inner | None = None

    class Outer(Table):
        middle: Middle = Middle()

    data = {"middle": {"inner": {"widht": 2}}}
    with pytest.raises(ConfigError, match=r"unknown key middle.inner.widht; did you mean width\?"):
        parse_settings(Outer, data, where="test")


def test_files_of_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates and the password are found in the folder that systemd names."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=test", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "password").write_text("sesame\n")
    settings = BrokerSettings(
        ca_file="$CREDENTIALS_DIRECTORY/cert.pem",
        cert_file="$CREDENTIALS_DIRECTORY/cert.pem",
        key_file="$CREDENTIALS_DIRECTORY/key.pem",
        password_file="$CREDENTIALS_DIRECTORY/password",
    )
    broker = Broker.from_settings(settings, client_id="c", table="broker")
    assert isinstance(broker.tls, ssl.SSLContext)
    assert broker.port == 8883
    assert broker.read_password() == "sesame"


@pytest.mark.parametrize("name", ["ca_file", "password_file"])
def test_a_file_that_is_missing_names_its_table(tmp_path: Path, name: str) -> None:
    """The message has the program's own name of the table."""
    settings = BrokerSettings(**{name: tmp_path / "none"})
    with pytest.raises(ConfigError, match=f"broker.{name}"):
        Broker.from_settings(settings, client_id="c", table="broker")

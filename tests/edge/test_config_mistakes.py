"""Mistakes in a configuration, as people make them: handled, or reported in a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.config import load_config, parse_config
from emoshift.errors import ConfigError
from emoshift.mqtt.paho import Broker

if TYPE_CHECKING:
    from pathlib import Path

BASIS = '[device]\nlegal_basis = "a test"\n'


def check(folder: Path, text: str | bytes) -> tuple[int, str]:
    """Run ``edge check``; returns its exit code and everything it said."""
    path = folder / "edge.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    result = CliRunner().invoke(main, ["check", str(path)])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            '[device]\nname = "Room 7"',
            (
                'device.name: found "Room 7"; expected lowercase letters, digits and hyphens within'
                ', at most 64; for example name = "room-7"'
            ),
        ),
        (
            '[device]\nsite = "Grundschule_Nord"',
            (
                'device.site: found "Grundschule_Nord"; expected lowercase letters, digits and'
                ' hyphens within, at most 64; for example site = "grundschule-nord"'
            ),
        ),
        (
            '[camera]\nfps = "fast"',
            'camera.fps: found "fast"; expected a number above 0, at most 240; for example fps',
        ),
        ("[camera]\nfps = 0", "camera.fps: found 0; expected a number above 0, at most 240"),
        (
            "[camera]\nwidth = 1280.5",
            (
                "camera.width: found 1280.5; expected a whole number from 64 to 7680;"
                " for example width = 1280"
            ),
        ),
        ("[camera]\nrotate = 45", "camera.rotate: found 45; expected one of 0, 90, 180 or 270"),
        (
            "[camera]\nsource = 0",
            "camera.source: found 0; expected text in quotes that is not empty",
        ),
        (
            '[camera]\npixel_format = "motion jpeg"',
            (
                'camera.pixel_format: found "motion jpeg"; expected "auto" or the four characters'
                ' of a format; for example pixel_format = "MJPG"'
            ),
        ),
        ("camera = 3", "camera: found 3; expected a table with source, name"),
        ('[mqtt]\ntls = "yes please"', 'mqtt.tls: found "yes please"; expected true or false'),
        ("[mqtt]\nport = 99999", "mqtt.port: found 99999; expected a whole number from 1 to 65535"),
        ("[mqtt]\nca_file = 7", "mqtt.ca_file: found 7; expected a path in quotes"),
        (
            '[mqtt]\nhost = "mqtt://school:Sesame@broker:1883"',
            "mqtt.host: found 'mqtt://***@broker:1883'; expected a name or address alone",
        ),
        ("[mqtt]\npassword = 7", "mqtt.password: found a value of another kind; expected text"),
        (
            '[homeassistant]\nprefix = "/home assistant"',
            'homeassistant.prefix: found "/home assistant"; expected a topic without spaces',
        ),
        ("[device]\nname = Room 7", "not TOML: invalid value at line 2, column 8; text stands in"),
        ("[transitions.merge]\nfear = 3", "transitions.merge.fear: found 3; expected"),
        ('[faces]\nbackend = "fast"', 'expected one of "auto", "direct" or "mediapipe"'),
        (
            '[outbox]\npath = "~nobody-of-that-name/outbox.db"',
            "outbox.path: ~nobody-of-that-name/outbox.db: there is no such home folder",
        ),
    ],
)
def test_a_wrong_value_is_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    """What was found, what was expected, and how to write it; no regular expression."""
    code, said = check(tmp_path, line + "\n")
    assert code == 78
    assert sentence in said
    for jargon in ("^[", "should be", "Input", "pattern", "pydantic"):
        assert jargon not in said
    assert "Sesame" not in said


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xef\xbb\xbf" + BASIS.encode(), id="byte order mark"),
        pytest.param(BASIS.encode("utf-16"), id="utf-16"),
        pytest.param(BASIS.replace("\n", "\r\n").encode(), id="windows line ends"),
    ],
)
def test_encodings_of_the_file(tmp_path: Path, data: bytes) -> None:
    """What an editor adds is no part of the configuration, nor of the peek at the camera."""
    code, said = check(tmp_path, data)
    assert code == 0
    assert f"{tmp_path / 'edge.toml'}: good" in said


def test_another_encoding_of_the_file(tmp_path: Path) -> None:
    """It is named with its line."""
    code, said = check(tmp_path, "[device]\nlegal_basis = 'Sch\u00fcler'\n".encode("latin-1"))
    assert code == 78
    assert "line 2 is in another encoding than UTF-8; save the file as UTF-8" in said


@pytest.mark.parametrize("prefix", ["homeassistant", "homeassistant/", "homeassistant//"])
def test_a_slash_at_the_end_of_the_prefix(prefix: str) -> None:
    """Topics hold no empty level."""
    config = parse_config({"homeassistant": {"prefix": prefix}}, where="test")
    assert config.homeassistant.prefix == "homeassistant"


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder in every path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {
        "outbox": {"path": "~/outbox.db"},
        "models": {"library": "~/models"},
        "mqtt": {key: f"~/{key}" for key in ("password_file", "ca_file", "cert_file", "key_file")},
    }
    config = parse_config(paths, where="test")
    assert config.outbox.path == tmp_path / "outbox.db"
    assert config.models.library == tmp_path / "models"
    for key in paths["mqtt"]:
        assert getattr(config.mqtt, key) == tmp_path / key


SECRETS = {
    "other encoding": ("Schl\u00fcssel\n".encode("latin-1"), "another encoding than UTF-8"),
    "empty": (b"", "its first line is empty"),
    "no text": (bytes(100), "is no text file"),
    "missing": (None, "no such file or directory"),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_bad_password_file(tmp_path: Path, kind: str) -> None:
    """``edge check`` names it in one line; the publisher ends with 78, which is not restarted."""
    data, reason = SECRETS[kind]
    secret = tmp_path / "password"
    if data is not None:
        secret.write_bytes(data)
        secret.chmod(0o600)
    text = BASIS + f'[outbox]\npath = "{tmp_path}/outbox.db"\n[mqtt]\nusername = "school"\n'
    text += f'password_file = "{secret}"\n'
    code, said = check(tmp_path, text)
    assert code == 78
    assert reason in said
    assert str(secret) in said
    assert "Schl" not in said
    done = subprocess.run(
        [sys.executable, "-m", "edge.daemon.process", "publish",
         "--config", str(tmp_path / "edge.toml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    assert str(secret) in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_password_file_of_any_editor(tmp_path: Path, encoding: str) -> None:
    """The broker gets the password without mark and line end."""
    secret = tmp_path / "password"
    secret.write_bytes("Schl\u00fcssel\r\n".encode(encoding))
    mqtt = parse_config({"mqtt": {"password_file": str(secret)}}, where="test").mqtt
    assert Broker.from_settings(mqtt, client_id="c").read_password() == "Schl\u00fcssel"


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param('[mqtt]\nhost = "broker.example"\n', [], id="no password"),
        pytest.param(
            '[mqtt]\nhost = "broker.example"\nusername = "school"\npassword = "Sesame"\n',
            ["the password is sent to broker.example unencrypted"],
            id="in the clear",
        ),
        pytest.param(
            '[mqtt]\nhost = "broker.example"\npassword = "Sesame"\ntls = true\n', [], id="with TLS"
        ),
        pytest.param('[mqtt]\nusername = "a"\npassword = "Sesame"\n', [], id="on this machine"),
        pytest.param('[mqtt]\nhost = "::1"\npassword = "Sesame"\n', [], id="on this machine, v6"),
        pytest.param(
            '[camera]\nsource = "rtsp://admin:Sesame@cam/1"\n',
            ["the password is sent to the camera unencrypted (rtsp://)"],
            id="camera in the clear",
        ),
        pytest.param('[camera]\nsource = "rtsps://admin:Sesame@cam/1"\n', [], id="camera by TLS"),
        pytest.param(
            '[mqtt]\npassword_file = "$CREDENTIALS_DIRECTORY/mqtt_password"\n',
            ["is not looked at; the variable is set in the service alone"],
            id="systemd's credential",
        ),
    ],
)
def test_warnings(tmp_path: Path, text: str, warnings: list[str]) -> None:
    """A password sent unencrypted, or a file that cannot be looked at, is said; it is no error."""
    code, said = check(tmp_path, text)
    assert code == 0
    assert said.count("Warning: ") == len(warnings)
    for warning in warnings:
        assert warning in said
    assert "Sesame" not in said


def test_a_password_everybody_may_read(tmp_path: Path) -> None:
    """The command that mends it is named."""
    secret = tmp_path / "password"
    secret.write_text("Sesame\n")
    secret.chmod(0o644)
    _, said = check(tmp_path, f'[mqtt]\npassword_file = "{secret}"\n')
    assert f"chmod 640 {secret}" in said


def test_certificates_that_are_none(tmp_path: Path) -> None:
    """Each file is named with what is wrong with it, all at once."""
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).write_text("not a certificate")
    files = "\n".join(f'{key}_file = "{tmp_path / key}.pem"' for key in ("ca", "cert", "key"))
    code, said = check(tmp_path, f"[mqtt]\n{files}\n")
    assert code == 78
    assert "mqtt.ca_file" in said
    assert "holds no certificate; expected PEM" in said
    assert f"mqtt.key_file: {tmp_path}/key.pem: no such file or directory" in said


def test_a_credential_that_goes_bad_while_running(tmp_path: Path) -> None:
    """The connection is refused with the reason, and tried again; nothing ends."""
    from emoshift.mqtt.connection import Failure, Lost
    from emoshift.mqtt.paho import PahoConnection

    secret = tmp_path / "password"
    secret.write_text("Sesame\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        mqtt = {"host": "127.0.0.1", "port": listener.getsockname()[1], "username": "a"}
        settings = parse_config({"mqtt": {**mqtt, "password_file": str(secret)}}, where="test").mqtt
        broker = Broker.from_settings(settings, client_id="c")
        secret.write_bytes("Schl\u00fcssel\n".encode("latin-1"))
        connection = PahoConnection(broker, protocol="5")
        connection.open()
        [event] = [one for one in connection.turn(0.0) if isinstance(one, Lost)]
        assert event.failure is Failure.CREDENTIALS
        assert os.fspath(secret) in event.detail
        connection.close()


def test_the_file_itself(tmp_path: Path) -> None:
    """A folder, a missing file and an unreadable one are one line each."""
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "none", "no such file")):
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert reason in str(caught.value)

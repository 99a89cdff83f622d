"""What `edge check` says beyond the settings: files they name, passwords sent in the clear."""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.text_files import read_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config import Config

_FILES: Final = ("password_file", "ca_file", "cert_file", "key_file")
_PRIVATE: Final = {"password_file", "key_file"}
_ENCRYPTED: Final = ("rtsps", "https", "rtmps", "srt")


def find_problems(config: Config) -> Iterator[str]:
    """Say which files of the configuration would stop the daemon; one sentence for each."""
    for key in _FILES:
        path = _file(config, key)
        if path is None or "$" in str(path):
            continue
        try:
            if key == "password_file":
                read_secret(path)
            elif key == "ca_file":
                ssl.create_default_context(cafile=str(path))
            else:
                path.read_bytes()
        except PermissionError:
            continue  # the service may well read it; said as a warning
        except ssl.SSLError:
            yield f"mqtt.{key}: {path}: holds no certificate; expected PEM (-----BEGIN ...)"
        except OSError as why:
            yield f"mqtt.{key}: {path}: {_lower(why.strerror or str(why))}"
        except ValueError as why:
            yield f"mqtt.{key}: {path}: {why}"


def find_warnings(config: Config) -> Iterator[str]:
    """Say what works and should not stay as it is, or could not be looked at."""
    mqtt = config.mqtt
    secret = mqtt.username is not None or mqtt.password is not None or mqtt.password_file
    if secret and not mqtt.uses_tls and not _is_this_machine(mqtt.host):
        yield (
            f"mqtt: the password is sent to {mqtt.host} unencrypted, for all on the network to"
            " read; set mqtt.tls = true, or mqtt.ca_file for an authority of your own"
        )
    scheme, separator, rest = config.camera.source.partition("://")
    if separator and "@" in rest and scheme.lower() not in _ENCRYPTED:
        yield (
            f"camera.source: the password is sent to the camera unencrypted ({scheme}://); use"
            " rtsps:// or https:// where the camera offers it, or a network of its own"
        )
    for key in _FILES:
        path = _file(config, key)
        if path is None:
            continue
        if "$" in str(path):
            yield f"mqtt.{key}: {path} is not looked at; the variable is set in the service alone"
            continue
        try:
            mode = path.stat().st_mode
            with path.open("rb"):
                pass
        except PermissionError:
            yield f"mqtt.{key}: this user may not read {path}; run edge check with sudo to look"
        except OSError:
            continue  # a problem, and said as one
        else:
            if key in _PRIVATE and mode & 0o007:
                yield f"mqtt.{key}: every user of this device may read {path}; chmod 640 {path}"


def _file(config: Config, key: str) -> Path | None:
    value: Path | None = getattr(config.mqtt, key)
    return None if value is None else Path(os.path.expandvars(value.expanduser()))


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]

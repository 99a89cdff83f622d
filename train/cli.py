"""The ``train`` command: every step from data set to float network, repeatable from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from emoshift.command_line import CommandGroup, RenamedOption
from emoshift.errors import UsageError
from train import cli_options as options
from train.backend import load_keras
from train.training.run_options import data_folder
from train.transitions.command import detector


class _Wrong(click.ClickException):
    """A wrong option, as one line without the usage."""

    exit_code = UsageError.exit_code


def _list_is_a_command(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del ctx, param
    if value:
        raise _Wrong("--list is a command of its own: run 'train list'")


_no_list = click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    hidden=True,
    callback=_list_is_a_command,
)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@_no_list
def main() -> None:
    """Train and score emoshift's networks.

    \b
    Example:
        train run --name first --model model_x
        train export runs/20261101-090000-first -o models/sources/cnn_a.keras
        train evaluate models/sources/cnn_a.keras --mirrored
    """


@main.command()
@_no_list
@options.run_options
def run(**given: Any) -> None:
    """Train a network by a recipe, into a folder of its own.

    After its first steps it says how long it will take. Ctrl-C stops it and leaves the network and
    the report of the last finished epoch, from which it can be resumed, also with a changed recipe.

    \b
    Example:
        train run --name cnn-a --model cnn_a --teacher models/sources/taught_labels.npz
        train run --name three --model model_x --classes happy-sad-neutral --samples-per-class 4000
        train run --name longer --recipe long.toml --resume runs/.../checkpoints/epoch-040.npz
        train run --name vit --model dima806/facial_emotions_image_detection@COMMIT
    """
    from train.training.run import start_run
    from train.training.run_folder import latest_checkpoint

    asked = options.options_of(given)
    try:
        folder = start_run(asked, click.echo)
    except KeyboardInterrupt:
        folders = sorted(asked.runs.glob(f"*-{asked.name}"))  # their names begin with the date
        last = latest_checkpoint(folders[-1]) if folders else None
        if last is None:
            click.echo("stopped before the end of the first epoch; there is nothing to go on from")
        else:
            click.echo(f"stopped; to go on: --resume {last}")
        raise SystemExit(130) from None
    click.echo(f"{folder}")


@main.command(name="list")
@options.runs
def list_runs(runs: Path) -> None:
    """List the runs with model, epochs, best score and state.

    \b
    Example:
        train list
    """
    from train.training.run_folder import summaries

    rows = [(run.name, run.model, run.epochs, run.score, run.state) for run in summaries(runs)]
    if not rows:
        click.echo(f"no runs in {runs}; `train run` begins one")
        return
    click.echo(tabulate(rows, headers=("run", "model", "epochs", "best score", "state")))


@main.command()
@click.argument("run_folder", type=options.PATH)
@click.option("--epoch", type=int, help="The last one by default.")
@click.option(
    "-o", "--output", type=options.OUTPUT, required=True, help="The .keras file to write."
)
def export(run_folder: Path, epoch: int | None, output: Path) -> None:
    """Write a run's network as a .keras file for the converter.

    \b
    Example:
        train export runs/20261101-090000-cnn-a -o models/sources/cnn_a.keras
    """
    from train.training.run import export_run

    click.echo(f"epoch {export_run(run_folder, output, epoch=epoch)} -> {output}")


@main.command()
@click.argument("nets", type=options.PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=options.OUTPUT, required=True, help="The .npz file to write.")
@click.option(
    "--weight",
    "weights",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    help="Of each network, in their order; repeat it. All alike by default.",
)
@options.data
@options.cache
def teach(
    nets: tuple[Path, ...],
    output: Path,
    *,
    weights: tuple[float, ...],
    data: Path | None,
    cache: Path,
) -> None:
    """Write what networks predict for the training images.

    For `train run --teacher`.

    \b
    Example:
        train teach models/sources/cnn_a.keras -o .cache/teacher.npz
        train teach one.keras two.keras --weight 0.6 --weight 0.4 -o .cache/teacher.npz
        train teach runs/20261101-090000-vit/net -o .cache/teacher.npz
    """
    from train.training.distillation import write_teacher

    teacher = write_teacher(nets, output, data=data_folder(data), cache=cache, weights=weights)
    click.echo(f"{len(nets)} networks, {len(teacher.rows)} images -> {output}")


@main.command()
@click.argument("net", type=options.PATH)
@options.evaluated_split
@options.mirrored
@options.classes
@options.taus
@click.option(
    "-o",
    "--output",
    "report_folder",
    cls=RenamedOption,
    before="--report",
    type=options.OUTPUT,
    help="Folder for report and plots.",
)
@click.option("--logits", "logits_path", type=options.PATH, help="Keep the logits in this .npz.")
@options.data
@options.cache
def evaluate(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    classes: str | None,
    taus: tuple[float, ...],
    report_folder: Path | None,
    logits_path: Path | None,
    data: Path | None,
    cache: Path,
) -> None:
    """Score a network on FER+8 and FER2013-7, or its own classes.

    Image networks may be .keras or .tflite; a recurrent .keras is one with its channels beside it
    as .json, and needs `train landmarks`, as every network over blendshapes does.

    \b
    Example:
        train evaluate models/sources/cnn_a.keras --mirrored
        train evaluate models/sources/cnn_a.keras --tau 0.35 --tau 0.5
        train evaluate models/sources/cnn_a.keras --split CK+48 --tau 1
        train evaluate models/sources/cnn_a.keras --classes happy-sad-neutral
        train evaluate models/default/cnn_a.tflite --split PrivateTest -o out/cnn_a
    """
    from train.evaluation.evaluate import evaluate as score

    lines = score(
        net,
        split=split,
        mirrored=mirrored,
        classes=options.class_list(classes) or (),
        data=data_folder(data),
        cache=cache,
        taus=taus,
        logits_path=logits_path,
        report_folder=report_folder,
    )
    click.echo("\n".join(lines))


@main.command()
@click.argument("nets", type=options.PATH, nargs=-1, required=True)
@options.split
@options.mirrored
@click.option(
    "--mirror",
    type=options.PATH,
    multiple=True,
    help="Both views of this network alone; repeatable.",
)
@options.classes
@click.option("-o", "--output", type=options.OUTPUT, help="JSON file to write the weights to.")
@options.data
@options.cache
def ensemble(
    nets: tuple[Path, ...],
    *,
    split: str,
    mirrored: bool,
    mirror: tuple[Path, ...],
    classes: str | None,
    output: Path | None,
    data: Path | None,
    cache: Path,
) -> None:
    """Fit networks' weights on PublicTest and score them together.

    The weighted mean is that of log-probabilities, as on the device. Only images that all of
    them answer count, so image networks and networks over blendshapes may be mixed.

    \b
    Example:
        train ensemble runs/*-model-x/net.keras runs/*-model-y/net.keras
        train ensemble models/sources/cnn_a.keras models/sources/cnn_b.keras --mirrored
    """
    from train.evaluation.ensemble import evaluate_ensemble

    lines = evaluate_ensemble(
        nets,
        split=split,
        mirrored=mirrored,
        mirror=mirror,
        classes=options.class_list(classes) or (),
        data=data_folder(data),
        cache=cache,
        output=output,
    )
    click.echo("\n".join(lines))


@main.command()
@click.argument("paths", type=options.PATH, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=options.OUTPUT, help="Folder for table and plots of the networks."
)
@options.split
@options.mirrored
@options.classes
@options.data
@options.cache
def report(
    paths: tuple[Path, ...],
    *,
    output: Path | None,
    split: str,
    mirrored: bool,
    classes: str | None,
    data: Path | None,
    cache: Path,
) -> None:
    """Draw learning curves of runs.

    With -o also the tables and plots of docs/research/models.md.

    A run's folder gets its learning curves. With -o every run's network, or network file, is
    scored: table.md, and for each a classification report, confusion matrix and reliability plot.

    \b
    Example:
        train report runs/20261101-090000-cnn-a
        train report models/sources/cnn_?.keras runs/*-model-x -o out/report --split PrivateTest
    """
    from train.training.learning_curves import draw_learning_curves

    for folder in (path for path in paths if path.is_dir() or not path.suffix):
        click.echo(f"{draw_learning_curves(folder)}")
    if output is not None:
        from train.evaluation.tables import write_tables

        table = write_tables(
            [path / "net.keras" if path.is_dir() else path for path in paths],
            output,
            split=split,
            mirrored=mirrored,
            classes=options.class_list(classes) or (),
            data=data_folder(data),
            cache=cache,
        )
        click.echo(f"{table}")


@main.command()
@click.option("--model", type=options.PATH, required=True, help="MediaPipe's face_landmarker.task.")
@click.option(
    "--framing",
    type=options.PATH,
    default=Path(__file__).parent / "features" / "framing.json",
    show_default="train/features/framing.json",
    help="JSON file to write: where the parts of a face lie.",
)
@options.data
@options.cache
def landmarks(model: Path, *, framing: Path, data: Path | None, cache: Path) -> None:
    """Measure landmarks and blendshapes of FER2013.

    Once; it takes about 15 minutes.

    \b
    Example:
        train landmarks --model .cache/assets/face_landmarker.task
    """
    from train.features.measure import measure_fer2013

    for line in measure_fer2013(data_folder(data), cache, model, framing):
        click.echo(line)


@main.command()
@click.argument("clips", type=options.PATH, nargs=-1, required=True)
@click.option("--model", type=options.PATH, required=True, help="MediaPipe's face_landmarker.task.")
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    default=Path(__file__).parent / "features" / "motion.json",
    show_default="train/features/motion.json",
    help="JSON file to write.",
)
def motion(clips: tuple[Path, ...], model: Path, output: Path) -> None:
    """Measure how blendshapes move in clips of faces that only talk.

    \b
    Example:
        train motion talking_man.mp4 carphone_pristine.mp4 --model face_landmarker.task
    """
    from train.features.measure import measure_clips

    measure_clips(clips, model, output)
    click.echo(f"{output}")


@main.command()
@options.name
@click.option(
    "--recipe",
    "recipe_path",
    type=options.PATH,
    default=Path(__file__).parent / "recipes" / "ckplus48.toml",
    show_default="train/recipes/ckplus48.toml",
    help="TOML file.",
)
@options.description
@options.data
@options.runs
def sequences(
    *, name: str, recipe_path: Path, description: str, data: Path | None, runs: Path
) -> None:
    """Compare a ConvLSTM, a CNN and an RNN on CK+48.

    By folds of people.

    Each network is trained with labels, then further by policy gradient, which rewards right and
    penalises wrong decisions, and beside that as much further with labels.

    \b
    Example:
        train sequences --name ckplus48
    """
    load_keras()
    from train.training.sequence_experiment import start_comparison

    try:
        folder = start_comparison(
            name=name,
            recipe_path=recipe_path,
            description=description,
            data=data_folder(data),
            runs=runs,
            log=click.echo,
        )
    except KeyboardInterrupt:
        click.echo(f"stopped; the finished folds are in {runs}/*-{name}/folds.csv")
        raise SystemExit(130) from None
    click.echo(f"{folder}")


@main.command()
@click.option("--name", required=True, help="Lower-case name; the folder is tune-<name>.")
@click.option("--recipe", "recipe_path", type=options.PATH, required=True, help="TOML file.")
@options.description
@options.data
@options.cache
@options.runs
def tune(
    *,
    name: str,
    recipe_path: Path,
    description: str,
    data: Path | None,
    cache: Path,
    runs: Path,
) -> None:
    """Search learning rate, units and optimiser with KerasTuner.

    Also beta and momentum.

    The same --name goes on where a search stopped, also with more trials. For many processes,
    give each the same command and folder, and in its environment KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT of the chief, and KERASTUNER_TUNER_ID: `chief` once, then `tuner0`,
    `tuner1` and so on. Needs `train landmarks`.

    \b
    Example:
        train tune --name dense --recipe train/recipes/tune_dense.toml
    """
    load_keras()
    from train.training.tuning import start_search

    try:
        folder = start_search(
            name=name,
            recipe_path=recipe_path,
            description=description,
            data=data_folder(data),
            cache=cache,
            runs=runs,
            log=click.echo,
        )
    except KeyboardInterrupt:
        click.echo(f"stopped; the same command goes on with the search in {runs}/tune-{name}")
        raise SystemExit(130) from None
    click.echo(f"{folder}")


main.add_command(detector)

if __name__ == "__main__":
    main()

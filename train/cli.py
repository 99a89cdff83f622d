"""The ``train`` command: every step from data set to float net, repeatable from a recipe."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from emoshift.errors import EmoshiftError
from train import options
from train.commands.sequences import sequences
from train.commands.tune import tune


class _OneLineErrors(click.Group):
    """Tells expected errors as one line with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EmoshiftError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train and score emoshift's networks.

    \b
    Example:
        train run --name first --recipe train/recipes/cnn_a.toml
        train export runs/20261101-090000-first -o models/sources/cnn_a.keras
        train evaluate models/sources/cnn_a.keras --mirrored
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if find_spec("tensorflow") is None and find_spec("torch") is not None:
        os.environ.setdefault("KERAS_BACKEND", "torch")


@main.command()
@options.run_options
def run(**given: Any) -> None:
    """Train a net by a recipe, into a folder of its own.

    Says first how long it will take. Ctrl-C stops it; the last finished epoch can be resumed, also
    with a changed recipe.

    \b
    Example:
        train run --name cnn-a --recipe train/recipes/cnn_a.toml
        train run --name three --model model_x --classes happy-sad-neutral --samples-per-class 4000
        train run --name longer --recipe long.toml --resume runs/.../checkpoints/epoch-040.npz
        train run --name vit --model dima806/facial_emotions_image_detection
    """
    from train.training.run import start_run

    request = options.request_of(given)
    try:
        folder = start_run(request, click.echo)
    except KeyboardInterrupt:
        where = f"{request.runs}/*-{request.name}"
        click.echo(f"stopped; --resume goes on from the last checkpoint in {where}")
        raise SystemExit(130) from None
    click.echo(f"{folder}")


@main.command(name="list")
@options.runs
def list_runs(runs: Path) -> None:
    """List the runs with their last epoch and score.

    \b
    Example:
        train list
    """
    from train.training.run_folder import summaries

    for line in summaries(runs):
        click.echo(line)


@main.command()
@click.argument("run_folder", type=options.PATH)
@click.option("--epoch", type=int, help="The last one by default.")
@click.option("-o", "--output", type=options.PATH, required=True, help="The .keras file to write.")
def export(run_folder: Path, epoch: int | None, output: Path) -> None:
    """Write a run's averaged weights as a .keras file, which the converter reads.

    \b
    Example:
        train export runs/20261101-090000-cnn-a -o models/sources/cnn_a.keras
    """
    from train.experiments.export import export_run

    click.echo(f"epoch {export_run(run_folder, output, epoch=epoch)} -> {output}")


@main.command()
@click.argument("nets", type=options.PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=options.PATH, required=True, help="The .npz file to write.")
@options.data
@options.cache
def teach(nets: tuple[Path, ...], output: Path, *, data: Path, cache: Path) -> None:
    """Write what nets say of the training pictures, for `train run --teacher`.

    \b
    Example:
        train teach models/sources/cnn_a.keras -o .cache/teacher.npz
        train teach runs/20261101-090000-vit/net -o .cache/teacher.npz
    """
    from train.training.distillation import write_teacher

    teacher = write_teacher(nets, output, data=data, cache=cache)
    click.echo(f"{len(nets)} nets, {len(teacher.rows)} pictures -> {output}")


@main.command()
@click.argument("net", type=options.PATH)
@options.judged
@options.mirrored
@options.classes
@options.taus
@click.option("--report", "report_folder", type=options.PATH, help="Folder for report and plots.")
@click.option("--logits", "logits_path", type=options.PATH, help="Keep them in this .npz.")
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
    data: Path,
    cache: Path,
) -> None:
    """Score a net on FER+8 and FER2013-7, or in the classes it names.

    Picture nets may be .keras or .tflite; a recurrent .keras is one with its channels beside it
    as .json, and needs `train landmarks`, as every net over blendshapes does.

    \b
    Example:
        train evaluate models/sources/cnn_a.keras --mirrored
        train evaluate models/sources/cnn_a.keras --tau 0.35 --tau 0.5
        train evaluate models/sources/cnn_a.keras --split CK+48 --tau 1
        train evaluate models/sources/cnn_a.keras --classes happy-sad-neutral
        train evaluate models/default/cnn.tflite --split PrivateTest --report out/cnn
    """
    from train.evaluation.evaluate import evaluate_any

    told = evaluate_any(
        net,
        split=split,
        mirrored=mirrored,
        classes=options.class_list(classes) or (),
        data=data,
        cache=cache,
        taus=taus,
        logits_path=logits_path,
        report_folder=report_folder,
    )
    click.echo("\n".join(told))


@main.command()
@click.argument("nets", type=options.PATH, nargs=-1, required=True)
@options.split
@options.mirrored
@click.option(
    "--mirror", type=options.PATH, multiple=True, help="Both views of this net alone; repeatable."
)
@options.classes
@click.option("-o", "--output", type=options.PATH, help="JSON file to write the weights to.")
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
    data: Path,
    cache: Path,
) -> None:
    """Weigh nets against each other on PublicTest and score them together.

    The weighted mean is that of log-probabilities, as on the device. Only pictures that all of
    them answer count, so picture nets and nets over blendshapes may be mixed.

    \b
    Example:
        train ensemble runs/*-model-x/net.keras runs/*-model-y/net.keras
        train ensemble models/sources/cnn_a.keras models/sources/cnn_b.keras --mirrored
    """
    from train.evaluation.ensemble import weigh

    told = weigh(
        nets,
        split=split,
        mirrored=mirrored,
        mirror=mirror,
        classes=options.class_list(classes) or (),
        data=data,
        cache=cache,
        output=output,
    )
    click.echo("\n".join(told))


@main.command()
@click.argument("paths", type=options.PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=options.PATH, help="Folder for table and plots of the nets.")
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
    data: Path,
    cache: Path,
) -> None:
    """Draw runs' learning curves; with -o the tables and plots of docs/models.md too.

    A run's folder gets its learning curves. With -o every run's net, or net file, is scored:
    table.md, and for each a classification report, confusion matrix and reliability plot.

    \b
    Example:
        train report runs/20261101-090000-cnn-a
        train report models/sources/*.keras runs/*-model-x -o out/report --split PrivateTest
    """
    from train.evaluation.reports import draw_run

    for folder in (path for path in paths if path.is_dir() or not path.suffix):
        click.echo(f"{draw_run(folder)}")
    if output is not None:
        from train.evaluation.tables import write_tables

        table = write_tables(
            [path / "net.keras" if path.is_dir() else path for path in paths],
            output,
            split=split,
            mirrored=mirrored,
            classes=options.class_list(classes) or (),
            data=data,
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
def landmarks(model: Path, *, framing: Path, data: Path, cache: Path) -> None:
    """Measure landmarks and blendshapes of FER2013 once; takes about 15 minutes.

    \b
    Example:
        train landmarks --model .cache/assets/face_landmarker.task
    """
    from train.features.measure import measure_fer2013

    for line in measure_fer2013(data, cache, model, framing):
        click.echo(line)


@main.command()
@click.argument("clips", type=options.PATH, nargs=-1, required=True)
@click.option("--model", type=options.PATH, required=True, help="MediaPipe's face_landmarker.task.")
@click.option(
    "-o",
    "--output",
    type=options.PATH,
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


for _command in (sequences, tune):
    main.add_command(_command)


if __name__ == "__main__":
    main()

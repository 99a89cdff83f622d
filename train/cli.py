"""The ``train`` command: every step from data set to float net, repeatable from a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from edge.errors import EmoshiftError
from train.commands.fine_tune import fine_tune
from train.commands.options import PATH as _PATH
from train.commands.options import cache_option as _cache
from train.commands.options import data_option as _data
from train.commands.options import runs_option as _runs
from train.commands.sequences import sequences
from train.commands.tune import tune


class _OneLineErrors(click.Group):
    """Tells expected errors as one line with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
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


@main.command()
@click.option("--name", required=True, help="Lower-case name; the folder is <time>-<name>.")
@click.option("--recipe", "recipe_path", type=_PATH, required=True, help="TOML file.")
@click.option("--resume", type=_PATH, help="Checkpoint of an earlier run to go on from.")
@click.option("--weights", type=_PATH, help="A .keras net of the same shape to begin with.")
@click.option("--teacher", type=_PATH, help="What `train teach` wrote, for teacher_share.")
@click.option("--seed", type=int, help="In place of the recipe's.")
@click.option("--keep", type=int, default=0, help="Keep the last N checkpoints; 0 keeps all.")
@click.option("--description", default="", help="Free text, kept with the run.")
@_data
@_cache
@_runs
def run(
    *,
    name: str,
    recipe_path: Path,
    resume: Path | None,
    weights: Path | None,
    teacher: Path | None,
    seed: int | None,
    keep: int,
    description: str,
    data: Path,
    cache: Path,
    runs: Path,
) -> None:
    """Train a net by a recipe, into a folder of its own.

    Ctrl-C stops it; the last finished epoch can be resumed, also with a changed recipe.

    \b
    Example:
        train run --name cnn-a --recipe train/recipes/cnn_a.toml
        train run --name longer --recipe long.toml --resume runs/.../checkpoints/epoch-040.npz
    """
    from train.experiments.start import start_run  # noqa: PLC0415 - Keras takes seconds to load

    try:
        folder = start_run(
            name=name,
            recipe_path=recipe_path,
            resume=resume,
            weights=weights,
            teacher=teacher,
            seed=seed,
            keep=keep,
            description=description,
            data=data,
            cache=cache,
            runs=runs,
            tell=click.echo,
        )
    except KeyboardInterrupt:
        click.echo(f"stopped; --resume goes on from the last checkpoint in {runs}/*-{name}")
        raise SystemExit(130) from None
    click.echo(f"{folder}")


@main.command(name="list")
@_runs
def list_runs(runs: Path) -> None:
    """List the runs with their last epoch and score.

    \b
    Example:
        train list
    """
    from train.experiments.folder import summaries  # noqa: PLC0415

    for line in summaries(runs):
        click.echo(line)


@main.command()
@click.argument("run_folder", type=_PATH)
@click.option("--epoch", type=int, help="The last one by default.")
@click.option("-o", "--output", type=_PATH, required=True, help="The .keras file to write.")
def export(run_folder: Path, epoch: int | None, output: Path) -> None:
    """Write a run's averaged weights as a .keras file, which the converter reads.

    \b
    Example:
        train export runs/20261101-090000-cnn-a -o models/sources/cnn_a.keras
    """
    from train.experiments.export import export_run  # noqa: PLC0415

    click.echo(f"epoch {export_run(run_folder, output, epoch=epoch)} -> {output}")


@main.command()
@click.argument("nets", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="The .npz file to write.")
@_data
@_cache
def teach(nets: tuple[Path, ...], output: Path, *, data: Path, cache: Path) -> None:
    """Write what nets say of the training pictures, for `train run --teacher`.

    \b
    Example:
        train teach models/sources/cnn_a.keras -o .cache/teacher.npz
    """
    from train.experiments.teacher import write_teacher  # noqa: PLC0415

    teacher = write_teacher(nets, output, data=data, cache=cache)
    click.echo(f"{len(nets)} nets, {len(teacher.rows)} pictures -> {output}")


@main.command()
@click.argument("net", type=_PATH)
@click.option(
    "--split",
    type=click.Choice(["PublicTest", "PrivateTest"]),
    default="PublicTest",
    show_default=True,
    help="PrivateTest once, for a figure that is published.",
)
@click.option("--mirrored", is_flag=True, help="Mean of the logits over both mirror views.")
@click.option("--report", "report_folder", type=_PATH, help="Folder for report and plots.")
@click.option("--logits", "logits_path", type=_PATH, help="Keep rows and logits in this .npz.")
@_data
@_cache
def evaluate(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    report_folder: Path | None,
    logits_path: Path | None,
    data: Path,
    cache: Path,
) -> None:
    """Score a net on FER+8 and FER2013-7.

    Picture nets may be .keras or .tflite; a recurrent .keras is one with its channels beside it
    as .json, and needs `train landmarks`.

    \b
    Example:
        train evaluate models/sources/cnn_a.keras --mirrored
        train evaluate models/default/cnn.tflite --split PrivateTest --report out/cnn
    """
    if net.suffix == ".keras" and net.with_suffix(".json").exists():
        from train.experiments.evaluate_recurrent import evaluate_recurrent  # noqa: PLC0415

        told = evaluate_recurrent(net, split=split, data=data, cache=cache, logits_path=logits_path)
        click.echo("\n".join(told))
        return
    from train.experiments.evaluate import evaluate_net  # noqa: PLC0415

    found = evaluate_net(
        net,
        split=split,
        mirrored=mirrored,
        data=data,
        cache=cache,
        logits_path=logits_path,
        report_folder=report_folder,
    )
    for line in found:
        click.echo(line)


@main.command()
@click.argument("run_folder", type=_PATH)
def report(run_folder: Path) -> None:
    """Draw a run's learning curves into its folder.

    \b
    Example:
        train report runs/20261101-090000-cnn-a
    """
    from train.experiments.report import draw_run  # noqa: PLC0415

    click.echo(f"{draw_run(run_folder)}")


@main.command()
@click.option("--model", type=_PATH, required=True, help="MediaPipe's face_landmarker.task.")
@click.option(
    "--framing",
    type=_PATH,
    default=Path(__file__).parent / "features" / "framing.json",
    show_default="train/features/framing.json",
    help="JSON file to write: where the parts of a face lie.",
)
@_data
@_cache
def landmarks(model: Path, *, framing: Path, data: Path, cache: Path) -> None:
    """Measure landmarks and blendshapes of FER2013 once; takes about 15 minutes.

    \b
    Example:
        train landmarks --model .cache/assets/face_landmarker.task
    """
    from train.features.measure import measure_fer2013  # noqa: PLC0415

    for line in measure_fer2013(data, cache, model, framing):
        click.echo(line)


@main.command()
@click.argument("clips", type=_PATH, nargs=-1, required=True)
@click.option("--model", type=_PATH, required=True, help="MediaPipe's face_landmarker.task.")
@click.option(
    "-o",
    "--output",
    type=_PATH,
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
    from train.features.measure import measure_clips  # noqa: PLC0415

    measure_clips(clips, model, output)
    click.echo(f"{output}")


for _command in (fine_tune, sequences, tune):
    main.add_command(_command)


if __name__ == "__main__":
    main()

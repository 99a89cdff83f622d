"""``train fine-tune``: a Hugging Face classifier on this workbench's data."""

from __future__ import annotations

from pathlib import Path

import click

from train.commands.options import PATH, cache_option, data_option, name_option, runs_option

RECIPE = Path(__file__).parent.parent / "recipes" / "vit.toml"


@click.command("fine-tune")
@name_option
@click.option("--model", required=True, help="Folder or hub name of the checkpoint.")
@click.option(
    "--recipe",
    "recipe_path",
    type=PATH,
    default=RECIPE,
    show_default="train/recipes/vit.toml",
    help="TOML file.",
)
@click.option("--resume", type=PATH, help="Checkpoint of an earlier run to go on from.")
@click.option("--teacher", type=PATH, help="What `train teach` wrote, for teacher_share.")
@click.option("--seed", type=int, help="In place of the recipe's.")
@click.option("--keep", type=int, default=1, help="Keep the last N checkpoints; 0 keeps all.")
@click.option("--description", default="", help="Free text, kept with the run.")
@data_option
@cache_option
@runs_option
def fine_tune(
    *,
    name: str,
    model: str,
    recipe_path: Path,
    resume: Path | None,
    teacher: Path | None,
    seed: int | None,
    keep: int,
    description: str,
    data: Path,
    cache: Path,
    runs: Path,
) -> None:
    """Fit a Hugging Face picture classifier to FER+ votes and FER2013 labels.

    Needs torch and the extra `hf`. The run's `net` folder can be given to `train evaluate` and,
    as a teacher, to `train teach`.

    \b
    Example:
        train fine-tune --name vit --model dima806/facial_emotions_image_detection
        train teach runs/20261101-090000-vit/net -o .cache/teacher.npz
    """
    from train.huggingface.start import start_fine_tuning  # noqa: PLC0415 - loads torch

    try:
        folder = start_fine_tuning(
            name=name,
            model=model,
            recipe_path=recipe_path,
            resume=resume,
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

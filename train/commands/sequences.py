"""``train sequences``: nets on CK+48's sequences, with labels and with rewards."""

from __future__ import annotations

from pathlib import Path

import click

from train import options

RECIPE = Path(__file__).parent.parent / "recipes" / "ckplus48.toml"


@click.command()
@options.name
@click.option(
    "--recipe",
    "recipe_path",
    type=options.PATH,
    default=RECIPE,
    show_default="train/recipes/ckplus48.toml",
    help="TOML file.",
)
@click.option("--description", default="", help="Free text, kept with the run.")
@options.data
@options.runs
def sequences(*, name: str, recipe_path: Path, description: str, data: Path, runs: Path) -> None:
    """Compare a ConvLSTM, a CNN and an RNN on CK+48, fold by fold of people.

    Each net is trained with labels, then further by policy gradient, which rewards right and
    penalises wrong decisions, and beside that as much further with labels.

    \b
    Example:
        train sequences --name ckplus48
    """
    from train.training.sequence_experiment import start_comparison

    try:
        folder = start_comparison(
            name=name,
            recipe_path=recipe_path,
            description=description,
            data=data,
            runs=runs,
            tell=click.echo,
        )
    except KeyboardInterrupt:
        click.echo(f"stopped; the folds done stand in {runs}/*-{name}/folds.csv")
        raise SystemExit(130) from None
    click.echo(f"{folder}")

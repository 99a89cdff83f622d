"""``train tune``: a search for settings, resumable, in one process or in many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from train import options

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--name", required=True, help="Lower-case name; the folder is tune-<name>.")
@click.option("--recipe", "recipe_path", type=options.PATH, required=True, help="TOML file.")
@click.option("--description", default="", help="Free text, kept with the search.")
@options.data
@options.cache
@options.runs
def tune(
    *, name: str, recipe_path: Path, description: str, data: Path, cache: Path, runs: Path
) -> None:
    """Search learning rate, units, optimiser, beta and momentum with KerasTuner.

    The same --name goes on where a search stopped, also with more trials. For many processes,
    give each the same command and folder, and in its environment KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT of the chief, and KERASTUNER_TUNER_ID: `chief` once, then `tuner0`,
    `tuner1` and so on. Needs `train landmarks`.

    \b
    Example:
        train tune --name dense --recipe train/recipes/tune_dense.toml
    """
    from train.training.tuning import start_search

    try:
        folder = start_search(
            name=name,
            recipe_path=recipe_path,
            description=description,
            data=data,
            cache=cache,
            runs=runs,
            tell=click.echo,
        )
    except KeyboardInterrupt:
        click.echo(f"stopped; the same command goes on with the search in {runs}/tune-{name}")
        raise SystemExit(130) from None
    click.echo(f"{folder}")

"""The ``train`` command."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train and score emoshift's networks."""


@main.command()
@click.option("--name", required=True)
@click.option("--recipe", "recipe_path", required=True, type=click.Path(path_type=Path))
@click.option("--resume", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"))
def run(name: str, recipe_path: Path, resume: Path | None, data: Path) -> None:
    """Train a network."""
    from train.experiments.fit import fit
    from train.experiments.pictures import read_pictures
    from train.experiments.recipe import read_recipe

    cache = Path(".cache")
    folder = data / "fer2013"
    fit(
        read_recipe(recipe_path),
        read_pictures(folder, cache, "Training"),
        read_pictures(folder, cache, "PublicTest"),
        Path("runs") / name,
        resume=resume,
        tell=lambda line: click.echo(line),
    )


if __name__ == "__main__":
    main()

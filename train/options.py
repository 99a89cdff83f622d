"""Options of ``train run``, and the request they come to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.experiments.request import Request

PATH: Final = click.Path(path_type=Path)
EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_CHANGES: Final = (
    *("seed", "epochs", "batch_size", "learning_rate"),
    *("labels", "classes", "samples_per_class"),
)

data = click.option(
    "--data",
    type=PATH,
    default=lambda: Path(os.environ.get("EMOSHIFT_DATA", "../shared/data")),
    show_default="$EMOSHIFT_DATA or ../shared/data",
    help="Folder that holds fer2013/ and ckplus48/.",
)
cache = click.option(
    "--cache", type=PATH, default=Path(".cache"), show_default=True, help="What is kept."
)
runs = click.option(
    "--runs", type=PATH, default=Path("runs"), show_default=True, help="Folder of all runs."
)
classes = click.option(
    "--classes",
    help="Classes, by commas; name=one+other merges; or happy-sad-neutral, happy-sad-unknown, six.",
)
mirrored = click.option("--mirrored", is_flag=True, help="Both mirror views of every picture.")
split = click.option(
    "--split",
    type=click.Choice(["PublicTest", "PrivateTest"]),
    default="PublicTest",
    show_default=True,
    help="PrivateTest once, for a figure that is published.",
)
judged = click.option(
    "--split",
    type=click.Choice(["PublicTest", "PrivateTest", "CK+48"]),
    default="PublicTest",
    show_default=True,
    help="PrivateTest once, for a figure that is published; CK+48, which no net is trained on.",
)
taus = click.option(
    "--tau",
    "taus",
    type=click.FloatRange(min=0.0, max=2.0),
    multiple=True,
    help="Score also with the probabilities divided by the class shares to this power; repeatable.",
)
name = click.option("--name", required=True, help="Lower-case name; the folder is <time>-<name>.")
_POSITIVE: Final = click.IntRange(min=1)
_RUN: Final = (
    name,
    click.option("--recipe", type=PATH, help="TOML file; --model's shipped one by default."),
    click.option(
        "--model",
        help="A recipe of train/recipes, or the net where --recipe is given; or a Hugging Face"
        " classifier: its folder, or owner/name.",
    ),
    click.option("--epochs", type=_POSITIVE, help="In place of the recipe's."),
    click.option("--batch-size", type=_POSITIVE, help="In place of the recipe's."),
    click.option(
        "--learning-rate",
        type=click.FloatRange(min=0, min_open=True),
        help="First, or highest where it has phases.",
    ),
    click.option(
        "--labels", type=click.Choice(["fer2013", "ferplus"]), help="For nets with one head."
    ),
    classes,
    click.option(
        "--samples-per-class",
        type=click.IntRange(min=0),
        help="Training pictures of each class: cut down, or repeated, to so many.",
    ),
    *(
        click.option(
            f"--{name}",
            type=click.FloatRange(min=0),
            metavar="WEIGHT",
            help=f"How often {name} pictures are drawn, against the others' 1.0.",
        )
        for name in EMOTIONS
    ),
    click.option("--seed", type=int, help="In place of the recipe's."),
    click.option("--pictures", type=PATH, help="Folder of class-named folders, not FER2013."),
    click.option("--resume", type=PATH, help="Checkpoint of an earlier run to go on from."),
    click.option("--weights", type=PATH, help="A .keras net of the same shape to begin with."),
    click.option("--teacher", type=PATH, help="What `train teach` wrote, for teacher_share."),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "gpu"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    ),
    click.option("--keep", type=int, default=0, help="Keep the last N checkpoints; 0 keeps all."),
    click.option("--description", default="", help="Free text, kept with the run."),
    data,
    cache,
    runs,
)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of a run."""
    for option in reversed(_RUN):
        command = option(command)
    return command


def class_list(text: str | None) -> tuple[str, ...] | None:
    """Split ``--classes``."""
    return None if text is None else tuple(part.strip() for part in text.split(","))


def request_of(given: dict[str, Any]) -> Request:
    """Return the request that the options of `run_options` come to."""
    from train.experiments.request import Changes, Request

    weights = {name: given.pop(name) for name in EMOTIONS}
    weights = {name: weight for name, weight in weights.items() if weight is not None}
    changes = {name: given.pop(name) for name in _CHANGES}
    changes["classes"] = class_list(changes["classes"])
    return Request(**given, changes=Changes(**changes, weights=weights))

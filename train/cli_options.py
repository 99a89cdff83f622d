"""Options that several commands of ``train`` share, and those of ``train run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emoshift.command_line import OutputPath
from train.recipe_file import RecipeOverrides
from train.training.run_options import DATA_VARIABLE, RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable

PATH: Final = click.Path(path_type=Path)
OUTPUT: Final = OutputPath()
EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_OVERRIDES: Final = (
    *("seed", "epochs", "batch_size", "learning_rate"),
    *("labels", "classes", "samples_per_class"),
)

data = click.option(
    "--data",
    type=PATH,
    envvar=DATA_VARIABLE,
    show_envvar=True,
    help="Folder that holds fer2013/ and ckplus48/.",
)
cache = click.option(
    "--cache",
    type=PATH,
    default=Path(".cache"),
    show_default=True,
    help="Folder of decoded and measured data.",
)
runs = click.option(
    "--runs", type=PATH, default=Path("runs"), show_default=True, help="Folder of all runs."
)
classes = click.option(
    "--classes",
    help="Classes, by commas; name=one+other merges; or happy-sad-neutral, happy-sad-unknown, six.",
)
mirrored = click.option("--mirrored", is_flag=True, help="Both mirror views of every image.")
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
evaluated_split = click.option(
    "--split",
    type=click.Choice(["PublicTest", "PrivateTest", "CK+48"]),
    default="PublicTest",
    show_default=True,
    help="PrivateTest once, for a figure that is published; CK+48, which no network is trained on.",
)
name = click.option("--name", required=True, help="Lower-case name; the folder is <time>-<name>.")
description = click.option("--description", default="", help="Free text, kept with the run.")
_POSITIVE: Final = click.IntRange(min=1)
_RUN: Final = (
    name,
    click.option("--recipe", type=PATH, help="TOML file; --model's shipped one by default."),
    click.option(
        "--model",
        help="A recipe of train/recipes, or the kind of network where --recipe is given; or a"
        " Hugging Face classifier: its folder, or owner/name.",
    ),
    click.option("--epochs", type=_POSITIVE, help="In place of the recipe's."),
    click.option("--batch-size", type=_POSITIVE, help="In place of the recipe's."),
    click.option(
        "--learning-rate",
        type=click.FloatRange(min=0, min_open=True),
        help="First one, or highest where it has phases.",
    ),
    click.option(
        "--labels", type=click.Choice(["fer2013", "ferplus"]), help="For networks with one head."
    ),
    classes,
    click.option(
        "--samples-per-class",
        type=click.IntRange(min=0),
        help="Training images of each class: cut down, or repeated, to so many.",
    ),
    *(
        click.option(
            f"--{name}",
            type=click.FloatRange(min=0),
            metavar="WEIGHT",
            help=f"How often {name} images are drawn, against the others' 1.0.",
        )
        for name in EMOTIONS
    ),
    click.option("--seed", type=click.IntRange(min=0), help="In place of the recipe's."),
    click.option(
        "--images",
        "--pictures",
        "images",
        type=PATH,
        help="Folder of class-named folders, in place of FER2013.",
    ),
    click.option("--resume", type=PATH, help="Checkpoint of an earlier run to go on from."),
    click.option("--weights", type=PATH, help="A .keras network of the same shape to begin with."),
    click.option("--teacher", type=PATH, help="What `train teach` wrote, for teacher_share."),
    click.option(
        "--leave-out",
        metavar="K/N",
        help="Leave the K-th of N parts of Training out, so that the network can teach that part.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "gpu"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16"]),
        default="auto",
        show_default=True,
        help="Of convolutions; auto is bfloat16 with JAX on a GPU, else float32. bfloat16 is a"
        " fifth faster with TensorFlow on processors with AVX512_BF16 or AMX.",
    ),
    click.option(
        "--keep", type=click.IntRange(min=0), default=0, help="Last checkpoints to keep; 0 for all."
    ),
    description,
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


def options_of(given: dict[str, Any]) -> RunOptions:
    """Return the run that the options of `run_options` ask for."""
    weights = {name: given.pop(name) for name in EMOTIONS}
    overrides = {name: given.pop(name) for name in _OVERRIDES}
    overrides["classes"] = class_list(overrides["classes"])
    return RunOptions(
        **given,
        overrides=RecipeOverrides(
            **overrides,
            weights={name: weight for name, weight in weights.items() if weight is not None},
        ),
    )

"""What a user asks of a training run: a recipe, overrides, and where things lie."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from emoshift.errors import ConfigError, InputError, UsageError
from train.data.folds import Fold
from train.huggingface.names import is_classifier, require_torch
from train.recipe import ConvolutionRecipe, FineTuneRecipe, KerasTwoHeadRecipe, TwoHeadRecipe
from train.recipe_file import (
    RECIPES,
    RecipeOverrides,
    overridden,
    parse_run_recipe,
    read_table,
    recipe_path,
    renamed,
)
from train.training.run_folder import CONFIG, read_config, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.recipe import RunRecipe

DATA_VARIABLE: Final = "EMOSHIFT_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """One training run.

    Attributes:
        name: Lower-case name; part of the folder's name.
        recipe: TOML file; that of ``model`` among the shipped ones where absent.
        model: Name of a shipped recipe, the kind of network where there is a recipe, or a Hugging
            Face classifier's folder or hub name.
        overrides: Of the recipe.
        resume: Checkpoint to go on from.
        weights: A .keras network of the same shape to begin with.
        teacher: What ``train teach`` wrote.
        leave_out: Part of Training that is not learned from, such as ``1/3``.
        images: Folder of class-named folders in place of FER2013, for networks with one head.
        keep: Last checkpoints to keep; 0 keeps all.
        description: Free text.
        device: ``cpu``, ``gpu``, or ``auto`` for the best there is.
        precision: Of convolutions; ``auto`` is ``bfloat16`` for networks with two heads where JAX
            uses a GPU, and ``float32`` everywhere else.
        data: Folder that holds ``fer2013/``; ``$EMOSHIFT_DATA`` where absent.
        cache: Folder of decoded and measured data.
        runs: Folder of all runs.
    """

    name: str
    recipe: Path | None = None
    model: str | None = None
    overrides: RecipeOverrides = field(default_factory=RecipeOverrides)
    resume: Path | None = None
    weights: Path | None = None
    teacher: Path | None = None
    leave_out: str | None = None
    images: Path | None = None
    keep: int = 0
    description: str = ""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    data: Path | None = None
    cache: Path = Path(".cache")
    runs: Path = Path("runs")

    @property
    def data_folder(self) -> Path:
        """Return the folder of the data sets; raises `InputError` where none is given."""
        return data_folder(self.data)

    def overrides_dict(self) -> dict[str, Any]:
        """Return what is requested otherwise than the recipe's file says, by name."""
        given = {
            key: value for key, value in asdict(self.overrides).items() if value not in (None, {})
        }
        beside = {"recipe": self.recipe, "model": self.model}
        return {**{key: str(one) for key, one in beside.items() if one is not None}, **given}


def data_folder(given: Path | None) -> Path:
    """Return the folder of the data sets: as given, else ``$EMOSHIFT_DATA``.

    Raises:
        InputError: Neither is set, or there is no such folder.
    """
    named = os.environ.get(DATA_VARIABLE)
    if given is None and not named:
        raise InputError(
            f"no data folder: give --data FOLDER or set {DATA_VARIABLE}; fer2013/ and ckplus48/ lie"
            " in it"
        )
    folder = given or Path(str(named))
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; fer2013/ and ckplus48/ are expected in it")
    return folder


def recipe_of(options: RunOptions, log: Callable[[str], None] = lambda _: None) -> RunRecipe:
    """Return the recipe that a run is to follow; ``log`` gets a line for each renamed key.

    Raises:
        InputError: There is no such recipe.
        UsageError: Neither recipe nor model is given.
        ConfigError: The recipe or an override is wrong; the message names all mistakes.
    """
    path = _recipe_path(options)
    table = renamed(read_table(path), lambda line: log(f"{path}: {line}"))
    if options.recipe is not None and options.model and not is_classifier(options.model):
        table["model"] = options.model
    return parse_run_recipe(overridden(table, options.overrides), where=str(path))


def check_options(options: RunOptions, recipe: RunRecipe) -> None:
    """Refuse what does not go together, before anything is written.

    Raises:
        InputError: The checkpoint is missing.
        ConfigError: Options do not fit the recipe; the message names all of them.
        UnavailableError: A Hugging Face classifier, without torch.
    """
    resume = options.resume
    if resume is not None and not resume.exists():
        raise InputError(f"{resume}: no such checkpoint; they lie in a run's checkpoints folder")
    problems: list[str] = []
    if isinstance(recipe, TwoHeadRecipe):
        problems += _teacher_problems(options, recipe)
        if recipe.data.classes:
            problems.append(
                "data.classes: this network predicts all classes; merge them with"
                " `train evaluate --classes`"
            )
    elif options.teacher is not None or options.weights is not None:
        problems.append(
            f"--teacher and --weights are for networks with two heads, found {recipe.model}"
        )
    problems += _leave_out_problems(options, recipe)
    if isinstance(recipe, FineTuneRecipe):
        problems += _classifier_problems(options)
    if options.images is not None and not isinstance(recipe, ConvolutionRecipe):
        problems.append(f"--images is for model_x and model_y, found {recipe.model}")
    if problems:
        raise ConfigError(str(options.recipe or options.model), problems)
    if isinstance(recipe, FineTuneRecipe):
        require_torch()


def _teacher_problems(options: RunOptions, recipe: TwoHeadRecipe) -> list[str]:
    if recipe.teacher_share > 0 and options.teacher is None:
        problem = (
            f"teacher_share: {recipe.teacher_share:g} of each target is a teacher's; give"
            " --teacher FILE, such as models/sources/taught_labels.npz, or set it to 0"
        )
        return [problem]
    if recipe.teacher_share == 0 and options.teacher is not None:
        return ["teacher_share: 0, so --teacher would do nothing; set it above 0"]
    return []


def _leave_out_problems(options: RunOptions, recipe: RunRecipe) -> list[str]:
    problems: list[str] = []
    part = options.leave_out
    if part is not None:
        Fold.parse(part)
        if not isinstance(recipe, KerasTwoHeadRecipe):
            problems.append(f"--leave-out is for residual and mobilenet, found {recipe.model}")
    if part is not None and options.weights is not None:
        run = options.weights.parent / CONFIG
        learned = read_config(run.parent).left_out if run.exists() else part
        if learned != part:
            problems.append(
                f"--weights: the run they come from left out {learned or 'nothing'}, --leave-out"
                f" says {part}; a network can teach only what it has never learned from"
            )
    if options.resume is not None and (run := run_of(options.resume) / CONFIG).exists():
        before = read_config(run.parent).left_out
        if before != part:
            problems.append(
                f"--leave-out: the run to resume left out {before or 'nothing'}, found"
                f" {part or 'nothing'}; a network can teach only what it has never learned from"
            )
    return problems


def _classifier_problems(options: RunOptions) -> list[str]:
    problems: list[str] = []
    if options.model is None or not is_classifier(options.model):
        problems.append("--model: expected a classifier's folder or a hub name, owner/name")
    if options.weights is not None:
        problems.append("--weights is for Keras networks; a classifier brings its own")
    return problems


def _recipe_path(options: RunOptions) -> Path:
    if options.recipe is not None:
        return options.recipe
    if options.model is None:
        raise UsageError("give --recipe FILE or --model NAME; `train run --help` shows examples")
    if is_classifier(options.model):
        return RECIPES / "vit.toml"
    return recipe_path(options.model)

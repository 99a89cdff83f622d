"""What a user asks of a run: a recipe, and what is to be otherwise than it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from emoshift.errors import ConfigError, InputError
from train.experiments.class_recipe import BlendshapeRecipe, ConvolutionRecipe
from train.huggingface.names import is_classifier
from train.huggingface.recipe import FineTuning
from train.recipe import (
    Recipe,
    RecurrentRecipe,
    recipe_from,
    recipe_kind,
    recipe_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

RECIPES: Final = Path(__file__).parent.parent / "recipes"
AnyRecipe: TypeAlias = Recipe | RecurrentRecipe | ConvolutionRecipe | BlendshapeRecipe | FineTuning
KINDS: Final[dict[str, type[AnyRecipe]]] = {
    "residual": Recipe,
    "recurrent": RecurrentRecipe,
    "model_x": ConvolutionRecipe,
    "model_y": ConvolutionRecipe,
    "dense": BlendshapeRecipe,
    "lstm_reference": BlendshapeRecipe,
    "huggingface": FineTuning,
}
"""Kind of recipe for each ``model``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a run does otherwise than its recipe says; ``None`` leaves it.

    Attributes:
        seed: In place of the recipe's.
        epochs: Length; the phases of a residual net are stretched or shortened alike.
        batch_size: Pictures a step.
        learning_rate: First rate, or the highest where the rate has phases.
        labels: FER2013's own labels or FER+'s, for nets with one head.
        classes: As in `train.data.sampling.Selection`.
        samples_per_class: Likewise.
        weights: How often pictures of each named emotion are drawn.
    """

    seed: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    labels: str | None = None
    classes: tuple[str, ...] | None = None
    samples_per_class: int | None = None
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run.

    Attributes:
        name: Lower-case name; part of the folder's name.
        recipe: TOML file; that of ``model`` among the shipped ones where absent.
        model: Name of a shipped recipe, the kind of net where there is a recipe, or a Hugging Face
            classifier's folder or hub name.
        changes: Against the recipe.
        resume: Checkpoint to go on from.
        weights: A .keras net of the same shape to begin with.
        teacher: What `train teach` wrote.
        pictures: Folder of class-named folders in place of FER2013, for nets with one head.
        keep: Last checkpoints to keep; 0 keeps all.
        description: Free text.
        device: ``cpu``, ``gpu``, or ``auto`` for the best there is.
        data: Folder that holds ``fer2013/``.
        cache: What is kept.
        runs: Folder of all runs.
    """

    name: str
    recipe: Path | None = None
    model: str | None = None
    changes: Changes = field(default_factory=Changes)
    resume: Path | None = None
    weights: Path | None = None
    teacher: Path | None = None
    pictures: Path | None = None
    keep: int = 0
    description: str = ""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    data: Path = Path("../shared/data")
    cache: Path = Path(".cache")
    runs: Path = Path("runs")

    def asked(self) -> dict[str, Any]:
        """Return what is asked otherwise than the recipe's file says, by name."""
        told = {
            key: value for key, value in asdict(self.changes).items() if value not in (None, {})
        }
        beside = {"recipe": self.recipe, "model": self.model}
        return {**{key: str(one) for key, one in beside.items() if one is not None}, **told}


def recipe_of(request: Request) -> AnyRecipe:
    """Return the recipe that a request comes to.

    Raises:
        InputError: There is no such recipe.
        ConfigError: The recipe, or what is to be otherwise, is wrong; all mistakes are told.
    """
    path = _recipe_path(request)
    table = recipe_table(path)
    named = request.model is not None and not is_classifier(request.model)
    if request.recipe is not None and named:
        table["model"] = request.model
    kind = KINDS.get(str(table.get("model", "")))
    if kind is None:
        told = f"model: found {table.get('model')!r}, expected {sorted(KINDS)}"
        raise ConfigError(str(path), [told])
    return recipe_from(changed(table, request.changes), kind, where=str(path))


def changed(table: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return a recipe's plain values with the changes made."""
    told = {**table}
    if changes.seed is not None:
        told["seed"] = changes.seed
    if changes.batch_size is not None:
        told["batch_size"] = changes.batch_size
    if changes.labels is not None:
        told["labels"] = changes.labels
    phases = told.get("phases")
    if isinstance(phases, list) and all(isinstance(phase, dict) for phase in phases):
        told["phases"] = _phases(phases, changes)
    else:
        if changes.epochs is not None:
            told["epochs"] = changes.epochs
        if changes.learning_rate is not None:
            told["rate"] = changes.learning_rate
    data = {**told.get("data", {})}
    if changes.classes is not None:
        data["classes"] = list(changes.classes)
    if changes.samples_per_class is not None:
        data["samples_per_class"] = changes.samples_per_class
    if changes.weights:
        data["weights"] = {**data.get("weights", {}), **changes.weights}
    return {**told, "data": data} if data else told


def _phases(phases: list[dict[str, Any]], changes: Changes) -> list[dict[str, Any]]:
    told = [{**phase} for phase in phases]
    if changes.epochs is not None:
        lengths = _shared_out(changes.epochs, [int(phase["epochs"]) for phase in phases])
        told = [
            {**phase, "epochs": length}
            for phase, length in zip(told, lengths, strict=True)
            if length
        ]
    if changes.learning_rate is not None and told:
        most = max(max(phase["rate"], phase.get("end_rate", 0.0)) for phase in told)
        for phase in told:
            for key in ("rate", "end_rate"):
                if key in phase:
                    phase[key] = phase[key] * changes.learning_rate / most
    return told


def _shared_out(total: int, shares: Sequence[int]) -> list[int]:
    """Share a whole number out as nearly as it goes, so that the parts sum to it."""
    reached = [sum(shares[: i + 1]) * total / sum(shares) for i in range(len(shares))]
    ends = [round(one) for one in reached]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _recipe_path(request: Request) -> Path:
    if request.recipe is not None:
        return request.recipe
    if request.model is not None and is_classifier(request.model):
        return RECIPES / "vit.toml"
    shipped = sorted(path.stem for path in RECIPES.glob("*.toml") if recipe_kind(path) in KINDS)
    if request.model is None:
        raise InputError(f"give --recipe FILE, or --model with one of {', '.join(shipped)}")
    if request.model not in shipped:
        raise InputError(f"--model {request.model}: expected one of {', '.join(shipped)}")
    return RECIPES / f"{request.model}.toml"

"""Recipes from TOML files: found by name, overridden by flags, every mistake named at once."""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from emoshift.errors import ConfigError, InputError
from emoshift.text_files import read_text_file
from train.recipe import COMMANDS, RUN_MODELS, Recipe, RunRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic_core import ErrorDetails

RECIPES: Final = Path(__file__).parent / "recipes"
RENAMED: Final = {
    "rate": "learning_rate",
    "end_rate": "end_learning_rate",
    "side_px": "image_size",
    "average": "ema_decay",
    "smoothing": "label_smoothing",
    "fall": "cosine_decay",
    "batches": "steps_per_epoch",
    "plateau.least": "plateau.min_learning_rate",
}
"""Keys of earlier recipes, and of runs they made, that are read under their new names."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOverrides:
    """What a run does otherwise than its recipe says; ``None`` keeps what the recipe says.

    Attributes:
        seed: In place of the recipe's.
        epochs: Length; the phases of a residual network are stretched or shortened alike.
        batch_size: Images a step.
        learning_rate: First one, or the highest where it has phases.
        labels: FER2013's own labels or FER+'s, for networks with one head.
        classes: As in `train.data.sampling.Selection`.
        samples_per_class: Likewise.
        weights: How often images of each named emotion are drawn.
    """

    seed: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    labels: str | None = None
    classes: tuple[str, ...] | None = None
    samples_per_class: int | None = None
    weights: dict[str, float] = field(default_factory=dict)


def recipe_path(name: str) -> Path:
    """Return the file of a shipped recipe of ``train run``; raises `InputError` for others."""
    shipped = sorted(
        path.stem for path in RECIPES.glob("*.toml") if read_table(path).get("model") in RUN_MODELS
    )
    if name not in shipped:
        raise InputError(f"--model {name!r}: expected one of {', '.join(shipped)}")
    return RECIPES / f"{name}.toml"


def read_table(path: Path) -> dict[str, Any]:
    """Read a recipe's plain values.

    Raises:
        InputError: There is no such file.
        ConfigError: It is not TOML.
    """
    try:
        return tomllib.loads(read_text_file(path))
    except OSError as why:
        raise InputError(f"{path}: {why.strerror}; give a recipe as in {RECIPES}") from why
    except ValueError as why:
        raise ConfigError(str(path), [f"not TOML: {why}"]) from why


def read_recipe(path: Path, kind: type[R], log: Callable[[str], None] = lambda _: None) -> R:
    """Read a recipe of one kind; ``log`` gets a line for each key that has a new name.

    Raises:
        InputError: There is no such file.
        ConfigError: Keys are unknown, missing or wrong; the message names all of them.
    """
    table = renamed(read_table(path), lambda line: log(f"{path}: {line}"))
    return parse_recipe(table, kind, where=str(path))


def parse_recipe(table: dict[str, Any], kind: type[R], *, where: str) -> R:
    """Build a recipe of one kind from plain values; raises as `read_recipe` does."""
    recipe = _validated(table, where)
    if not isinstance(recipe, kind):
        found = str(table["model"])
        expected = ", ".join(get_args(kind.model_fields["model"].annotation))  # type: ignore[attr-defined]
        raise ConfigError(where, [f"model: found {found!r}, expected {expected}{_command(found)}"])
    return recipe


def parse_run_recipe(table: dict[str, Any], *, where: str) -> RunRecipe:
    """Build a recipe of ``train run`` from plain values; raises as `read_recipe` does."""
    recipe = _validated(table, where)
    if not isinstance(recipe, RunRecipe):
        expected = ", ".join(RUN_MODELS)
        line = f"model: found {recipe.model!r}, expected one of {expected}{_command(recipe.model)}"
        raise ConfigError(where, [line])
    return recipe


def renamed(
    table: dict[str, Any], log: Callable[[str], None] = lambda _: None, within: str = ""
) -> dict[str, Any]:
    """Return the values with keys of earlier recipes under their new names."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        new = RENAMED.get(f"{within}.{key}" if within else key) or RENAMED.get(key, key)
        new = new.rpartition(".")[2]
        if new != key:
            log(f"{key} is now called {new}; change it in the file")
        if isinstance(value, dict):
            result[new] = renamed(value, log, key)
        elif isinstance(value, list):
            result[new] = [renamed(v, log, key) if isinstance(v, dict) else v for v in value]
        else:
            result[new] = value
    return result


def overridden(table: dict[str, Any], overrides: RecipeOverrides) -> dict[str, Any]:
    """Return a recipe's plain values with the overrides in place."""
    result = {**table}
    for key in ("seed", "batch_size", "labels"):
        if (value := getattr(overrides, key)) is not None:
            result[key] = value
    phases = result.get("phases")
    if isinstance(phases, list) and all(isinstance(phase, dict) for phase in phases):
        result["phases"] = _overridden_phases(phases, overrides)
    else:
        for key in ("epochs", "learning_rate"):
            if (value := getattr(overrides, key)) is not None:
                result[key] = value
    data = {**result.get("data", {})}
    if overrides.classes is not None:
        data["classes"] = list(overrides.classes)
    if overrides.samples_per_class is not None:
        data["samples_per_class"] = overrides.samples_per_class
    if overrides.weights:
        data["weights"] = {**data.get("weights", {}), **overrides.weights}
    return {**result, "data": data} if data else result


def _overridden_phases(
    phases: list[dict[str, Any]], overrides: RecipeOverrides
) -> list[dict[str, Any]]:
    result = [{**phase} for phase in phases]
    if overrides.epochs is not None:
        lengths = _apportion(overrides.epochs, [int(phase["epochs"]) for phase in phases])
        result = [
            {**phase, "epochs": length}
            for phase, length in zip(result, lengths, strict=True)
            if length
        ]
    if overrides.learning_rate is not None and result:
        keys = ("learning_rate", "end_learning_rate")
        highest = max(phase.get(key, 0.0) for phase in result for key in keys)
        for phase in result:
            for key in keys:
                if key in phase:
                    phase[key] = phase[key] * overrides.learning_rate / highest
    return result


def _apportion(total: int, shares: Sequence[int]) -> list[int]:
    """Share a whole number out in proportion, so that the parts sum to it."""
    ends = [round(sum(shares[: i + 1]) * total / sum(shares)) for i in range(len(shares))]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


_RECIPE: Final[TypeAdapter[Any]] = TypeAdapter(Recipe)


def _validated(table: dict[str, Any], where: str) -> Any:
    # JSON has lists where the recipe has tuples, so it can be checked strictly: no "128" for 128.
    try:
        return _RECIPE.validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as why:
        raise ConfigError(where, [_problem(error) for error in _causes(why.errors())]) from None


def _causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out lists called too short only because what is in them is wrong."""
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(
            other["loc"][: len(error["loc"])] == error["loc"] and other is not error
            for other in errors
        )
    ]


def _problem(error: ErrorDetails) -> str:
    """Turn one of pydantic's findings into a line that says where, what and what instead."""
    if error["type"].startswith("union_tag"):
        context = error.get("ctx", {})
        known = str(context.get("expected_tags", ", ".join((*RUN_MODELS, *COMMANDS))))
        found = f"found {context['tag']!r}" if "tag" in context else "missing"
        return f"model: {found}, expected one of {known.replace(chr(39), '')}"
    tag, path = error["loc"][0], error["loc"][1:]  # the union puts the model first
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    if error["type"] == "missing":
        return f"{place}: missing"
    if error["type"] == "extra_forbidden":
        fields = sorted(_fields(str(tag), path[:-1]))
        close = difflib.get_close_matches(str(path[-1]), fields, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(fields)}"
        return f"{place}: unknown; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "value_error" else f"; found {error['input']!r}"
    return f"{place}: {message[:1].lower()}{message[1:]}{found}"


def _fields(model: str, path: Sequence[int | str]) -> set[str]:
    """Return the keys that the table at ``path`` of such a recipe may hold."""
    kinds = [k for k in _kinds(Recipe) if model in get_args(k.model_fields["model"].annotation)]
    for part in (part for part in path if isinstance(part, str)):
        kinds = list(_kinds(kinds[0].model_fields[part].annotation))
    return set(kinds[0].model_fields) if kinds else set()


def _kinds(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the tables in a type, such as that of ``tuple[Phase, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _command(model: str) -> str:
    return f"; `{COMMANDS[model]}` takes this one" if model in COMMANDS else ""

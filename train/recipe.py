"""Recipes: everything that decides a run, as data in a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from emoshift.errors import ConfigError, InputError
from train.augment import Augmentation
from train.data.sampling import Selection
from train.features.synthetic_sequences import Script
from train.networks.config import ResidualNet

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of epochs.

    Attributes:
        epochs: How many.
        side_px: Side of the pictures.
        rate: Learning rate at its start.
        end_rate: Learning rate at its end, reached linearly; the same as ``rate`` where absent.
        strength: Multiplies the geometric limits of the augmentation.
    """

    epochs: int
    side_px: int
    rate: float
    end_rate: float | None = None
    strength: float = 1.0

    def rate_at(self, share: float) -> float:
        """Return the learning rate when ``share`` of the phase is done."""
        end = self.rate if self.end_rate is None else self.end_rate
        return self.rate + (end - self.rate) * share


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to train a picture net.

    Attributes:
        seed: Decides weights, order, augmentation and dropout.
        batch_size: Pictures a step.
        momentum: Of Nesterov's SGD.
        weight_decay: Decoupled, times the learning rate; scales and biases are spared.
        average: Decay of the weights' moving average, per four steps.
        fer2013_weight: Of the FER2013 head's loss beside the FER+ head's.
        teacher_share: Of a teacher's probabilities in both heads' targets; 0 for no teacher.
        phases: In order.
        data: How many pictures of each FER2013 label, and how often each is drawn; its ``classes``
            stay empty, for the heads name all of them.
        augmentation: Limits at strength 1.
        network: Shape of the net.
    """

    model: Literal["residual"] = "residual"
    seed: int
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    average: float = 0.996
    fer2013_weight: float = 0.3
    teacher_share: float = 0.0
    phases: tuple[Phase, ...]
    data: Selection = field(default_factory=Selection)
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: ResidualNet = field(default_factory=ResidualNet)

    @property
    def epochs(self) -> int:
        """Return the length of the run."""
        return sum(phase.epochs for phase in self.phases)

    def phase_at(self, epoch: int) -> tuple[Phase, int]:
        """Return the phase of an epoch counted from 0, and the epochs of it already done."""
        done = 0
        for phase in self.phases:
            if epoch < done + phase.epochs:
                return phase, epoch - done
            done += phase.epochs
        raise IndexError(f"epoch {epoch} lies past the recipe's {done}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentRecipe:
    """One way to train the recurrent net.

    Attributes:
        seed: Decides weights, sequences and dropout.
        epochs: Evaluations; each follows ``batches`` steps.
        batches: Steps an epoch.
        batch_size: Sequences a step.
        rate: First learning rate of Adam; falls to zero along a half cosine.
        units: Of the LSTM.
        noise: Standard deviation added to every channel while training.
        dropout: Share of the LSTM's output dropped while training.
        script: How sequences are made.
    """

    model: Literal["recurrent"] = "recurrent"
    seed: int
    epochs: int = 30
    batches: int = 100
    batch_size: int = 256
    rate: float = 3e-3
    units: int = 40
    noise: float = 0.1
    dropout: float = 0.2
    script: Script = field(default_factory=Script)


R = TypeVar("R")


def recipe_kind(path: Path) -> str:
    """Return the recipe's ``model``; raises as `read_recipe` does."""
    return str(recipe_table(path).get("model", ""))


def read_recipe(path: Path, kind: type[R]) -> R:
    """Read a recipe of one kind.

    Raises:
        InputError: There is no such file.
        ConfigError: Unknown, missing or ill-typed keys; the message names all of them.
    """
    return recipe_from(recipe_table(path), kind, where=str(path))


def recipe_from(table: dict[str, Any], kind: type[R], *, where: str) -> R:
    """Build a recipe from plain values; raises `ConfigError` naming every wrong key."""
    problems: list[str] = []
    recipe = _build(kind, table, "", problems)
    if problems:
        raise ConfigError(where, problems)
    return typing.cast("R", recipe)


def recipe_table(path: Path) -> dict[str, Any]:
    """Read a recipe's plain values; raises as `read_recipe` does for a file that is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise InputError(f"{path}: {why.strerror}; give a recipe as in train/recipes") from why
    except ValueError as why:
        raise ConfigError(str(path), [str(why)]) from why


def _build(kind: Any, value: object, where: str, problems: list[str]) -> object:
    """Bring ``value`` to ``kind``, noting in ``problems`` what does not fit."""
    optional = typing.get_origin(kind) is types.UnionType
    if optional:
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where, problems)
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        given = value if isinstance(value, list) else []
        if given is not value:
            problems.append(f"{where}: expected a list, found {value!r}")
        return tuple(_build(item, one, f"{where}[{i}]", problems) for i, one in enumerate(given))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if value is None and optional:
        return None
    if not _fits(kind, value):
        expected = typing.get_args(kind)[0] if typing.get_args(kind) else kind.__name__
        problems.append(f"{where}: expected {expected}, found {value!r}")
    return value


def _fits(kind: Any, value: object) -> bool:
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    return isinstance(value, kind) and isinstance(value, bool) is (kind is bool)


def _build_dataclass(kind: Any, value: object, where: str, problems: list[str]) -> object:
    if not isinstance(value, dict):
        problems.append(f"{where}: expected a table, found {value!r}")
        return None
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    problems.extend(f"{prefix}{name}: unknown" for name in value if name not in known)
    needed = [
        name
        for name, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in needed if name not in value]
    problems.extend(f"{prefix}{name}: missing" for name in missing)
    given = {
        name: _build(hints[name], one, f"{prefix}{name}", problems)
        for name, one in value.items()
        if name in known
    }
    return None if missing else kind(**given)

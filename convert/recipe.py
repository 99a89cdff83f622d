"""What to convert and how, as typed data; combinations that cannot work are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.bundle.manifest import FileName
from emoshift.errors import ConfigError
from emoshift.text_files import read_text_file
from train.data.ferplus import LABELS

Precision = Literal["int8", "float32", "float16", "dynamic"]
DEFAULT_RECIPE: Final = Path(__file__).parent / "recipes" / "default.toml"
FEWEST_PICTURES: Final = 100
"""Fewer pictures do not show the range of every activation."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Calibration(_Table):
    """How activation ranges are measured.

    Attributes:
        pictures: How many, drawn from the training split in equal shares for each emotion.
        seed: Decides which.
    """

    pictures: Annotated[int, Field(ge=FEWEST_PICTURES, le=20_000)] = 512
    seed: Annotated[int, Field(ge=0)] = 7


class Gate(_Table):
    """Limits of the verify gate, converted model against float model, on held-out data.

    Attributes:
        agreement: Least share of pictures with the same arg-max.
        accuracy_lost: Most accuracy that may be lost, as a share, on the same pictures.
        usual_error: Largest difference of any probability in 99 of 100 pictures.
        probability_error: Largest difference of any probability of any picture.
        ece_change: Most by which the calibration error may grow.
        recurrent_agreement: Least share of steps with the same arg-max over long sequences.
        drift: Most by which the mean probability error may grow over a long sequence.
        delegated: Least share of operators that XNNPACK takes, for int8.
        most_bytes: Largest size of all models together.
    """

    agreement: Annotated[float, Field(ge=0, le=1)] = 0.97
    accuracy_lost: Annotated[float, Field(ge=0, le=1)] = 0.003
    usual_error: Annotated[float, Field(ge=0, le=1)] = 0.1
    probability_error: Annotated[float, Field(ge=0, le=1)] = 0.25
    ece_change: Annotated[float, Field(ge=0, le=1)] = 0.01
    recurrent_agreement: Annotated[float, Field(ge=0, le=1)] = 0.995
    drift: Annotated[float, Field(ge=0, le=1)] = 0.005
    delegated: Annotated[float, Field(ge=0, le=1)] = 0.95
    most_bytes: Annotated[int, Field(gt=0)] = 3_000_000


class MemberRecipe(_Table):
    """One network.

    Attributes:
        name: The member's name in the bundle.
        kind: ``cnn`` for pictures, ``lstm`` for one recurrent step over channels.
        source: Keras file, in the recipe's ``sources`` folder.
        head: Layer whose output is taken, where the network has several.
        second_head: Layer of a picture network that learnt the labels of FER2013; its output goes
            into the bundle beside the head's, as evidence for the change detector.
        labels: Meaning of the head's outputs.
        quantise: This member's precision, where it differs from the rest.
        mirrored: Whether the device averages the picture and its mirror image.
        channels: JSON file with the channel transform and step of a recurrent member.
        samples: npz file with its calibration and held-out sequences.
    """

    name: FileName
    kind: Literal["cnn", "lstm"]
    source: str
    head: str | None = None
    second_head: str | None = None
    labels: tuple[str, ...] = LABELS
    quantise: Precision | None = None
    mirrored: bool = False
    channels: str | None = None
    samples: str | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind == "lstm":
            if self.channels is None:
                raise ValueError("an lstm member needs channels, the JSON file of its transform")
            if self.samples is None:
                raise ValueError("an lstm member needs samples, the npz file of its sequences")
            if self.mirrored:
                raise ValueError("mirrored is for pictures; an lstm member has none")
            if self.head is not None or self.second_head is not None:
                raise ValueError("head is for networks with several; an lstm member has one")
            if self.quantise in {"float16", "dynamic"}:
                raise ValueError(
                    f"an lstm member cannot be {self.quantise}: its step is exported as int8 or"
                    " float32, whose states go in and out in one encoding"
                )
        elif self.channels is not None or self.samples is not None:
            raise ValueError("channels and samples are for lstm members")
        return self


class Recipe(_Table):
    """A whole bundle.

    Attributes:
        sources: Folder of the Keras files; a relative one counts from the recipe's own folder.
        quantise: Precision of members that do not say their own.
        temporal: JSON file with the parameters of the change detector, in ``sources``; used
            where it exists.
        report: Split whose accuracy is reported in the manifest beside that of the held-out one;
            nothing is chosen by it.
    """

    name: FileName
    licence: str
    training_data: tuple[str, ...]
    sources: Path
    quantise: Precision = "int8"
    temporal: str = "temporal.json"
    report: Literal["PublicTest", "PrivateTest"] | None = None
    calibration: Calibration = Calibration()
    gate: Gate = Gate()
    members: Annotated[tuple[MemberRecipe, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        names = [m.name for m in self.members]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"two members are called {', '.join(sorted(twice))}")
        return self

    def precision(self, member: MemberRecipe) -> Precision:
        """Return the precision a member is converted to.

        Where the bundle is float16 or dynamic, recurrent members stay float32.
        """
        if member.quantise is not None:
            return member.quantise
        if member.kind == "lstm" and self.quantise in {"float16", "dynamic"}:
            return "float32"
        return self.quantise


def load_recipe(path: Path, *, quantise: Precision | None = None) -> Recipe:
    """Read a recipe; ``quantise`` takes the place of its own precision.

    Raises:
        ConfigError: It cannot be read, or asks for something impossible.
    """
    try:
        data = tomllib.loads(read_text_file(path))
    except FileNotFoundError:
        raise ConfigError(str(path), ["no such file; give --recipe"]) from None
    except OSError as why:
        raise ConfigError(str(path), [f"cannot be read: {why}"]) from why
    except ValueError as why:
        raise ConfigError(str(path), [f"not TOML: {why}"]) from why
    if quantise is not None:
        data["quantise"] = quantise
    return parse_recipe(data, path)


def parse_recipe(data: dict[str, object], path: Path) -> Recipe:
    """Validate a recipe's data; ``path`` is where it came from.

    Raises:
        ConfigError: It asks for something impossible; every problem is listed.
    """
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as why:
        raise ConfigError(str(path), [_problem(dict(e)) for e in why.errors()]) from None
    return recipe.model_copy(update={"sources": (path.parent / recipe.sources).resolve()})


def _problem(error: dict[str, object]) -> str:
    loc = error["loc"]
    where = ".".join(str(part) for part in loc) if isinstance(loc, tuple) else str(loc)
    if error["type"] == "extra_forbidden":
        return f"unknown key {where}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message

"""A converted network with what the manifest says of it, beside its float reference."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.converter import ConversionJob, convert_network
from convert.inspect import look_inside
from edge.bundle.manifest import ChannelTransform, Member, TensorSpec
from edge.classifier.member import Network
from edge.litert import TensorInfo, TFLiteModel
from emoshift.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.recipe import MemberRecipe, Precision


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvertedMember:
    """One member on its way into a bundle.

    Attributes:
        member: As the manifest will name it.
        content: The converted model.
        reference_member: The same of the float reference.
        reference: The float model.
        software: Versions of the converter.
    """

    member: Member
    content: bytes
    reference_member: Member
    reference: bytes
    software: str

    def networks(self) -> tuple[Network, Network]:
        """Load the converted network and its reference, both uncalibrated (temperature 1)."""
        plain: dict[str, float] = {"temperature": 1.0}
        if self.member.fer2013_temperature is not None:
            plain["fer2013_temperature"] = 1.0
        return (
            Network(self.member.model_copy(update=plain), self.content),
            Network(self.reference_member.model_copy(update=plain), self.reference),
        )

    def fitted(
        self, *, temperature: float, weight: float, fer2013_temperature: float | None = None
    ) -> ConvertedMember:
        """Return it with fitted numbers; the reference gets the same."""
        update = {
            "temperature": temperature,
            "weight": weight,
            "fer2013_temperature": fer2013_temperature,
        }
        return replace(
            self,
            member=self.member.model_copy(update=update),
            reference_member=self.reference_member.model_copy(update=update),
        )


def convert_member(
    recipe: MemberRecipe,
    sources: Path,
    samples: NDArray[Any],
    precision: Precision,
) -> ConvertedMember:
    """Convert one member.

    Raises:
        InputError: Its network cannot be converted.
        ConfigError: Its channel file cannot be read, or its outputs are not those of the recipe.
    """
    source = sources / recipe.source
    _require_labels(source, recipe.labels)
    job = ConversionJob(
        source=str(source),
        kind=recipe.kind,
        head=recipe.head,
        second_head=recipe.second_head,
        classes=len(recipe.labels),
        precision=precision,
    )
    made = convert_network(job, samples)
    about = {**_kind(recipe, sources), "name": recipe.name, "labels": recipe.labels}
    member = _member(about, made.model, made.roles, precision)
    reference = _member(about, made.reference, made.reference_roles, "float32")
    _check_batches(str(source), member, made.model)
    return ConvertedMember(
        member=member,
        content=made.model,
        reference_member=reference,
        reference=made.reference,
        software=made.software,
    )


def _require_labels(source: Path, labels: tuple[str, ...]) -> None:
    """Compare a recipe's labels with those that training wrote beside the network, if it did.

    As many outputs in another order would be converted without a fault, and be read wrongly.
    """
    beside = source.with_suffix(".json")
    if not beside.exists():
        return
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
        written = content.get("classes", content.get("labels"))
    except (OSError, ValueError, AttributeError) as why:
        raise ConfigError(str(beside), ["not what training wrote"]) from why
    if isinstance(written, list) and tuple(written) != labels:
        raise ConfigError(
            str(source),
            [f"its outputs are {', '.join(written)}, the recipe's labels {', '.join(labels)}"],
        )


def _kind(recipe: MemberRecipe, sources: Path) -> dict[str, Any]:
    if recipe.kind == "cnn":
        return {
            "kind": "cnn",
            "preprocessing": "grey48-standardised",
            "mirrored": recipe.mirrored,
            "fer2013_temperature": None if recipe.second_head is None else 1.0,
        }
    path = sources / str(recipe.channels)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        transform = ChannelTransform.model_validate(content["channels"])
        step_s = float(content["step_s"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the recipe names it as channels") from None
    except (OSError, ValueError, KeyError, TypeError) as why:
        line = " ".join(str(why).split())[:200]
        raise ConfigError(str(path), [f"not a channel transform: {line}"]) from why
    return {"kind": "lstm", "preprocessing": "channels", "channels": transform, "step_s": step_s}


def _member(
    about: Mapping[str, Any], content: bytes, roles: Mapping[str, str], precision: Precision
) -> Member:
    model = TFLiteModel(content)
    return Member(
        **about,
        file=f"{about['name']}.tflite",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        quantisation=precision,
        multiply_adds=look_inside(content).multiply_adds,
        inputs=_specs("in", model.inputs, roles),
        outputs=_specs("out", model.outputs, roles),
    )


def _specs(
    side: str, infos: tuple[TensorInfo, ...], roles: Mapping[str, str]
) -> tuple[TensorSpec, ...]:
    by_name = {
        name: role.removeprefix(f"{side}:")
        for role, name in roles.items()
        if role.startswith(f"{side}:")
    }
    return tuple(
        TensorSpec.model_validate(
            {
                "role": by_name[info.name],
                "name": info.name,
                "shape": info.shape,
                "dtype": info.dtype,
                "scale": info.scale,
                "zero_point": info.zero_point,
            }
        )
        for info in sorted(infos, key=lambda info: info.name)
    )


def _check_batches(source: str, member: Member, content: bytes) -> None:
    """Make sure that many faces at once are answered as one by one."""
    network = Network(member, content)
    rng = np.random.default_rng(0)
    if member.kind == "lstm":
        x = rng.normal(size=(3, member.input("channels").shape[-1])).astype(np.float32)
        h, c = (np.repeat(state[None], 3, axis=0) for state in network.zero_state())
        together, _, _ = network.step(x, h, c)
        apart = np.concatenate([network.step(x[i : i + 1], h[:1], c[:1])[0] for i in range(3)])
    else:
        crops = rng.integers(0, 256, (3, 48, 48)).astype(np.uint8)
        together = network.predict(crops, mirror=False)
        apart = np.concatenate([network.predict(crops[i : i + 1], mirror=False) for i in range(3)])
    if not np.allclose(together, apart, atol=1e-4):
        raise InputError(
            f"{source}: three faces at once are answered otherwise than one by one; the network"
            " mixes the rows of a batch, or has a fixed batch size"
        )

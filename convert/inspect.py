"""What is inside a model file: operators, shapes, multiply-adds, and who computes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from edge.litert import TFLiteModel

if TYPE_CHECKING:
    from edge.bundle.loader import Bundle
    from edge.bundle.manifest import Member, TensorSpec
    from edge.litert import Operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A model's operators.

    Attributes:
        operators: How many of each name.
        alone: Names of those no delegate takes.
        delegated: Share of operators that XNNPACK takes, 0 to 1.
        multiply_adds: Of convolutions and dense layers, for one row.
    """

    operators: dict[str, int]
    alone: tuple[str, ...]
    delegated: float
    multiply_adds: int


def look_inside(content: bytes) -> Inside:
    """Inspect a model file."""
    operators = TFLiteModel(content).operators()
    return Inside(
        operators=dict(sorted(Counter(op.name for op in operators).items())),
        alone=tuple(op.name for op in operators if not op.delegated),
        delegated=sum(op.delegated for op in operators) / len(operators),
        multiply_adds=sum(map(multiply_adds, operators)),
    )


def multiply_adds(operator: Operator) -> int:
    """Return the multiply-adds of a convolution or dense layer; 0 for anything else."""
    if operator.name == "CONV_2D":  # weights are (out, height, width, in)
        return prod(operator.outputs[0]) * prod(operator.inputs[1][1:])
    if operator.name == "DEPTHWISE_CONV_2D":  # weights are (1, height, width, channels)
        return prod(operator.outputs[0]) * prod(operator.inputs[1][1:3])
    if operator.name == "FULLY_CONNECTED":  # weights are (out, in)
        return prod(operator.outputs[0]) * operator.inputs[1][1]
    return 0


def describe(bundle: Bundle) -> list[str]:
    """Describe a bundle as lines of text."""
    manifest = bundle.manifest
    total = sum(m.size_bytes for m in manifest.members)
    lines = [
        f"{manifest.bundle_id}: {len(manifest.members)} members, {total:,} bytes",
        f"  trained on   {'; '.join(manifest.training_data)}",
        f"  calibrated   {manifest.calibration_data}",
        f"  software     {manifest.software}",
        f"  temporal     {manifest.temporal.method if manifest.temporal else 'device defaults'}",
        f"  baseline     {manifest.baseline.described if manifest.baseline else 'none: no drift'}",
    ]
    for member in manifest.members:
        lines += ["", *_member_lines(member, look_inside(bundle.contents[member.name]))]
    lines += ["", "gate" if manifest.gate else "gate: no report"]
    for result in manifest.gate:
        verdict = "ok  " if result.passed else "FAIL"
        lines.append(
            f"  {verdict} {result.member}: {result.check} {result.value:.5g}"
            f" (limit {result.limit:g}, n = {result.n:,}, {result.data})"
        )
    return lines


def _member_lines(member: Member, inside: Inside) -> list[str]:
    operators = ", ".join(f"{count} {name}" for name, count in inside.operators.items())
    alone = f"; not {', '.join(sorted(set(inside.alone)))}" if inside.alone else ""
    view = ", mirrored view" if member.mirrored else ""
    size = f"{member.size_bytes:,} bytes, {inside.multiply_adds:,} multiply-adds"
    lines = [
        f"{member.name}: {member.kind}, {member.quantisation}, {size}",
        f"  weight {member.weight:g}, temperature {member.temperature:g}{view}",
        f"  operators    {operators}",
        f"  XNNPACK      {inside.delegated:.1%} of them{alone}",
    ]
    lines += [f"  in           {_tensor(spec)}" for spec in member.inputs]
    lines += [f"  out          {_tensor(spec)}" for spec in member.outputs]
    for m in member.metrics:
        about = f"n = {m.n:,}, {m.data}, {m.protocol}, {m.precision}"
        views = f"{m.views} view{'s' if m.views != 1 else ''}"
        lines.append(f"  measured     {m.name} {m.value:.4f} ({about}, {views})")
    return lines


def _tensor(spec: TensorSpec) -> str:
    shape = "x".join(str(n) for n in spec.shape)
    scale = "" if spec.scale is None else f", scale {spec.scale:.6g}, zero {spec.zero_point}"
    return f"{spec.role}: {spec.dtype} {shape}{scale}"

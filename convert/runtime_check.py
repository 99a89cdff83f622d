"""What a bundle's models predict on fixed inputs, to the last bit, in the installed runtime.

``python -m convert.runtime_check BUNDLE FILE.npz`` keeps the predictions; with
``--against OTHER.npz`` it compares them with those of another environment. It needs numpy,
pydantic and a TFLite runtime, nothing else, so that it runs beside `tflite-runtime` 2.14, which
knows numpy 1 only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.bundle.loader import load_bundle
from edge.litert import TFLiteModel, runtime_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.bundle.loader import Bundle
    from edge.bundle.manifest import Member

ROWS: Final = 256
STEPS: Final = 500


def predictions(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """Return every output of every member, raw, on inputs drawn from a fixed seed.

    Image members see `ROWS` noisy blobs one by one; recurrent ones run over `STEPS` steps, each
    with the state the step before gave.
    """
    out: dict[str, NDArray[Any]] = {}
    for member in bundle.manifest.members:
        model = TFLiteModel(bundle.contents[member.name])
        rng = np.random.default_rng(member.multiply_adds)
        predicted = (
            _predict_sequence(member, model, rng)
            if member.kind == "lstm"
            else _predict_images(member, model, rng)
        )
        out |= {f"{member.name}.{role}": array for role, array in predicted.items()}
    return out


def compare(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> list[str]:
    """Return one line for each output: how many values differ, and by how much at most."""
    lines = []
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            lines.append(f"{name}: only in one of them")
            continue
        mine, theirs = (values[name].astype(np.float64) for values in (one, other))
        if mine.shape != theirs.shape:
            lines.append(f"{name}: shape {mine.shape} against {theirs.shape}")
            continue
        off = np.abs(mine - theirs)
        differ = int((mine != theirs).sum())  # also where one of them is no number
        verdict = "the same" if not differ else f"{differ} differ, by {off.max():g} at most"
        lines.append(f"{name}: {off.size} values, {verdict}")
    return lines


def _predict_images(
    member: Member, model: TFLiteModel, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    [spec] = model.inputs
    found = {s.role: [o.name for o in model.outputs].index(s.name) for s in member.outputs}
    rows: dict[str, list[NDArray[Any]]] = {role: [] for role in found}
    for _ in range(ROWS):
        coarse = rng.normal(0, 50, (1, 6, 6, 1)).repeat(8, axis=1).repeat(8, axis=2)
        picture = np.clip(coarse + rng.normal(0, 20, spec.shape), -128, 127)
        if spec.dtype == "float32":
            picture /= 64
        out = model.run({0: picture.astype(spec.dtype)})
        for role, position in found.items():
            rows[role].append(out[position])
    return {role: np.concatenate(arrays) for role, arrays in rows.items()}


def _predict_sequence(
    member: Member, model: TFLiteModel, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    place = {s.role: [i.name for i in model.inputs].index(s.name) for s in member.inputs}
    found = {s.role: [o.name for o in model.outputs].index(s.name) for s in member.outputs}
    spec = model.inputs[place["channels"]]
    level = 1.0 if spec.scale is None else spec.scale
    state = {
        place[role]: np.full(
            model.inputs[place[role]].shape,
            model.inputs[place[role]].zero_point or 0,
            model.inputs[place[role]].dtype,
        )
        for role in ("state_h", "state_c")
    }
    kept: dict[str, list[NDArray[Any]]] = {role: [] for role in found}
    moving = np.zeros(spec.shape)
    for _ in range(STEPS):
        moving = 0.95 * moving + 0.4 * rng.normal(size=spec.shape)
        levels = np.clip(np.rint(moving / level), -128, 127) if level != 1.0 else moving
        out = model.run({place["channels"]: levels.astype(spec.dtype), **state})
        for role, position in found.items():
            kept[role].append(out[position])
        state = {place[role]: out[found[role]] for role in ("state_h", "state_c")}
    return {role: np.concatenate(rows) for role, rows in kept.items()}


def main(arguments: list[str]) -> int:
    """Run the command; returns 1 where predictions differ."""
    bundle, path = load_bundle(Path(arguments[0])), Path(arguments[1])
    mine = predictions(bundle)
    np.savez(path, **mine)  # type: ignore[arg-type] # numpy's stub takes the names for options
    print(f"{runtime_name()}, numpy {np.__version__}: {bundle.manifest.bundle_id} -> {path}")  # noqa: T201 - a command
    if "--against" not in arguments:
        return 0
    with np.load(arguments[arguments.index("--against") + 1]) as arrays:
        lines = compare(mine, dict(arrays))
    print("\n".join(lines))  # noqa: T201 - a command
    return int(any("the same" not in line for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

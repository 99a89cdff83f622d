"""From a recipe to a bundle, one stage after the other."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.bundle import manifest_bytes, staged, write_files
from convert.calibrate import choose
from convert.datasets import CALIBRATION_SPLIT, HELD_OUT_SPLIT, read_images, read_sequences
from convert.drift_baseline import measure_baseline
from convert.member import convert_member
from convert.model_card import CARD_NAME, write_card
from convert.predictions import fit, predict_all, stills_of
from convert.verify import failures, measure, measure_ensemble, verify_members
from edge import __version__
from edge.bundle.loader import load_bundle
from edge.bundle.manifest import MANIFEST_NAME, Manifest, Temporal
from emoshift.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from convert.calibrate import CalibrationSet
    from convert.datasets import ChannelSequences, SplitImages
    from convert.member import ConvertedMember
    from convert.recipe import Recipe
    from edge.bundle.loader import Bundle
    from edge.bundle.manifest import GateResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """Everything a build reads beside the networks.

    Attributes:
        calibration: Images of the training split.
        held_out: The split that judges and that numbers are fitted to.
        report: The split that is only reported; ``None`` for none.
        sequences: By the recurrent member's name.
    """

    calibration: CalibrationSet
    held_out: SplitImages
    report: SplitImages | None
    sequences: dict[str, ChannelSequences]


def build(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    overwrite: bool = False,
    allow_failing: bool = False,
    cache: Path | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Convert, fit, verify and write a bundle.

    Args:
        recipe: What to build.
        data: Folder with FER2013 and the FER+ votes.
        out: Folder of the bundle.
        overwrite: Whether a bundle there may be replaced.
        allow_failing: Write the bundle, marked so, although the gate fails.
        cache: Folder where decoded images are kept.
        log: Gets a line for each stage.

    Raises:
        InputError: A network or the data cannot be used, or the gate fails.
        OutputError: The bundle cannot be written.
    """
    with staged(out, overwrite=overwrite) as folder:
        material = gather(recipe, data, cache, log)
        members = convert_all(recipe, material, log)
        manifest = assemble(recipe, members, material, log)
        if manifest.failing and not allow_failing:
            failed = "; ".join(failures(manifest.gate))
            raise InputError(
                f"the verify gate fails ({failed}); nothing was written, --allow-failing writes a"
                " bundle that is marked so"
            )
        manifest, text = manifest_bytes(manifest)
        files = {built.member.file: built.content for built in members}
        files[MANIFEST_NAME] = text
        files[CARD_NAME] = write_card(manifest).encode()
        write_files(folder, files)
        load_bundle(folder)  # the device's own checks
    log(f"{out}: {manifest.bundle_id}")
    return manifest


def gather(recipe: Recipe, data: Path, cache: Path | None, log: Callable[[str], None]) -> Material:
    """Read the images and sequences.

    Raises:
        InputError: They are missing, or the trained networks are.
    """
    if not recipe.sources.is_dir():
        raise InputError(
            f"{recipe.sources}: no such folder; the default recipe's networks lie in a checkout's"
            " models/sources: run convert there, or name .keras files or a --recipe"
        )
    sequences = {
        member.name: read_sequences(recipe.sources / member.samples)
        for member in recipe.members
        if member.samples is not None
    }
    log(f"reading {data}")
    calibration = choose(read_images(data, CALIBRATION_SPLIT, cache=cache), recipe.calibration)
    log(f"calibrating on {calibration.described}")
    return Material(
        calibration=calibration,
        held_out=read_images(data, HELD_OUT_SPLIT, cache=cache),
        report=read_images(data, recipe.report, cache=cache) if recipe.report else None,
        sequences=sequences,
    )


def convert_all(
    recipe: Recipe, material: Material, log: Callable[[str], None]
) -> list[ConvertedMember]:
    """Convert every member."""
    members: list[ConvertedMember] = []
    for member in recipe.members:
        samples = (
            material.sequences[member.name].calibration
            if member.kind == "lstm"
            else material.calibration.crops
        )
        precision = recipe.precision(member)
        log(f"converting {member.name} to {precision}")
        members.append(convert_member(member, recipe.sources, samples, precision))
    return members


def assemble(
    recipe: Recipe,
    members: Sequence[ConvertedMember],
    material: Material,
    log: Callable[[str], None],
) -> Manifest:
    """Fit the numbers, judge, and put the manifest together; its id is still empty."""
    log(f"fitting and verifying on {material.held_out.split}")
    sequences = material.sequences
    predictions = predict_all(members, material.held_out, stills_of(sequences, report=False))
    members = fit(members, predictions)
    gate = verify_members(members, predictions, sequences, recipe.gate)
    judged = [predictions]
    if material.report is not None:
        judged.append(predict_all(members, material.report, stills_of(sequences, report=True)))
    calibration = [material.calibration.described]
    calibration += [f"{name}: {s.origin}" for name, s in sequences.items()]
    return Manifest(
        bundle_id="",
        name=recipe.name,
        members=tuple(
            built.member.model_copy(
                update={"metrics": tuple(m for split in judged for m in measure(built, split))}
            )
            for built in members
        ),
        metrics=tuple(m for split in judged for m in measure_ensemble(members, split)),
        temporal=_temporal(recipe),
        baseline=measure_baseline(members, predictions, sequences),
        training_data=recipe.training_data,
        calibration_data="; ".join(calibration),
        licence=recipe.licence,
        software=f"emoshift {__version__}, {members[0].software}",
        recipe=recipe.model_dump(mode="json", exclude={"sources"}),
        gate=tuple(gate),
        failing=any(not result.passed for result in gate),
    )


def reverify(
    bundle: Bundle, recipe: Recipe, *, data: Path, cache: Path | None
) -> tuple[GateResult, ...]:
    """Compare the very files of a bundle with the float networks of a recipe.

    Raises:
        InputError: The recipe has other members than the bundle.
    """
    names = [member.name for member in bundle.manifest.members]
    if names != [member.name for member in recipe.members]:
        raise InputError(
            f"{bundle.folder}: its members are {', '.join(names)}, the recipe's"
            f" {', '.join(m.name for m in recipe.members)}; give its own recipe with --recipe"
        )
    material = gather(recipe, data, cache, lambda _: None)
    members = [
        replace(built, member=member, content=bundle.contents[member.name]).fitted(
            temperature=member.temperature,
            weight=member.weight,
            fer2013_temperature=member.fer2013_temperature,
        )
        for built, member in zip(
            convert_all(recipe, material, lambda _: None), bundle.manifest.members, strict=True
        )
    ]
    sequences = material.sequences
    predictions = predict_all(members, material.held_out, stills_of(sequences, report=False))
    return tuple(verify_members(members, predictions, sequences, recipe.gate))


def replace_detector_parameters(bundle: Bundle, path: Path) -> Manifest:
    """Put other parameters of the change detector into a bundle; its networks stay as they are.

    The result is what `build` would write with the same file among the sources.

    Raises:
        InputError: There is no such file.
        ConfigError: It holds no temporal block.
        OutputError: The bundle cannot be written.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; fit the change detector first")
    manifest, text = manifest_bytes(
        bundle.manifest.model_copy(update={"temporal": _read_temporal(path)})
    )
    files = {member.file: bundle.contents[member.name] for member in manifest.members}
    files[MANIFEST_NAME] = text
    files[CARD_NAME] = write_card(manifest).encode()
    with staged(bundle.folder, overwrite=True) as folder:
        write_files(folder, files)
        load_bundle(folder)
    return manifest


def _temporal(recipe: Recipe) -> Temporal | None:
    path = recipe.sources / recipe.temporal
    return _read_temporal(path) if path.exists() else None


def _read_temporal(path: Path) -> Temporal:
    try:
        return Temporal.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as why:
        line = " ".join(str(why).split())[:200]
        raise ConfigError(str(path), [f"not a temporal block: {line}"]) from why

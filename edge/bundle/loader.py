"""Load a model bundle, or say in one line why it cannot be trusted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge.bundle.manifest import (
    MANIFEST_NAME,
    SCHEMA,
    Manifest,
    Member,
    TensorSpec,
)
from edge.bundle.signature import SIGNATURE_NAME, check_signature
from edge.features.blendshapes import NAMES, POSE, channel_names
from edge.litert import TensorInfo, TFLiteModel
from emoshift.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.bundle.site_layer import SiteLayer

_MOST_BYTES = 64 * 1024 * 1024
"""Larger files are not even read: no bundle for these devices comes near."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A bundle that passed every check.

    Attributes:
        folder: Where it was loaded from.
        manifest: Its contents.
        contents: The bytes of each member's model by the member's name, the very bytes whose
            hashes were checked.
        layer: What was learnt of this room; ``None`` where nothing lies over the bundle.
    """

    folder: Path
    manifest: Manifest
    contents: Mapping[str, bytes]
    layer: SiteLayer | None = None

    @property
    def name(self) -> str:
        """The bundle's id, and behind a plus that of its site layer."""
        own = self.manifest.bundle_id
        return own if self.layer is None else f"{own}+{self.layer.layer_id}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know although the bundle can be used."""
        if not self.manifest.failing:
            return ()
        failed = ", ".join(f"{g.member} {g.check}" for g in self.manifest.gate if not g.passed)
        warning = (
            f"{self.folder}: bundle {self.manifest.bundle_id} was written although the verify gate"
            f" failed ({failed or 'no report'}); rebuild it without --allow-failing"
        )
        return (warning,)


def default_bundle_path() -> Path:
    """Return the folder of the bundle that comes with the package.

    In a checkout ``edge/bundle/default`` is a link to ``models/default``; in an installed package
    it is a folder with the same files.
    """
    return Path(__file__).parent / "default"


def bundle_id(data: Mapping[str, Any]) -> str:
    """Name a manifest by its contents.

    Args:
        data: The manifest as JSON data; its own ``bundle_id`` does not count.

    Returns:
        ``<name>-<first 12 hex digits of the sha256 over the sorted, compact JSON>``. As the hash
        of every member stands in the manifest, it covers every byte that matters.
    """
    kept = {key: value for key, value in data.items() if key != "bundle_id"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"{data['name']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def load_bundle(folder: Path, *, keys: Path | None = None) -> Bundle:
    """Read a bundle and check all of it.

    Args:
        folder: Where it lies.
        keys: Folder of trusted keys, one of which must have signed it; ``None`` asks for none.

    Checked are the manifest's schema and contents, the size and sha256 of every file, that no
    file lies outside the folder, and that the inputs and outputs of every model are those the
    manifest declares.

    Raises:
        BundleError: Anything is missing, altered, incomplete or of another schema; the message
            says which file, what was found and what to do.
    """
    manifest = read_manifest(folder, keys=keys)
    contents: dict[str, bytes] = {}
    for member in manifest.members:
        path = folder / member.file
        contents[member.name] = _read_checked(folder, member)
        try:
            _check_tensors(member, TFLiteModel(contents[member.name]))
            _check_channels(member)
        except BundleError as why:
            raise BundleError(f"{path}: {why}; build the bundle again with 'convert'") from why
    try:
        _check_baseline(manifest)
    except BundleError as why:
        path = folder / MANIFEST_NAME
        raise BundleError(f"{path}: {why}; build the bundle again with 'convert'") from why
    return Bundle(folder=folder, manifest=manifest, contents=MappingProxyType(contents))


def read_manifest(folder: Path, *, keys: Path | None = None) -> Manifest:
    """Read and check the manifest alone; arguments as of `load_bundle`.

    Raises:
        BundleError: It is missing, altered or of another schema.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise BundleError(
            f"{folder}: no such bundle folder; set models.bundle, or build one with 'convert'"
        )
    content = _read(folder, MANIFEST_NAME)
    if keys is not None:
        there = (folder / SIGNATURE_NAME).exists()
        check_signature(folder, content, _read(folder, SIGNATURE_NAME) if there else None, keys)
    try:
        data = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError) as why:
        raise BundleError(f"{path}: not JSON ({why}); copy the bundle again") from why
    if not isinstance(data, dict):
        raise BundleError(f"{path}: holds no JSON object; copy the bundle again")
    _check_schema(path, data.get("schema"))
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as why:
        first = why.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        more = f" (and {why.error_count() - 1} more)" if why.error_count() > 1 else ""
        message = str(first["msg"]).removeprefix("Value error, ")
        raise BundleError(
            f"{path}: {where}: {message}{more}; build the bundle again with 'convert'"
        ) from None
    if (expected := bundle_id(data)) != manifest.bundle_id:
        raise BundleError(
            f"{path}: altered: its contents have the id {expected}, but it says"
            f" {manifest.bundle_id}; copy the bundle again"
        )
    return manifest


def _check_schema(path: Path, found: object) -> None:
    if found == SCHEMA:
        return
    family, _, version = str(found).partition("/")
    known_family, _, known = SCHEMA.partition("/")
    if family == known_family and version.isdecimal() and int(version) > int(known):
        raise BundleError(
            f"{path}: schema {found} is newer than {SCHEMA}, the newest this version reads;"
            " update emoshift on this device"
        )
    raise BundleError(
        f"{path}: schema is {found!r}, expected {SCHEMA}; build the bundle again with 'convert'"
    )


def _read(folder: Path, name: str) -> bytes:
    """Read a file that must really lie in ``folder``."""
    path = folder / name
    try:
        if path.resolve(strict=True).parent != folder.resolve():
            raise BundleError(
                f"{path}: links to {path.resolve()}, outside the bundle; copy the file itself"
            )
        if not path.is_file():
            raise BundleError(f"{path}: not a regular file; copy the bundle again")
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise BundleError(f"{path}: {size} bytes, more than any bundle holds; copy it again")
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path}: missing; the bundle is incomplete, copy it again") from None
    except (OSError, RuntimeError) as why:  # RuntimeError: a loop of links
        raise BundleError(f"{path}: cannot be read: {why}") from why


def _read_checked(folder: Path, member: Member) -> bytes:
    content = _read(folder, member.file)
    path = folder / member.file
    if len(content) != member.size_bytes:
        raise BundleError(
            f"{path}: {len(content)} bytes, the manifest says {member.size_bytes};"
            " truncated or altered, copy the bundle again"
        )
    if (found := hashlib.sha256(content).hexdigest()) != member.sha256:
        raise BundleError(
            f"{path}: sha256 {found[:12]}..., the manifest says {member.sha256[:12]}...;"
            " altered, copy the bundle again"
        )
    return content


def _check_tensors(member: Member, model: TFLiteModel) -> None:
    for kind, specs, infos in (
        ("input", member.inputs, model.inputs),
        ("output", member.outputs, model.outputs),
    ):
        found = {info.name: info for info in infos}
        if sorted(found) != sorted(spec.name for spec in specs):
            raise BundleError(
                f"{kind}s are {', '.join(sorted(found))}; the manifest says"
                f" {', '.join(sorted(spec.name for spec in specs))}"
            )
        for spec in specs:
            if (is_ := _described(found[spec.name])) != (said := _described(spec)):
                raise BundleError(f"{kind} {spec.name} is {is_}; the manifest says {said}")


def _described(tensor: TensorInfo | TensorSpec) -> str:
    shape = "x".join(str(n) for n in tensor.shape)
    if tensor.dtype != "int8":
        return f"{tensor.dtype} {shape}"
    scale = "none" if tensor.scale is None else f"{tensor.scale:.9g}"
    return f"int8 {shape}, scale {scale}, zero point {tensor.zero_point}"


def _check_baseline(manifest: Manifest) -> None:
    """See that the baseline counts the blendshapes of the first recurrent member."""
    baseline = manifest.baseline
    if baseline is None:
        return
    forms = [member.channels for member in manifest.members if member.channels is not None]
    read = channel_names(forms[0]) if forms else ()
    expected = tuple(name for name in read if name not in POSE)
    if tuple(histogram.name for histogram in baseline.blendshapes) != expected:
        raise BundleError("the baseline counts other channels than the recurrent member reads")


def _check_channels(member: Member) -> None:
    form = member.channels
    if form is None:
        return
    if unknown := [name for name in form.blendshapes if name not in NAMES]:
        raise BundleError(f"the channel transform names {unknown[0]!r}, which is no blendshape")
    made, read = len(channel_names(form)), member.input("channels").shape[-1]
    if not made == read == len(form.mean) == len(form.std):
        raise BundleError(
            f"the channel transform makes {made} channels with {len(form.mean)} means and"
            f" {len(form.std)} deviations, the model reads {read}"
        )
    if min(form.std) <= 0:
        raise BundleError("the channel transform has a deviation that is not above zero")

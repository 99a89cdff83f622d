"""Installed bundles: switched atomically, the one before kept, a bad one left again by itself.

``LIBRARY/<bundle id>/`` holds each bundle, ``LIBRARY/site-<digits>/`` each site layer; the links
``current`` and ``previous`` say which is in use and which was before. A layer names the bundle it
lies over, an installed one or the package's own. Nothing in such a folder is ever changed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.bundle.loader import default_bundle_path, load_bundle, read_manifest
from edge.bundle.manifest import MANIFEST_NAME
from edge.bundle.signature import SIGNATURE_NAME
from edge.bundle.site_key import check_layer_signature
from edge.bundle.site_layer import LAYER_NAME, read_layer
from emoshift.errors import BundleError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.bundle.loader import Bundle
    from edge.bundle.site_layer import SiteLayer
    from edge.config import Models

log = logging.getLogger(__name__)

CURRENT: Final = "current"
PREVIOUS: Final = "previous"
PACKAGE: Final = "package"
"""What a link names for the bundle that comes with the package."""
HISTORY_NAME: Final = "history.json"
_MOST_HISTORY: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What was put to use when.

    Attributes:
        since: From when on, UTC.
        name: Bundle and layer, as `edge.bundle.loader.Bundle.name`.
    """

    since: datetime
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One bundle or site layer of the library.

    Attributes:
        bundle_id: Its name; that of a layer names its bundle, too.
        role: ``current``, ``previous`` or empty.
        problem: Why it could not be loaded; empty for a good one.
    """

    bundle_id: str
    role: str
    problem: str


class Library:
    """The bundles installed on this device.

    Args:
        folder: Where they lie; made when the first one is installed.
        keys: Folder of trusted keys, one of which must have signed each bundle; ``None`` asks for
            none.
        site_key: Folder of the device's own key, which must have signed each site layer; ``None``
            asks for none.
    """

    def __init__(
        self, folder: Path, *, keys: Path | None = None, site_key: Path | None = None
    ) -> None:
        self.folder = folder
        self._keys = keys
        self._site_key = site_key

    def current(self) -> Path | None:
        """Return the folder of the bundle in use, or ``None`` while none was ever installed."""
        return self._target(CURRENT)

    def list(self) -> list[Installed]:
        """Look at every bundle there is, checking each."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.iterdir()):
            if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
                continue
            roles = [role for role in (CURRENT, PREVIOUS) if self._target(role) == path]
            name, problem = path.name, ""
            try:
                name = self._load(path).name
            except BundleError as why:
                problem = str(why)
            found.append(Installed(bundle_id=name, role=roles[0] if roles else "", problem=problem))
        return found

    def install(self, source: Path, *, check: Callable[[Bundle], None]) -> str:
        """Copy a bundle in, check the copy, and make it the current one.

        Args:
            source: Folder of the bundle.
            check: Runs the bundle; raises `BundleError` when it does not work here.

        Returns:
            Its id.

        Raises:
            BundleError: It cannot be trusted, or the check fails; the one in use stays in use.
            OutputError: The library cannot be written.
        """
        bundle_id = load_bundle(source, keys=self._keys).manifest.bundle_id
        target = self.folder / bundle_id
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as scratch:
                part = Path(scratch) / bundle_id
                _copy(source, part)
                check(load_bundle(part, keys=self._keys))
                if target.exists():  # the same id is the same content, unless it was damaged
                    shutil.rmtree(target)
                part.replace(target)
            self._switch_to(target)
        except OSError as why:
            raise OutputError(f"{self.folder}: cannot be written: {why}") from why
        return bundle_id

    def install_layer(self, layer: SiteLayer, signature: bytes | None) -> str:
        """Put a layer over the bundle it names, and to use.

        Args:
            layer: The layer.
            signature: Over its `SiteLayer.to_json`, by the device's own key.

        Returns:
            Its name together with the bundle's.

        Raises:
            BundleError: The bundle it names is not here, or the signature is not the device's.
            OutputError: The library cannot be written.
        """
        target = self.folder / layer.layer_id
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as scratch:
                part = Path(scratch) / layer.layer_id
                part.mkdir(mode=0o755)
                _write(part / LAYER_NAME, layer.to_json())
                if signature is not None:
                    _write(part / SIGNATURE_NAME, signature)
                name = self._load(part).name
                if target.exists():
                    shutil.rmtree(target)
                part.replace(target)
            if self.current() is None:  # so that there is a way back to the package's own
                self._point(CURRENT, PACKAGE)
            self._switch_to(target)
        except OSError as why:
            raise OutputError(f"{self.folder}: cannot be written: {why}") from why
        return name

    def rollback(self) -> str:
        """Make the previous bundle the current one, and the other way round.

        Returns:
            The id of the bundle now in use.

        Raises:
            BundleError: There is no previous bundle, or it is damaged.
            OutputError: The library cannot be written.
        """
        current, previous = self._target(CURRENT), self._target(PREVIOUS)
        if previous is None or current is None:
            raise BundleError(f"{self.folder}: no previous bundle to go back to")
        name = self._load(previous).name
        try:
            self._point(CURRENT, previous.name)
            self._point(PREVIOUS, current.name)
            self._remember(name)
        except OSError as why:
            raise OutputError(f"{self.folder}: cannot be written: {why}") from why
        return name

    def history(self) -> tuple[Use, ...]:
        """What was put to use when, the newest last; empty where nothing ever was."""
        try:
            data = json.loads((self.folder / HISTORY_NAME).read_text(encoding="utf-8"))
            return tuple(
                Use(since=datetime.fromisoformat(d["since"]).astimezone(UTC), name=str(d["name"]))
                for d in data
            )
        except (OSError, ValueError, TypeError, KeyError):
            return ()

    def load(self) -> Bundle:
        """Load the current bundle; fall back to the previous one, then to the package's own.

        What had to be left is logged as an error each time, and stays for `list` to show.

        Raises:
            BundleError: Not even the package's own can be loaded.
        """
        for path in (self._target(CURRENT), self._target(PREVIOUS)):
            if path is None:
                continue
            try:
                return self._load(path)
            except BundleError as why:
                log.error("%s; going back to the bundle before", why)
        return load_bundle(default_bundle_path())  # lies beside this code, and is trusted as it is

    def _load(self, path: Path) -> Bundle:
        """Load a bundle, or the one that a layer lies over together with the layer."""
        if path == self.folder / PACKAGE:
            return load_bundle(default_bundle_path())
        if not (path / LAYER_NAME).exists():
            return load_bundle(path, keys=self._keys)
        layer = self._read_layer(path)
        base = self.folder / layer.bundle_id
        if base.parent == self.folder and base.is_dir():
            return replace(load_bundle(base, keys=self._keys), layer=layer)
        if read_manifest(default_bundle_path()).bundle_id == layer.bundle_id:
            return replace(load_bundle(default_bundle_path()), layer=layer)
        raise BundleError(
            f"{path}: made for the bundle {layer.bundle_id}, which is not here any more;"
            " calibrate again: sudo edge calibrate"
        )

    def _read_layer(self, path: Path) -> SiteLayer:
        file, signed = path / LAYER_NAME, path / SIGNATURE_NAME
        try:
            content = file.read_bytes()
            signature = signed.read_bytes() if signed.exists() else None
        except OSError as why:
            raise BundleError(f"{path}: cannot be read: {why}; calibrate again") from why
        if self._site_key is not None:
            check_layer_signature(file, content, signature, self._site_key)
        return read_layer(content, str(file))

    def _target(self, link: str) -> Path | None:
        try:
            name = (self.folder / link).readlink()
        except OSError:
            return None
        path = self.folder / name
        known = path.is_dir() or name == Path(PACKAGE)
        return path if path.parent == self.folder and known else None

    def _switch_to(self, target: Path) -> None:
        """Make a folder the current one, and the one before the previous one."""
        before = self.current()
        if before != target:
            if before is not None:
                self._point(PREVIOUS, before.name)
            self._point(CURRENT, target.name)
            self._remember(self._load(target).name)

    def _remember(self, name: str) -> None:
        """Write down what is in use from now on."""
        now = datetime.now(UTC).replace(microsecond=0)
        uses = [*self.history(), Use(since=now, name=name)][-_MOST_HISTORY:]
        data = [{"since": use.since.isoformat(), "name": use.name} for use in uses]
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as scratch:
            part = Path(scratch) / HISTORY_NAME
            _write(part, (json.dumps(data, indent=1) + "\n").encode())
            part.replace(self.folder / HISTORY_NAME)

    def _point(self, link: str, name: str) -> None:
        """Let a link point elsewhere, in one step."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".link-") as scratch:
            fresh = Path(scratch) / link
            fresh.symlink_to(name)
            fresh.replace(self.folder / link)


def _copy(source: Path, target: Path) -> None:
    """Copy a bundle's own files and nothing else that may lie beside them."""
    target.mkdir()
    names = {MANIFEST_NAME, *(m.file for m in load_bundle(source).manifest.members)}
    if (source / SIGNATURE_NAME).exists():
        names.add(SIGNATURE_NAME)
    for name in sorted(names):
        _write(target / name, (source / name).read_bytes())


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def configured_bundle(config: Models) -> Bundle:
    """Load the bundle that the configuration means.

    Raises:
        BundleError: It cannot be trusted.
    """
    if config.bundle == "default":
        return configured_library(config).load()
    return load_bundle(Path(config.bundle).expanduser(), keys=trusted_keys(config))


def configured_library(config: Models) -> Library:
    """Return the library that the configuration means."""
    site_key = None if config.allow_unsigned else config.site_key
    return Library(config.library, keys=trusted_keys(config), site_key=site_key)


def trusted_keys(config: Models) -> Path | None:
    """Return the folder of trusted keys; ``None`` where unsigned bundles are allowed."""
    return None if config.allow_unsigned else config.trusted_keys

"""Installed bundles: switched atomically, the one before kept, a bad one left again by itself.

``LIBRARY/<bundle id>/`` holds each bundle; the links ``current`` and ``previous`` say which is in
use and which was before. Nothing in a bundle's folder is ever changed.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.bundle.loader import default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.bundle.signature import SIGNATURE_NAME
from emoshift.errors import BundleError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.bundle.loader import Bundle
    from edge.config import Models

log = logging.getLogger(__name__)

CURRENT: Final = "current"
PREVIOUS: Final = "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One bundle of the library.

    Attributes:
        bundle_id: Its name.
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
    """

    def __init__(self, folder: Path, *, keys: Path | None = None) -> None:
        self.folder = folder
        self._keys = keys

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
            try:
                load_bundle(path, keys=self._keys)
                problem = ""
            except BundleError as why:
                problem = str(why)
            found.append(
                Installed(bundle_id=path.name, role=roles[0] if roles else "", problem=problem)
            )
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
            before = self.current()
            if before != target:
                if before is not None:
                    self._point(PREVIOUS, before.name)
                self._point(CURRENT, bundle_id)
        except OSError as why:
            raise OutputError(f"{self.folder}: cannot be written: {why}") from why
        return bundle_id

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
        load_bundle(previous, keys=self._keys)
        try:
            self._point(CURRENT, previous.name)
            self._point(PREVIOUS, current.name)
        except OSError as why:
            raise OutputError(f"{self.folder}: cannot be written: {why}") from why
        return previous.name

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
                return load_bundle(path, keys=self._keys)
            except BundleError as why:
                log.error("%s; going back to the bundle before", why)
        return load_bundle(default_bundle_path())  # lies beside this code, and is trusted as it is

    def _target(self, link: str) -> Path | None:
        try:
            name = (self.folder / link).readlink()
        except OSError:
            return None
        path = self.folder / name
        return path if path.parent == self.folder and path.is_dir() else None

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
        with (source / name).open("rb") as original, (target / name).open("wb") as copy:
            shutil.copyfileobj(original, copy)
            copy.flush()
            os.fsync(copy.fileno())


def configured_bundle(config: Models) -> Bundle:
    """Load the bundle that the configuration means.

    Raises:
        BundleError: It cannot be trusted.
    """
    keys = trusted_keys(config)
    if config.bundle == "default":
        return Library(config.library, keys=keys).load()
    return load_bundle(Path(config.bundle).expanduser(), keys=keys)


def trusted_keys(config: Models) -> Path | None:
    """Return the folder of trusted keys; ``None`` where unsigned bundles are allowed."""
    return None if config.allow_unsigned else config.trusted_keys

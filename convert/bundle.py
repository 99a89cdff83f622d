"""Write a bundle so that at every instant there is a whole one, the old or the new."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.bundle.loader import bundle_id
from edge.bundle.manifest import MANIFEST_NAME, Manifest
from emoshift.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def staged(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder beside ``out`` that takes its place when the block ends well.

    The folder is made first, so that a place that cannot be written is reported before minutes of
    work. When the block raises, or the process dies, ``out`` stays as it was.

    Raises:
        OutputError: ``out`` exists and may not be overwritten, or nothing can be written there.
    """
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; give --overwrite to replace it")
    if out.exists() and not (out / MANIFEST_NAME).exists() and any(out.iterdir()):
        raise OutputError(f"{out}: holds files but no bundle; give an empty or a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".part", dir=out.parent))
    except OSError as why:
        raise OutputError(
            f"{out}: cannot be written: {_reason(why)}; choose another --output"
        ) from why
    try:
        yield folder
        folder.chmod(0o755)
        _replace(folder, out)
    except OSError as why:
        raise OutputError(f"{out}: cannot be written: {_reason(why)}; nothing was changed") from why
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files and make sure that they are on the disk.

    Raises:
        OutputError: The disk is full or refuses.
    """
    for name, content in files.items():
        try:
            with (folder / name).open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as why:
            raise OutputError(
                f"{folder / name}: cannot be written: {_reason(why)}; free some space or choose"
                " another --output"
            ) from why


def manifest_bytes(manifest: Manifest) -> tuple[Manifest, bytes]:
    """Return the manifest with its id, and its file: the same bytes for the same contents."""
    data: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True)
    data["bundle_id"] = bundle_id(data)
    text = json.dumps(data, indent=1, ensure_ascii=True) + "\n"
    return manifest.model_copy(update={"bundle_id": data["bundle_id"]}), text.encode()


def _replace(folder: Path, out: Path) -> None:
    """Put ``folder`` in the place of ``out``; what was there ends up in ``folder``'s place."""
    if not out.exists():
        folder.rename(out)
        return
    real = out.resolve()
    if not _exchange(folder, real):  # a file system without it: two renames, a moment apart
        aside = folder.with_suffix(".old")
        real.rename(aside)
        try:
            folder.rename(real)
        except OSError:
            aside.rename(real)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step (Linux ``renameat2``); False where that is not possible."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.renameat2(
            _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
        )
        return bool(done == 0)
    return False


def _reason(why: OSError) -> str:
    if why.errno == errno.ENOSPC:
        return "the disk is full"
    return why.strerror or str(why)

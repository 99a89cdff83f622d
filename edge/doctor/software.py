"""The system, its libraries, the models, and what the configuration asks of them."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.assets import BLAZEFACE, LANDMARKER, YUNET, find_asset
from edge.bundle.installed import configured_bundle
from edge.doctor.finding import FETCH_MODELS, Cure, Finding, by, edge
from edge.faces.select_backend import mediapipe_missing
from edge.litert import runtime_name
from emoshift.errors import EmoshiftError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config import Config

PACKAGED: Final = Path("/usr/lib/emoshift/python")
"""There where the Debian package is installed."""

_OPENCVS: Final = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def examine_software(config: Config) -> Iterator[Finding]:
    """Check what is installed and what the configuration makes of it."""
    yield _system()
    yield _opencv()
    yield _decoder()
    yield _numpy()
    yield _runtime()
    yield _faces(config)
    yield _models(config)
    yield _threads(config)
    yield _legal_basis(config)


def _system() -> Finding:
    bits, machine = 8 * ctypes.sizeof(ctypes.c_void_p), platform.machine()
    good = sys.platform == "linux" and bits == 64 and machine in {"x86_64", "aarch64"}
    found = f"{platform.system()} {machine}, {bits}-bit, Python {platform.python_version()}"
    return Finding(
        what="system",
        good=good,
        detail=found if good else f"{found}; install a 64-bit Linux (x86-64 or arm64)",
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _reinstall(*requirements: str) -> tuple[Cure, ...]:
    """Get a library back: from the package, or by pip where there is none."""
    if PACKAGED.exists():
        return by("apt-get", "install", "--reinstall", "emoshift")
    return by(sys.executable, "-m", "pip", "install", *requirements, root=False)


def _opencv() -> Finding:
    found = [f"{name} {version}" for name in _OPENCVS if (version := _version(name))]
    if len(found) == 1:
        return Finding(what="opencv", good=True, detail=found[0])
    if not found:
        try:
            import cv2
        except ImportError as why:
            detail = f"cannot be imported: {why}"
            cures = _reinstall("opencv-python-headless")
            return Finding(what="opencv", good=False, detail=detail, cures=cures)
        return Finding(what="opencv", good=True, detail=f"{cv2.__version__} from the system")
    names = [line.partition(" ")[0] for line in found]
    pip = (sys.executable, "-m", "pip")
    return Finding(
        what="opencv",
        good=False,
        detail=f"{', '.join(found)} overwrite each other; uninstall all, then install"
        " opencv-python-headless alone",
        cures=by(*pip, "uninstall", "--yes", *names, root=False)
        + by(*pip, "install", "opencv-python-headless", root=False),
    )


def _decoder() -> Finding:
    try:
        import av
    except ImportError as why:
        detail = f"PyAV cannot be imported: {why}; it reads clips and network cameras"
        return Finding(what="decoder", good=False, detail=detail, cures=_reinstall("av"))
    versions = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return Finding(what="decoder", good=True, detail=f"PyAV {av.__version__}, avcodec {versions}")


def _numpy() -> Finding:
    version = _version("numpy") or "0"
    if _version("ai-edge-litert") is None and _version("tflite-runtime") and version[0] != "1":
        return Finding(
            what="numpy",
            good=False,
            detail=f"{version} breaks tflite-runtime; install 'numpy<2'",
            cures=_reinstall("numpy<2"),
        )
    return Finding(what="numpy", good=True, detail=version)


def _runtime() -> Finding:
    try:
        return Finding(what="runtime", good=True, detail=runtime_name())
    except EmoshiftError as why:
        cures = _reinstall("ai-edge-litert")
        return Finding(what="runtime", good=False, detail=str(why), cures=cures)


def _faces(config: Config) -> Finding:
    obstacle = mediapipe_missing()
    reference = "mediapipe can run" if obstacle is None else f"mediapipe cannot run: {obstacle}"
    if find_asset(LANDMARKER) is None:
        return Finding(
            what="faces",
            good=False,
            detail=f"{LANDMARKER.name} is missing; run: edge assets fetch",
            cures=(FETCH_MODELS,),
        )
    if config.faces.backend == "mediapipe":
        return Finding(what="faces", good=obstacle is None, detail=reference)
    if find_asset(YUNET) is not None:
        detector = "YuNet"
    elif find_asset(BLAZEFACE) is not None:
        detector = "full-range BlazeFace (YuNet is missing: edge assets fetch)"
    else:
        detector = "short-range BlazeFace, two metres at most; run: edge assets fetch"
    return Finding(what="faces", good=True, detail=f"direct can run with {detector}; {reference}")


def _models(config: Config) -> Finding:
    again = by("apt-get", "install", "--reinstall", "emoshift") if PACKAGED.exists() else ()
    cures = edge("models", "rollback") if any(config.models.library.glob("*")) else again
    try:
        bundle = configured_bundle(config.models)
    except EmoshiftError as why:
        return Finding(what="models", good=False, detail=str(why), cures=cures)
    if bundle.manifest.failing:
        detail = f"{bundle.manifest.bundle_id} failed its verify gate"
        return Finding(what="models", good=False, detail=detail, cures=cures)
    detail = f"{bundle.name}, every hash right"
    return Finding(what="models", good=True, detail=detail)


def _threads(config: Config) -> Finding:
    threads, cores = config.models.thread_count(), len(os.sched_getaffinity(0))
    chosen = ' (models.threads = "auto")' if config.models.threads == "auto" else ""
    found = f"{threads} for the networks{chosen}, {cores} processor cores"
    good = threads <= cores
    return Finding(
        what="threads",
        good=good,
        detail=found if good else f'{found}: more than there are; set models.threads = "auto"',
    )


def _legal_basis(config: Config) -> Finding:
    stated = config.device.legal_basis.strip()
    return Finding(
        what="legal basis",
        good=bool(stated),
        detail=stated
        or "none stated; set device.legal_basis, without which edge run does not start",
        cures=() if stated else edge("init"),
    )

"""What stands in the way of running here: one finding for each thing that must fit."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge.assets import BLAZEFACE, LANDMARKER, YUNET, find_asset
from edge.bundle.installed import configured_bundle
from edge.commands.probe_camera import probe_camera
from edge.faces.select_backend import mediapipe_missing
from edge.identity import machine_digest, settle_name
from edge.litert import runtime_name
from emoshift.clock import read_clock
from emoshift.errors import EmoshiftError
from emoshift.mqtt.connection import Connected, Failure, Lost, Subscribed
from emoshift.mqtt.paho import PROTOCOLS, Broker, PahoConnection
from emoshift.mqtt.reconnect import ANSWER_S
from emoshift.topics import Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config import Config

_OPENCVS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)

_OF_PROTOCOL = (Failure.PROTOCOL, Failure.HUNG_UP, Failure.SILENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was looked at, whether it holds, and what was found or what to do."""

    what: str
    good: bool
    detail: str


def examine(config: Config) -> Iterator[Finding]:
    """Check everything the daemon will need, cheapest first; nothing is changed."""
    yield _system()
    yield _opencv()
    yield _decoder()
    yield _numpy()
    yield _runtime()
    yield _faces(config)
    yield _bundle(config)
    yield _camera(config)
    yield _legal_basis(config)
    yield _outbox(config)
    yield _broker(config)
    yield _clock()


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


def _opencv() -> Finding:
    found = [f"{name} {version}" for name in _OPENCVS if (version := _version(name))]
    if len(found) == 1:
        return Finding(what="opencv", good=True, detail=found[0])
    if not found:
        try:
            import cv2
        except ImportError as why:
            return Finding(what="opencv", good=False, detail=f"cannot be imported: {why}")
        return Finding(what="opencv", good=True, detail=f"{cv2.__version__} from the system")
    return Finding(
        what="opencv",
        good=False,
        detail=f"{', '.join(found)} overwrite each other; uninstall all, then install"
        " opencv-python-headless alone",
    )


def _decoder() -> Finding:
    try:
        import av
    except ImportError as why:
        detail = f"PyAV cannot be imported: {why}; it reads clips and network cameras"
        return Finding(what="decoder", good=False, detail=detail)
    versions = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return Finding(what="decoder", good=True, detail=f"PyAV {av.__version__}, avcodec {versions}")


def _numpy() -> Finding:
    version = _version("numpy") or "0"
    if _version("ai-edge-litert") is None and _version("tflite-runtime") and version[0] != "1":
        return Finding(
            what="numpy", good=False, detail=f"{version} breaks tflite-runtime; install 'numpy<2'"
        )
    return Finding(what="numpy", good=True, detail=version)


def _runtime() -> Finding:
    try:
        return Finding(what="runtime", good=True, detail=runtime_name())
    except EmoshiftError as why:
        return Finding(what="runtime", good=False, detail=str(why))


def _faces(config: Config) -> Finding:
    obstacle = mediapipe_missing()
    reference = "mediapipe can run" if obstacle is None else f"mediapipe cannot run: {obstacle}"
    if find_asset(LANDMARKER) is None:
        return Finding(
            what="faces", good=False, detail=f"{LANDMARKER.name} is missing; run: edge assets fetch"
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


def _bundle(config: Config) -> Finding:
    try:
        bundle = configured_bundle(config.models)
    except EmoshiftError as why:
        return Finding(what="bundle", good=False, detail=str(why))
    if bundle.manifest.failing:
        return Finding(
            what="bundle", good=False, detail=f"{bundle.manifest.bundle_id} failed its verify gate"
        )
    return Finding(
        what="bundle", good=True, detail=f"{bundle.manifest.bundle_id}, every hash right"
    )


def _camera(config: Config) -> Finding:
    good, said = probe_camera(config.camera)
    return Finding(what="camera", good=good, detail=said)


def _legal_basis(config: Config) -> Finding:
    stated = config.device.legal_basis.strip()
    return Finding(
        what="legal basis",
        good=bool(stated),
        detail=stated
        or "none stated; set device.legal_basis, without which edge run does not start",
    )


def _outbox(config: Config) -> Finding:
    folder = config.outbox.path.parent
    nearest = next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))
    good = os.access(nearest, os.W_OK | os.X_OK)
    return Finding(
        what="outbox",
        good=good,
        detail=str(config.outbox.path) if good else f"{nearest} is not writable; set outbox.path",
    )


def _broker(config: Config) -> Finding:
    """Sign in as the publisher would, under another client id so that it is not thrown out."""
    try:
        config = settle_name(config)
        broker = Broker.from_settings(config.mqtt, client_id=f"emoshift-{machine_digest()}-doctor")
    except EmoshiftError as why:
        return Finding(what="broker", good=False, detail=str(why))
    topic = Address(config.device.site, config.device.name).topic(Kind.STATUS)
    for protocol in PROTOCOLS:
        problem, good = _sign_in(broker, protocol, topic)
        if good or problem.failure not in _OF_PROTOCOL:
            break
    if good:
        detail = f"{broker.address}: signed in, MQTT {protocol}{problem.detail}"
        return Finding(what="broker", good=not problem.detail, detail=detail)
    return Finding(
        what="broker",
        good=False,
        detail=f"{broker.address}: {problem.detail}; {problem.failure.value}; events would wait in"
        " the outbox",
    )


def _sign_in(broker: Broker, protocol: str, topic: str) -> tuple[Lost, bool]:
    """Connect and subscribe to the device's own topic; returns what is wrong, and if it worked."""
    connection = PahoConnection(broker, protocol=protocol)
    until_s = time.monotonic() + ANSWER_S
    limits = ""
    connection.open()
    try:
        while time.monotonic() < until_s:
            for event in connection.turn(0.1):
                match event:
                    case Lost():
                        return event, False
                    case Connected():
                        limits = _limits(event)
                        connection.subscribe(topic)
                    case Subscribed():
                        refused = "".join(f"; refuses {t}: {why}" for t, why in event.refused)
                        return Lost(failure=Failure.FORBIDDEN, detail=limits + refused), True
    finally:
        connection.close()
    return Lost(failure=Failure.SILENT, detail=f"no answer within {ANSWER_S:.0f} s"), False


def _limits(event: Connected) -> str:
    lacking = [] if event.retain else ["no retained messages"]
    lacking += [] if event.max_qos else ["no QoS 1"]
    return "".join(f"; {what}" for what in lacking)


def _clock() -> Finding:
    synced = read_clock().synced
    return Finding(
        what="clock",
        good=synced,
        detail="synchronised"
        if synced
        else "not synchronised; events say so; enable it: sudo timedatectl set-ntp true",
    )

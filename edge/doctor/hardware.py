"""The board: its camera, temperature, supply, disk and clock."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.commands.probe_camera import probe_camera
from edge.doctor.finding import (
    CLEAN_PACKAGES,
    JOIN_VIDEO,
    MAKE_STATE_FOLDER,
    RESTART_VISION,
    SET_CLOCK,
    STATE_FOLDER,
    Cure,
    Finding,
    by,
    edge,
)
from edge.doctor.services import VISION, is_active
from edge.health.board import (
    NEAR_LIMIT_C,
    board_name,
    describe_throttling,
    read_condition,
    read_throttling,
)
from edge.outbox.store import Outbox
from emoshift.clock import read_clock
from emoshift.errors import EmoshiftError
from emoshift.messages import Health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config import Config

_BLACK: Final = 0.03
_SPARE_MB: Final = 200.0
_MB: Final = 1e6
_VCGENCMD_S: Final = 5.0


def examine_hardware(config: Config, *, camera_given: bool) -> Iterator[Finding]:
    """Check what is plugged in and how it is doing.

    Args:
        config: The whole configuration.
        camera_given: Whether the camera is another one than the service's, so that it is opened
            although the service runs.
    """
    yield _camera_of_service(config) if is_active(VISION) and not camera_given else _camera(config)
    yield _temperature()
    yield _throttling()
    yield _outbox(config)
    yield _disk(config)
    yield _clock()


def _camera(config: Config) -> Finding:
    found = probe_camera(config.camera)
    if not found.good:
        source = config.camera.source
        device = f"/dev/video{source}" if source.isdecimal() else source
        if "permission" in found.detail.lower():
            cures: tuple[Cure, ...] = (JOIN_VIDEO,)
        elif device.startswith("/dev/") and Path(device).exists():
            cures = by("fuser", "--verbose", device)
        else:
            cures = edge("init")
        return Finding(what="camera", good=False, detail=found.detail, cures=cures)
    if found.brightness is not None and found.brightness < _BLACK:
        detail = f"{found}: the picture is black; take the lens cover off, or turn on the light"
        return Finding(what="camera", good=False, detail=detail, cures=edge("aim"))
    return Finding(what="camera", good=True, detail=str(found))


def _camera_of_service(config: Config) -> Finding:
    """Ask the service, which holds the camera, by what it last reported of it."""
    restart = (RESTART_VISION,)
    try:
        with Outbox.from_config(config.outbox, writer=False) as outbox:
            bodies = [s.body for s in outbox.snapshots() if s.kind == "health"]
    except EmoshiftError as why:
        return Finding(what="camera", good=False, detail=str(why), cures=restart)
    if not bodies:
        return Finding(what="camera", good=True, detail="held by the service, which has just begun")
    health = Health.from_json(bodies[0])
    old_s = (datetime.now(UTC) - health.at).total_seconds()
    if old_s > 3 * config.health.interval_s:
        detail = f"held by the service, which has reported nothing for {old_s:.0f} s"
        return Finding(what="camera", good=False, detail=detail, cures=restart)
    light = "" if health.brightness is None else f", brightness {100 * health.brightness:.0f} %"
    faces = "" if health.faces is None else f", faces: {health.faces}"
    return Finding(
        what="camera",
        good=health.camera_state == "streaming",
        detail=f"held by the service: {health.camera_state}, {health.fps:.1f} frames a second"
        f"{light}{faces}",
        cures=restart if health.camera_state == "lost" else (),
    )


def _temperature() -> Finding:
    board, celsius = board_name(), read_condition().temperature_c
    if celsius is None:
        return Finding(what="temperature", good=True, detail=f"{board} does not say")
    good = celsius < NEAR_LIMIT_C
    advice = "" if good else ": too hot; give it air, a heat sink or a fan"
    return Finding(what="temperature", good=good, detail=f"{celsius:.0f} degrees, {board}{advice}")


def _throttling() -> Finding:
    word = read_throttling()
    if word is None:
        word = _ask_firmware()
    if word is None:
        return Finding(what="throttling", good=True, detail="this board does not say")
    said = describe_throttling(word)
    return Finding(what="throttling", good=not said, detail=said or "none since it was started")


def _ask_firmware() -> int | None:
    """Ask a Raspberry Pi whose kernel does not show the word."""
    if (program := shutil.which("vcgencmd")) is None:
        return None
    try:
        done = subprocess.run(
            [program, "get_throttled"],
            capture_output=True,
            text=True,
            timeout=_VCGENCMD_S,
            check=True,
        )
        return int(done.stdout.strip().partition("=")[2], 16)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _outbox(config: Config) -> Finding:
    folder = config.outbox.path.parent
    nearest = _nearest(folder)
    if os.access(nearest, os.W_OK | os.X_OK):
        return Finding(what="outbox", good=True, detail=str(config.outbox.path))
    return Finding(
        what="outbox",
        good=False,
        detail=f"{nearest} is not writable; set outbox.path",
        cures=(MAKE_STATE_FOLDER,) if str(folder) == STATE_FOLDER else (),
    )


def _disk(config: Config) -> Finding:
    usage = shutil.disk_usage(_nearest(config.outbox.path.parent))
    needed_mb, free_mb = config.outbox.max_mb + _SPARE_MB, usage.free / _MB
    found = f"{free_mb:,.0f} MB free of {usage.total / _MB:,.0f} where events wait"
    good = free_mb >= needed_mb
    return Finding(
        what="disk",
        good=good,
        detail=found if good else f"{found}; {needed_mb:,.0f} are needed",
        cures=() if good else (CLEAN_PACKAGES, *by("journalctl", "--vacuum-size=100M")),
    )


def _clock() -> Finding:
    now = datetime.now().astimezone()
    synced = read_clock().synced
    return Finding(
        what="clock",
        good=synced,
        detail=f"{now:%Y-%m-%d %H:%M:%S %Z}, "
        + ("synchronised" if synced else "not synchronised; events say so"),
        cures=() if synced else (SET_CLOCK,),
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))

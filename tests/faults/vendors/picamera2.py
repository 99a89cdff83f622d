"""A camera that does what a test asks of it: stands in for the Raspberry Pi's own library.

The daemon under test imports it as ``picamera2`` (its folder is on PYTHONPATH), so that everything
from the adapter on is the real thing, in a real process. The folder that FAULTY_CAMERA names holds

- ``script.json``: a list of ``[scene, frames]``, played over and over; replaced at any time;
- ``<scene>.npy``: pictures, shape ``(n, height, width, 3)``, uint8, played in a loop.

Some scenes need no pictures: ``unplugged`` fails, ``stuck`` never answers, ``black`` is black to
the last bit (a covered lens), ``dark`` is black with a sensor's noise, ``noise`` is nothing but
noise. ``frozen`` repeats the picture before it, and its time stamp.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (240, 320, 3)


class Picamera2:
    """The few calls of it that the daemon makes.

    What a frozen camera repeats outlives its being opened again, as in a driver.
    """

    _last = np.zeros(SIZE, np.uint8)
    _stamp_ns = 0

    def __init__(self, _number: int = 0) -> None:
        self._folder = Path(os.environ["FAULTY_CAMERA"])
        self._script: list[tuple[str, int]] = []
        self._read_ns = 0
        self._place = self._shown = self._number = 0
        self._scenes: dict[str, np.ndarray] = {}
        self._noise = np.random.default_rng(0).integers(0, 256, (16, *SIZE), dtype=np.uint8)
        self._gap_s = 1 / 30
        self._due_s = time.monotonic()
        if self._scene() == "unplugged":
            raise RuntimeError("no camera there")

    def create_video_configuration(self, **wishes: Any) -> dict[str, Any]:
        return wishes

    def configure(self, wishes: dict[str, Any]) -> None:
        self._gap_s = 1 / wishes["controls"]["FrameRate"]

    def start(self) -> None:
        self._due_s = time.monotonic()

    def close(self) -> None:
        pass

    def capture_arrays(self, _streams: list[str]) -> tuple[list[np.ndarray], dict[str, int]]:
        self._due_s = max(self._due_s + self._gap_s, time.monotonic() - self._gap_s)
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        while (scene := self._scene()) == "stuck":
            time.sleep(0.05)
        if scene == "unplugged":
            raise RuntimeError("no camera there")
        self._shown += 1
        self._number += 1
        if scene != "frozen":
            Picamera2._last, Picamera2._stamp_ns = self._picture(scene), time.monotonic_ns()
        return [self._last.copy()], {"SensorTimestamp": self._stamp_ns}

    def _picture(self, scene: str) -> np.ndarray:
        noise = self._noise[self._number % len(self._noise)]
        if scene == "black":
            return np.zeros(SIZE, np.uint8)
        if scene == "dark":
            return noise // 64
        if scene == "noise":
            return np.roll(noise, self._number, axis=0)
        if scene not in self._scenes:
            self._scenes[scene] = np.load(self._folder / f"{scene}.npy", mmap_mode="r")
        pictures = self._scenes[scene]
        return pictures[self._number % len(pictures)]

    def _scene(self) -> str:
        """Which scene is on; the script is read again when it was replaced."""
        path = self._folder / "script.json"
        if (changed_ns := path.stat().st_mtime_ns) != self._read_ns:
            self._read_ns, self._place, self._shown = changed_ns, 0, 0
            self._script = json.loads(path.read_text())
        scene, frames = self._script[self._place]
        if self._shown >= frames:
            self._place, self._shown = (self._place + 1) % len(self._script), 0
            scene = self._script[self._place][0]
        return scene

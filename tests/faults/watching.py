"""The vision process as a real process in front of a camera that does what a test asks of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
import psutil

from benchmarks.workload import Request, Synthetic
from edge.assets import LANDMARKER, SAMPLE_CLIP, find_asset
from edge.bundle.loader import bundle_id, default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.capture.clip import Clip
from edge.features.blendshapes import POSE, channel_names
from edge.outbox.store import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[device]
site = "school"
name = "room-12"
legal_basis = "a test on supplied and made-up pictures"
[camera]
source = "picamera2:0"
fps = {fps}
[outbox]
path = "{folder}/outbox.db"
[health]
interval_s = {interval_s}
{more}
"""


def lacks() -> str:
    """What is missing for the real pipeline; empty when nothing is."""
    for asset in (LANDMARKER, SAMPLE_CLIP):
        if find_asset(asset) is None:
            return f"needs {asset.name}: edge assets fetch --all"
    return ""


def crowd(faces: int, width: int, height: int, count: int) -> NDArray[np.uint8]:
    """Pictures of so many people talking."""
    wish = Request(faces=max(faces, 1), width_px=width, height_px=height)
    if faces == 0:
        wall = np.random.default_rng(1).integers(90, 150, (8, 10, 3), dtype=np.uint8)
        calm = cv2.resize(wall, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.stack([calm + np.uint8(i % 7) for i in range(count)])
    people = Synthetic(wish)
    return np.stack([people.read().image for _ in range(count)])


def talking_man(width: int, height: int) -> NDArray[np.uint8]:
    """Every picture of the sample clip at another size, there and back again."""
    clip = find_asset(SAMPLE_CLIP)
    assert clip is not None
    frames = [cv2.resize(frame.image, (width, height)) for frame in Clip(clip).frames()]
    return np.stack(frames + frames[-2:0:-1])


def bundle_with_baseline(folder: Path) -> Path:
    """Copy the default bundle, with a made-up baseline where it has none."""
    shutil.copytree(default_bundle_path(), folder)
    path = folder / MANIFEST_NAME
    data = json.loads(path.read_text())
    if data.get("baseline") is None:
        [form, *_] = [m.channels for m in load_bundle(folder).manifest.members if m.channels]
        names = [name for name in channel_names(form) if name not in POSE]
        even = {"edges": [0.0], "shares": [0.5, 0.5]}
        data["baseline"] = {
            "blendshapes": [{"name": name, **even} for name in names],
            "confidence": {"name": "confidence", "edges": [0.8], "shares": [0.5, 0.5]},
            "described": "made up for a test",
        }
        data["bundle_id"] = bundle_id(data)
        path.write_text(json.dumps(data))
    return folder


class Watching:
    """Starts the vision process on made-up pictures; leaving the block stops it cleanly.

    Args:
        folder: For its configuration, outbox, pictures and log.
        scenes: Pictures by the name of their scene.
        fps: Pictures a second.
        interval_s: Time between two health messages.
        more: Further lines of the configuration.
        before: A command that starts it, such as strace.
    """

    def __init__(
        self,
        folder: Path,
        scenes: dict[str, NDArray[np.uint8]],
        *,
        fps: float = 30.0,
        interval_s: float = 1.0,
        more: str = "",
        before: Iterable[str] = (),
    ) -> None:
        self._folder = folder
        self._by_another = bool(before := tuple(before))
        self._command = [*before, sys.executable, "-m", "edge.daemon.process", "vision", "--config"]
        self._command.append(str(folder / "edge.toml"))
        self._process: subprocess.Popen[bytes] | None = None
        self._outbox: Outbox | None = None
        for name, pictures in scenes.items():
            np.save(folder / f"{name}.npy", pictures)
        text = CONFIG.format(folder=folder, fps=fps, interval_s=interval_s, more=more)
        (folder / "edge.toml").write_text(text)

    def show(self, *script: str | tuple[str, int]) -> None:
        """Play scenes from the next picture on; a lone name stays on."""
        lines = [(line, 1) if isinstance(line, str) else line for line in script]
        fresh = self._folder / "script.new"
        fresh.write_text(json.dumps(lines))
        fresh.replace(self._folder / "script.json")

    def start(self) -> None:
        """Start the process."""
        environment = {
            **os.environ,
            "FAULTY_CAMERA": str(self._folder),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/faults/vendors'}",
        }
        with (self._folder / "vision.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stderr=log, stdout=log, cwd=self._folder
            )

    @property
    def process(self) -> psutil.Process:
        """The vision process itself, whatever started it."""
        assert self._process is not None
        found = psutil.Process(self._process.pid)
        return found.children()[0] if self._by_another else found

    @property
    def code(self) -> int | None:
        """Its exit code, or ``None`` while it runs."""
        assert self._process is not None
        return self._process.poll()

    def carried_bytes(self) -> dict[str, int]:
        """Bytes in and out of every network interface the process can see, since it began."""
        rows = Path(f"/proc/{self.process.pid}/net/dev").read_text().splitlines()[2:]
        split = [row.partition(":") for row in rows]
        return {
            name.strip(): int(values.split()[0]) + int(values.split()[8])
            for name, _, values in split
        }

    def log(self) -> str:
        """What it has said."""
        return (self._folder / "vision.log").read_text()

    def health(self) -> dict[str, Any]:
        """The last health message; empty before the first."""
        return self.reported("health")

    def reported(self, kind: str) -> dict[str, Any]:
        """The last message of a kind that waits for the publisher; empty before the first."""
        if self._outbox is None:
            if not (self._folder / "outbox.db").exists():
                return {}
            self._outbox = Outbox.open(self._folder / "outbox.db", writer=False)
        for snapshot in self._outbox.snapshots():
            if snapshot.kind == kind:
                reported: dict[str, Any] = json.loads(snapshot.body)
                return reported
        return {}

    def until(self, what: str, timeout_s: float = 60.0, **wanted: object) -> dict[str, Any]:
        """Wait for a health message with these values; a callable decides by itself."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            assert self.code is None, f"{what}: vision ended with {self.code}: {self.log()}"
            reported = self.health()
            if reported and all(
                wish(reported[key]) if callable(wish) else reported[key] == wish
                for key, wish in wanted.items()
            ):
                return reported
            time.sleep(0.02)
        raise TimeoutError(f"{what}: not within {timeout_s} s; last {self.health()}\n{self.log()}")

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self.process.terminate()
        return self._process.wait(30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process is not None and self._process.poll() is None:
                self.process.kill()
                self._process.wait(30)
        finally:
            if self._outbox is not None:
                self._outbox.close()

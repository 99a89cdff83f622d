"""The memory of the vision process over a long run: ``python -m tests.faults.memory [frames]``.

The real process in front of a made-up camera: one face most of the time, now and then nobody, four
people, a picture of another size, noise, and thirty people at 1920x1080. Its memory (anonymous
pages: without libraries and the made-up pictures, which are files) is read at every health message
while one face is on. It rises and falls with what was on before, so growth is judged by its floor,
which what is never given back raises too: the lowest twentieth of the readings in the first and in
the second half of the last hour (or of the last half of a shorter run). Exits with 1 where that
comes to more than 1 MB over the judged time.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.faults.watching import Watching, crowd, lacks, talking_man

BAR_MB = 1.0
FLOOR_PERCENT = 5
FPS = 240.0
ROUND = [
    ("one", 4000),
    ("none", 200),
    ("four", 200),
    ("noise", 40),
    ("small", 200),
]
CROWD_EVERY = 6
"""Rounds from one class of thirty to the next."""


def main(frames: int) -> int:
    """Run for so many frames, print what was seen, and judge it."""
    if missing := lacks():
        print(missing, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    with tempfile.TemporaryDirectory() as name:
        scenes = {
            "one": talking_man(320, 240),
            "small": talking_man(176, 144),
            "none": crowd(0, 320, 240, 60),
            "four": crowd(4, 640, 480, 120),
            "thirty": crowd(30, 1920, 1080, 12),
        }
        rounds = [ROUND] * CROWD_EVERY
        rounds[0] = [*ROUND, ("thirty", 60)]
        watching = Watching(Path(name), scenes, fps=FPS, interval_s=2)
        watching.show(*(line for part in rounds for line in part))
        with watching:
            readings = _follow(watching, frames)
            carried = watching.carried_bytes()
            code = watching.stop()
    return _judge(readings, code, carried)


def _follow(watching: Watching, frames: int) -> list[tuple[float, int, float]]:
    """Read frames and memory at each health message, while one face is on."""
    readings: list[tuple[float, int, float]] = []
    started_s = logged_s = time.monotonic()
    seen = -1
    while (health := watching.health()).get("frames", 0) < frames:
        assert watching.code is None, watching.log()
        time.sleep(0.2)
        if not health or health["frames"] == seen:
            continue
        seen = health["frames"]
        now_s = time.monotonic()
        own_mb = _anonymous_mb(watching.process.pid)
        if health["faces"] == 1:
            readings.append((now_s - started_s, seen, own_mb))
        if now_s - logged_s >= 30:
            logged_s = now_s
            print(
                f"{now_s - started_s:6.0f} s  {seen:7d} frames  {own_mb:7.2f} MB"
                f"  faces {health['faces']:2d}  level {health['level']}",
                flush=True,
            )
    return readings


def _anonymous_mb(process: int) -> float:
    """Memory that a process has asked for and written to."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    found = next(line for line in lines if line.startswith("Anonymous:"))
    return int(found.split()[1]) / 1e3


def _judge(readings: list[tuple[float, int, float]], code: int, carried: dict[str, int]) -> int:
    end_s = readings[-1][0]
    last = [r for r in readings if r[0] >= max(end_s - 3600, end_s / 2)]
    middle_s = (last[0][0] + end_s) / 2
    halves = [r[2] for r in last if r[0] < middle_s], [r[2] for r in last if r[0] >= middle_s]
    first_mb, second_mb = (float(np.percentile(half, FLOOR_PERCENT)) for half in halves)
    grown_mb = 2 * (second_mb - first_mb)  # their middles lie half the judged time apart
    report = {
        "frames": readings[-1][1],
        "seconds": round(end_s),
        "exit code": code,
        "readings, MB: lowest, middle, highest": [
            round(float(np.percentile([r[2] for r in readings], p)), 1) for p in (0, 50, 100)
        ],
        "judged from, s": round(last[0][0]),
        "floor of its first half, MB": round(first_mb, 2),
        "floor of its second half, MB": round(second_mb, 2),
        "grown, MB": round(grown_mb, 2),
        "bytes over each network interface": carried,
    }
    print(json.dumps(report, indent=2))
    return int(code != 0 or grown_mb > BAR_MB or sum(carried.values()) > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))

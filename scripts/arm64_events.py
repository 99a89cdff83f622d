"""What `scripts/arm64` runs on both sides: replay a clip, compare events, read a lock."""

from __future__ import annotations

import json
import platform
import re
import sys
from pathlib import Path

_CONFIDENCE = 0.02
"""Kernels of two architectures round differently in the last digits; labels must not change."""
_TIME_S = 0.05


def replay(clip: str, bundle: str) -> None:
    """Print the clip's transitions, one JSON object each."""
    from edge.capture.clip import Clip
    from edge.config import Config
    from edge.pipeline import replay as steps

    config = Config.model_validate({"faces": {"backend": "direct"}, "models": {"bundle": bundle}})
    for step in steps(Clip(Path(clip)), config):
        for change in step.transitions:
            before = None if change.before is None else change.before.label
            replay = {
                "track": change.label,
                "from": before,
                "to": change.after.label,
                "onset_s": round(change.onset_s, 3),
                "decided_s": round(change.decided_s, 3),
                "confidence": round(change.confidence, 3),
            }
            sys.stdout.write(json.dumps(replay) + "\n")
            sys.stdout.flush()


def lock(path: str, version: str) -> None:
    """Print a lock's requirements, with their hashes, that hold for that Python on arm64.

    ``pip download --python-version`` chooses files for another Python, but reads the conditions of
    requirements as if for its own.
    """
    from packaging.requirements import Requirement

    there = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": "linux",
        "platform_machine": "aarch64",
    }
    for line in re.split(r"(?m)^(?=\w)", Path(path).read_text(encoding="utf-8")):
        needed, _, hashes = line.partition("\\\n")
        if not hashes:
            continue
        wanted = Requirement(needed)
        if wanted.marker is None or wanted.marker.evaluate(there):
            sys.stdout.write(f"{wanted.name}{wanted.specifier} \\\n{hashes}")


def backends() -> None:
    """Say which face back ends run on this processor."""
    from edge.faces.select_backend import mediapipe_obstacle, read_cpuinfo

    cpuinfo = read_cpuinfo()
    sys.stdout.write(f"      {platform.machine()}, direct: runs\n")
    for release in ("0.10.18", "1.2.2"):
        obstacle = mediapipe_obstacle(cpuinfo, release)
        sys.stdout.write(f"      mediapipe {release}: {obstacle or 'can run'}\n")


def same(expected: str, found: str) -> bool:
    """Whether two replays decided the same."""
    left, right = (
        [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        for path in (expected, found)
    )
    if len(left) != len(right) or not left:
        sys.stderr.write(f"{len(right)} events, expected {len(left)} and at least one\n")
        return False
    for one, other in zip(left, right, strict=True):
        words = all(one[key] == other[key] for key in ("track", "from", "to"))
        near = abs(one["confidence"] - other["confidence"]) <= _CONFIDENCE and all(
            abs(one[key] - other[key]) <= _TIME_S for key in ("onset_s", "decided_s")
        )
        if not (words and near):
            sys.stderr.write(f"found {other}, expected {one}\n")
            return False
    return True


if __name__ == "__main__":
    if sys.argv[1] == "same":
        sys.exit(0 if same(*sys.argv[2:]) else 1)
    {"replay": replay, "lock": lock, "backends": backends}[sys.argv[1]](*sys.argv[2:])

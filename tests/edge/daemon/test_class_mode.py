"""``privacy.publish = "class"``: a whole vision process, and nothing of single faces behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.config import parse_config
from edge.outbox.store import Outbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.clip
@pytest.mark.parametrize("publish", ["transitions", "class"])
def test_what_the_vision_process_hands_over(
    tmp_path: Path, sample_clip: Path, publish: str
) -> None:
    """On a clip with changes: events in one mode, none in the other, nor the number of faces."""
    settings = {
        "device": {"name": "room-12", "legal_basis": "a test on a supplied clip"},
        "camera": {"source": str(sample_clip)},
        "outbox": {"path": str(tmp_path / "outbox.db")},
        "health": {"interval_s": 1},
        "privacy": {"publish": publish, "window_s": 60},
    }
    done = subprocess.run(
        [sys.executable, "-m", "edge.daemon.process", "vision"],
        input=json.dumps(settings),
        text=True,
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    config = parse_config(settings, where="test")
    with Outbox.from_config(config.outbox, writer=False) as outbox:
        events = outbox.peek()
        reported = {snapshot.kind: json.loads(snapshot.body) for snapshot in outbox.snapshots()}
    single = publish == "transitions"
    assert bool(events) is single
    assert reported["info"]["publish"] == publish
    assert (reported["health"]["faces"] is not None) is single
    if not single:
        assert reported["class"]["suppressed"]
        assert reported["class"]["window_s"] == 60
        assert b'"track"' not in (tmp_path / "outbox.db").read_bytes()

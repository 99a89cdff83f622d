"""Home Assistant's own schemas take every announcement that a device can make.

`make test-homeassistant` installs Home Assistant and sets EMOSHIFT_HOMEASSISTANT to its Python.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest

from edge.config import HomeAssistant
from edge.publish.announced_topics import AnnouncedTopics
from edge.publish.homeassistant import Discovery
from emoshift.topics import Address

PYTHON = os.environ.get("EMOSHIFT_HOMEASSISTANT", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="needs Home Assistant: make test-homeassistant")


def announcement(folder: Path, *, single_faces: bool, url: str | None, limit: int | None) -> str:
    discovery = Discovery(
        HomeAssistant(enabled=True, dashboard_url=url),
        address=Address("school", "room-12"),
        single_faces=single_faces,
        health_interval_s=30.0,
        announced=AnnouncedTopics(folder / "topics"),
    )
    payload = discovery.message(largest_bytes=limit).payload
    return payload if isinstance(payload, str) else payload.decode()


def judged(*payloads: str) -> list[list[str]]:
    """What Home Assistant says of each."""
    done = subprocess.run(
        [PYTHON, str(Path(__file__).with_name("validate.py"))],
        input="".join(f"{payload}\n" for payload in payloads),
        capture_output=True,
        check=True,
        text=True,
    )
    version, *found = map(json.loads, done.stdout.splitlines())
    print("Home Assistant", version)
    return found


def test_every_announcement_is_taken(tmp_path):
    """Each way to publish, with and without a dashboard, whole and shortened for a small broker."""
    ways = itertools.product((True, False), ("https://emoshift.school.example", None), (None, 3000))
    payloads = [
        announcement(tmp_path, single_faces=single, url=url, limit=limit)
        for single, url, limit in ways
    ]
    assert judged(*payloads) == [[]] * len(payloads)


def test_the_judge_refuses_what_is_wrong(tmp_path):
    """A device class or key that Home Assistant does not know, or a bad topic, is found."""
    content = json.loads(announcement(tmp_path, single_faces=True, url=None, limit=None))
    parts = content["components"]
    parts["emoshift_school_room_12_camera"]["device_class"] = "trouble"
    parts["emoshift_school_room_12_faces"]["expires"] = 90
    parts["emoshift_school_room_12_transition"]["state_topic"] = "emoshift/+/#/transition"
    (found,) = judged(json.dumps(content))
    judged_wrong = {problem.partition(":")[0].rpartition("_")[2] for problem in found}
    assert judged_wrong == {"camera", "faces", "transition"}

"""What several test modules share: fetched assets and small clips made on the spot."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import settings

from edge.assets import DEMO_CLIP, LANDMARKER, SAMPLE_CLIP, find_asset

if TYPE_CHECKING:
    from pathlib import Path

    from emoshift.downloads import Download

# A suite that a shell started in the background would pass "ignore Ctrl-C" on to every program it
# starts, and the tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and why."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
    )
    left_out = [f"{count} ({reason})" for reason, count in reasons.most_common()]
    if slow := len(terminalreporter.stats.get("deselected", ())):
        left_out.append(f"{slow} (not asked for; the slow ones: make test-all)")
    if left_out:
        terminalreporter.write_line(f"left out: {', '.join(left_out)}")


# How long an example takes says nothing about the law it tests.
settings.register_profile("emoshift", deadline=None)
settings.load_profile("emoshift")


def _asset(asset: Download) -> Path:
    found = find_asset(asset)
    if found is None:
        pytest.skip(f"needs {asset.name}: edge assets fetch --all")
    return found


@pytest.fixture(scope="session")
def sample_clip() -> Path:
    """120 frames of a talking man."""
    return _asset(SAMPLE_CLIP)


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """The clip of a woman who goes from sad to happy, which the demonstration plays."""
    return _asset(DEMO_CLIP)


@pytest.fixture(scope="session")
def landmarker() -> Path:
    """MediaPipe's Face Landmarker bundle."""
    return _asset(LANDMARKER)


@pytest.fixture
def counting_clip(tmp_path: Path) -> Path:
    """A clip of 30 frames at 10 a second whose grey value grows with the frame's number."""
    path = tmp_path / "counting.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(30):
        writer.write(np.full((48, 64, 3), number * 8, dtype=np.uint8))
    writer.release()
    return path

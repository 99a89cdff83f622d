"""A live source: newest frame only, comes back after a loss, notices a frozen picture."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.capture.latest_frame import NewestFrame
from edge.capture.protocol import CaptureState
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Picture = "NDArray[np.uint8] | None"


class FedDevice:
    """A device that shows the pictures it is fed; ``None`` means it failed."""

    def __init__(self) -> None:
        self.pictures: queue.Queue[NDArray[np.uint8] | None] = queue.Queue()
        self.closed = threading.Event()

    def read(self) -> NDArray[np.uint8] | None:
        try:
            return self.pictures.get(timeout=0.2)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.closed.set()


def picture(value: int) -> NDArray[np.uint8]:
    return np.full((32, 32, 3), value, dtype=np.uint8)


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("waited four seconds in vain")


@pytest.fixture
def device() -> FedDevice:
    return FedDevice()


@pytest.fixture
def capture(device: FedDevice) -> Iterator[NewestFrame]:
    newest = NewestFrame(lambda: device, clock=time.monotonic, max_fps=1e6)
    yield newest
    newest.close()
    assert device.closed.is_set()


def test_only_the_newest_is_kept(device: FedDevice, capture: NewestFrame) -> None:
    """Frames nobody took in time are dropped and counted, never queued."""
    for value in (1, 2, 3):
        device.pictures.put(picture(value))
    wait_until(lambda: capture.status().frames == 3)
    frame = capture.next_frame(1.0)
    assert frame is not None
    assert frame.image[0, 0, 0] == 3
    assert frame.seq == 2
    assert capture.status().dropped == 2


def test_a_lost_device_comes_back(device: FedDevice, capture: NewestFrame) -> None:
    """After a failed read the state says so, and the next picture is handed out as usual."""
    device.pictures.put(picture(1))
    assert capture.next_frame(2.0) is not None
    device.pictures.put(None)
    wait_until(lambda: capture.status().state is CaptureState.LOST)
    assert "no picture" in capture.status().reason
    device.pictures.put(picture(2))
    device.pictures.put(picture(3))
    assert capture.next_frame(3.0) is not None
    assert capture.status().state is CaptureState.RUNNING
    assert capture.status().reopened >= 1


def test_a_missing_device_is_a_state() -> None:
    """A camera that is not there is waited for, with the reason at hand."""

    def absent() -> FedDevice:
        raise CameraError("/dev/video9: no such device")

    capture = NewestFrame(absent, clock=time.monotonic)
    try:
        assert capture.next_frame(0.2) is None
        status = capture.status()
        assert status.state is CaptureState.LOST
        assert "/dev/video9" in status.reason
    finally:
        capture.close()


def test_a_frozen_picture_is_a_loss(device: FedDevice) -> None:
    """A device that repeats one picture to the last bit is opened again."""
    times = iter(range(1_000_000))
    capture = NewestFrame(lambda: device, clock=lambda: float(next(times)), frozen_after_s=3.0)
    try:
        for _ in range(6):
            device.pictures.put(picture(7))
        wait_until(lambda: "frozen" in capture.status().reason)
    finally:
        capture.close()


def test_a_picture_that_stays_frozen_is_said_once(
    device: FedDevice, caplog: pytest.LogCaptureFixture
) -> None:
    """Opened again, the same picture is no return; another one is."""
    times = iter(range(1_000_000))
    capture = NewestFrame(lambda: device, clock=lambda: float(next(times)), frozen_after_s=3.0)
    try:
        for _ in range(12):
            device.pictures.put(picture(7))
        wait_until(device.pictures.empty)
        assert capture.status().state is CaptureState.LOST
        while capture.next_frame(0.0) is not None:
            pass
        device.pictures.put(picture(8))
        assert capture.next_frame(4.0) is not None
    finally:
        capture.close()
    said = [r for r in caplog.records if r.levelname == "WARNING" and "frozen" in r.message]
    assert len(said) == 1

"""A live source: newest frame only, comes back after a loss, notices a frozen picture."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.capture.latest_frame import MOST_FAILED, NewestFrame
from edge.capture.protocol import CapturedImage, CaptureState
from emoshift.errors import CameraError
from tests.support.interrupting import interrupt
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GONE = CapturedImage(image=np.zeros((1, 1, 3), np.uint8))


class FedDevice:
    """A device that shows the pictures it is fed; `GONE` means that it was unplugged."""

    mode = "32x32 TEST"

    def __init__(self) -> None:
        self.pictures: queue.Queue[CapturedImage | None] = queue.Queue()
        self.closed = threading.Event()
        self.finished = threading.Event()

    def read(self) -> CapturedImage | None:
        while not self.finished.is_set():
            try:
                picture = self.pictures.get(timeout=0.05)
            except queue.Empty:
                continue
            if picture is GONE:
                raise CameraError("the device is gone")
            return picture
        return None

    def close(self) -> None:
        self.closed.set()


def picture(value: int, stamp_s: float | None = None) -> CapturedImage:
    return CapturedImage(image=np.full((32, 32, 3), value, dtype=np.uint8), stamp_s=stamp_s)


@pytest.fixture
def device() -> FedDevice:
    return FedDevice()


@contextmanager
def reading(device: FedDevice, **settings: Any) -> Iterator[NewestFrame]:
    newest = NewestFrame(lambda: device, **{"clock": time.monotonic, "max_fps": 1e6, **settings})
    try:
        yield newest
    finally:
        device.finished.set()
        newest.close()
    assert device.closed.is_set()


@pytest.fixture
def capture(device: FedDevice) -> Iterator[NewestFrame]:
    with reading(device) as newest:
        yield newest


def seconds() -> Callable[[], float]:
    """A clock that is a second later at every reading."""
    times = iter(range(1_000_000))
    return lambda: float(next(times))


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
    """When it is gone the state says so, and the next picture is handed out as usual."""
    device.pictures.put(picture(1))
    assert capture.next_frame(2.0) is not None
    device.pictures.put(GONE)
    wait_until(lambda: capture.status().state is CaptureState.LOST)
    assert capture.status().reason == "the device is gone"
    device.pictures.put(picture(2))
    assert capture.next_frame(3.0) is not None
    status = capture.status()
    assert status.state is CaptureState.RUNNING
    assert status.reopened >= 1
    assert status.mode == "32x32 TEST"


def test_a_failed_read_is_no_loss(
    device: FedDevice, capture: NewestFrame, caplog: pytest.LogCaptureFixture
) -> None:
    """Damaged frames are left out, counted and said once; the device stays open."""
    device.pictures.put(picture(1))
    for _ in range(MOST_FAILED - 1):
        device.pictures.put(None)
    device.pictures.put(picture(2))
    wait_until(lambda: capture.status().frames == 2)
    status = capture.status()
    assert (status.damaged, status.reopened) == (MOST_FAILED - 1, 0)
    assert status.state is CaptureState.RUNNING
    assert (
        len([r for r in caplog.records if "damaged" in r.message and r.levelname == "WARNING"]) == 1
    )


def test_nothing_but_failed_reads_is_a_loss(device: FedDevice, capture: NewestFrame) -> None:
    """After so many in a row the device is opened again."""
    for _ in range(MOST_FAILED):
        device.pictures.put(None)
    wait_until(lambda: capture.status().state is CaptureState.LOST)
    assert "no picture from the device" in capture.status().reason


def test_a_missing_device_is_a_state() -> None:
    """A camera that is not there is waited for, with the reason at hand."""

    def absent() -> FedDevice:
        raise CameraError("/dev/video9: no such device")

    capture = NewestFrame(absent, clock=time.monotonic)
    try:
        assert capture.next_frame(0.2) is None
        wait_until(lambda: capture.status().state is CaptureState.LOST)
        assert "/dev/video9" in capture.status().reason
    finally:
        capture.close()


@pytest.mark.parametrize("stamps_s", [None, "advancing"])
def test_a_picture_that_repeats_is_no_loss(device: FedDevice, stamps_s: str | None) -> None:
    """A covered lens or a compressed quiet room repeats to the last bit; that is no fault."""
    with reading(device, clock=seconds(), frozen_after_s=3.0) as capture:
        for number in range(20):
            device.pictures.put(picture(7, None if stamps_s is None else number / 30))
        wait_until(lambda: capture.status().frames == 20)
        assert capture.status().state is CaptureState.RUNNING


def test_a_stamp_that_stands_still_is_a_loss(
    device: FedDevice, caplog: pytest.LogCaptureFixture
) -> None:
    """A device that hands out one old picture again is opened again; said once, until it goes on.

    Opened again, the same stamp is no return; another one is.
    """
    with reading(device, clock=seconds(), frozen_after_s=3.0) as capture:
        device.pictures.put(picture(6, 1.0))
        for value in range(6):
            device.pictures.put(picture(value, 2.0))
        wait_until(lambda: "frozen" in capture.status().reason)
        for _ in range(6):
            device.pictures.put(picture(7, 2.0))
        wait_until(device.pictures.empty)
        assert capture.status().state is CaptureState.LOST
        while capture.next_frame(0.0) is not None:
            pass
        device.pictures.put(picture(8, 2.5))
        assert capture.next_frame(4.0) is not None
    said = [r for r in caplog.records if r.levelname == "WARNING" and "frozen" in r.message]
    assert len(said) == 1


@pytest.mark.parametrize("where", ["open", "mode", "read", "close"])
def test_whatever_a_library_raises_is_a_reason(where: str) -> None:
    """An error that nobody foresaw does not end the thread; the camera comes back."""

    class Odd(FedDevice):
        @property
        def mode(self) -> str:
            return self.odd("mode") or "32x32 TEST"

        def read(self) -> CapturedImage | None:
            self.odd("read")
            return super().read()

        def close(self) -> None:
            super().close()
            self.odd("close")

        @staticmethod
        def odd(place: str) -> None:
            if place == where and len(opened) < 2:
                raise OSError("no such\nthing")

    opened: list[Odd] = []

    def open_device() -> Odd:
        opened.append(Odd())
        Odd.odd("open")
        opened[-1].pictures.put(picture(1))
        opened[-1].pictures.put(GONE)
        return opened[-1]

    capture = NewestFrame(open_device, clock=time.monotonic)
    try:
        wait_until(lambda: capture.status().reason == "OSError: no such thing")
        assert capture.status().state is CaptureState.LOST
        wait_until(lambda: len(opened) > 1 and capture.status().frames)
        assert where == "open" or opened[0].closed.is_set()
    finally:
        for device in opened:
            device.finished.set()
        capture.close()


def test_another_form_of_picture_is_a_reason(device: FedDevice, capture: NewestFrame) -> None:
    """Pictures that nobody understands are one line, not a crash."""
    odd = CapturedImage(image=np.zeros((4, 4, 2), np.uint8))
    device.pictures.put(odd)
    wait_until(lambda: capture.status().state is CaptureState.LOST)
    assert "camera.pixel_format" in capture.status().reason


def test_an_interrupt_at_any_moment_does_not_keep_it_from_closing() -> None:
    """Wherever Ctrl-C ends the caller, the thread lets go of the device."""

    def use(capture: NewestFrame) -> None:
        capture.status()
        capture.next_frame(0.0)
        capture.next_frame(10.0)

    for moment in itertools.count():
        device = FedDevice()
        with reading(device) as capture:
            device.pictures.put(picture(1))
            wait_until(lambda: capture.status().frames == 1)
            device.pictures.put(picture(2))
            interrupted = interrupt(partial(use, capture), after=moment)
        if not interrupted:
            break
    assert moment > 20


@pytest.mark.parametrize("moment", range(30))
def test_an_interrupted_close_can_be_repeated(moment: int) -> None:
    """Wherever Ctrl-C ends the wish to stop, it can be said again, and the thread hears it."""

    def absent() -> FedDevice:
        raise CameraError("no such device")

    capture = NewestFrame(absent, clock=time.monotonic)
    wait_until(lambda: capture.status().reason == "no such device")
    assert interrupt(capture.close, after=moment)
    again = threading.Thread(target=capture.close, daemon=True)
    again.start()
    again.join(10.0)
    assert not again.is_alive()

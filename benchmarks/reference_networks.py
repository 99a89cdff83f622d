"""The published networks that are timed here, each with one thread, to compare boards by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from benchmarks.reference_models.efficientdet import efficientdet_lite
from benchmarks.reference_models.mobilenet import mobilenet_v1, mobilenet_v2, mobilenet_v3
from benchmarks.reports.schema import Reference
from benchmarks.reports.statistics import summarise
from edge.litert import TFLiteModel
from edge.native_stderr import quiet_native

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.published.figures import Kind

_WRITERS: Final[dict[tuple[str, Kind], Callable[[], bytes]]] = {
    ("mobilenet-v1", "float32"): lambda: mobilenet_v1("float32"),
    ("mobilenet-v2", "float32"): lambda: mobilenet_v2("float32"),
    ("mobilenet-v3-large", "float32"): lambda: mobilenet_v3("large"),
    ("mobilenet-v3-small", "float32"): lambda: mobilenet_v3("small"),
    ("efficientdet-lite0", "float32"): lambda: efficientdet_lite(0, "float32"),
    ("efficientdet-lite1", "float32"): lambda: efficientdet_lite(1, "float32"),
    ("efficientdet-lite2", "float32"): lambda: efficientdet_lite(2, "float32"),
    ("mobilenet-v1", "int8"): lambda: mobilenet_v1("int8"),
    ("mobilenet-v2", "int8"): lambda: mobilenet_v2("int8"),
    ("efficientdet-lite0", "int8"): lambda: efficientdet_lite(0, "int8"),
    ("efficientdet-lite1", "int8"): lambda: efficientdet_lite(1, "int8"),
    ("efficientdet-lite2", "int8"): lambda: efficientdet_lite(2, "int8"),
}
_YUNET_SIZES: Final = ((160, 120), (320, 320), (640, 640))


class ReferenceNetworks:
    """The networks, loaded, and their times so far.

    Args:
        yunet: YuNet's file, which is timed at the published sizes; ``None`` where it is missing.
    """

    def __init__(self, yunet: Path | None) -> None:
        self._calls: dict[tuple[str, Kind], Callable[[], object]] = {
            key: _tflite_call(write()) for key, write in _WRITERS.items()
        }
        for size in _YUNET_SIZES if yunet is not None else ():
            self._calls["yunet-{}x{}".format(*size), "opencv"] = _yunet_call(yunet, size)
        self._spent_ms: dict[tuple[str, Kind], list[float]] = {key: [] for key in self._calls}
        for call in self._calls.values():
            call()

    def run(self) -> None:
        """Time each once."""
        for key, call in self._calls.items():
            began = time.perf_counter()
            call()
            self._spent_ms[key].append((time.perf_counter() - began) * 1e3)

    def report(self) -> tuple[Reference, ...]:
        """Summarise all runs."""
        return tuple(
            Reference(network=network, network_kind=kind, measured=summarise(np.array(spent)))
            for (network, kind), spent in self._spent_ms.items()
        )


def medians(references: tuple[Reference, ...], kind: Kind) -> dict[str, float]:
    """Median milliseconds of the networks of a kind."""
    return {r.network: r.measured.p50 for r in references if r.network_kind == kind}


def _tflite_call(content: bytes) -> Callable[[], object]:
    model = TFLiteModel(content, threads=1)
    info = model.inputs[0]
    feed = {0: np.zeros(info.shape, info.dtype)}
    return lambda: model.run(feed)


def _yunet_call(file: Path | None, size: tuple[int, int]) -> Callable[[], object]:
    with quiet_native():
        detector = cv2.FaceDetectorYN.create(str(file), "", size, 0.6, 0.3, 5000)
    picture = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return lambda: detector.detect(picture)

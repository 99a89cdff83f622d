"""Clips of every kind, and a network camera that plays one: made here, with nothing to install."""

from __future__ import annotations

import http.server
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def noise(count: int, width: int = 96, height: int = 64) -> list[NDArray[np.uint8]]:
    """Soft patterns that differ from each other."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (count, height // 16, width // 16, 3), dtype=np.uint8)
    return list(coarse.repeat(16, axis=1).repeat(16, axis=2))


def write_clip(
    path: Path,
    images: Iterable[NDArray[np.uint8]],
    *,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    times_s: Iterable[float] | None = None,
    fps: int = 25,
    options: dict[str, str] | None = None,
) -> Path:
    """Write pictures (BGR) as a video; the container is the suffix's.

    Args:
        path: Where to.
        images: The pictures, all of one size.
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the pixel format.
        times_s: When each is shown; every ``1 / fps`` by default.
        fps: The rate the file announces.
        options: The encoder's own.
    """
    images = list(images)
    stamps = [n / fps for n in range(len(images))] if times_s is None else list(times_s)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        tick = Fraction(1, fps if times_s is None else 1000)
        stream.codec_context.time_base = tick
        for image, at_s in zip(images, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            frame.pts, frame.time_base = round(at_s / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class NetworkCamera:
    """Plays a clip over HTTP as MPEG-TS, in real time and over and over.

    Attributes:
        opened: How often somebody connected.
        address: What to open.
    """

    def __init__(self, clip: Path) -> None:
        self.opened = 0
        self._stop = threading.Event()
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.opened += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                try:
                    _play(clip, self.wfile, camera._stop)
                except OSError:
                    return

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/a.ts"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def network_camera(clip: Path) -> Iterator[NetworkCamera]:
    """Run a network camera on a clip."""
    camera = NetworkCamera(clip)
    try:
        yield camera
    finally:
        camera.close()


class _Unseekable:
    """What a muxer may write to, and no more."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        self._file.write(data)
        return len(data)


def _play(clip: Path, file: Any, stop: threading.Event) -> None:
    with av.open(_Unseekable(file), "w", format="mpegts") as out:
        target, offset_s, began_s = None, 0.0, time.monotonic()
        while not stop.is_set():
            last_s = 0.0
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                target = target or out.add_stream_from_template(stream)
                base = stream.time_base
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    last_s = float(packet.dts * base + (packet.duration or 0) * base)
                    shift = round(offset_s / base)
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    packet.stream = target
                    due_s = began_s + float(packet.dts * base)
                    if stop.wait(max(0.0, due_s - time.monotonic())):
                        return
                    out.mux(packet)
            offset_s += last_s

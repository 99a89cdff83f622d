"""Files and network streams through FFmpeg: the only module that imports PyAV.

Why not OpenCV's reader, which has the same FFmpeg inside: it calls a picture that it failed to
convert a success, stops at the first damaged frame, and gives no time stamps of a stream
(docs/adr/0043-pyav-reads-clips-and-streams.md).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import av
import av.error
import av.filter
import av.logging
import numpy as np
from av.video.reformatter import VideoReformatter

from edge.capture.pictures import turned
from edge.capture.protocol import CapturedImage
from emoshift.credentials import mask_credentials
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

MOST_DAMAGED: Final = 300
"""Damaged frames in a row after which a source is given up: ten seconds of most cameras."""
STREAM_TIMEOUT_S: Final = 5.0
"""Longest wait for a network stream to open, and for its next bytes."""

# No log of FFmpeg's: what matters is raised. At any level but this one its decoding threads wait
# for Python's lock to write a line, and whoever closes a file with that lock waits for them.
av.logging.set_level(None)


class DecodeError(Exception):
    """A source that cannot be opened or read on; says why in a few words, without its address."""


class Decoder:
    """Takes the pictures out of a file or a stream, one after the other.

    Args:
        address: A path, or an address that FFmpeg knows.
        live: Whether it is a stream: waits are limited, and no picture is held back to decode
            several at a time.

    Attributes:
        fps: Average frames a second; ``None`` where the container does not say.
        mode: Picture size, codec and rate.
        damaged: Frames that could not be decoded so far.
        packets: Compressed frames read so far.

    Raises:
        DecodeError: It cannot be opened, or holds no video.
    """

    def __init__(self, address: str, *, live: bool) -> None:
        options = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
        try:
            self._container: InputContainer = av.open(
                address,
                options=options,
                timeout=(STREAM_TIMEOUT_S, STREAM_TIMEOUT_S) if live else None,
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, ValueError, UnicodeError) as why:
            raise DecodeError(_reason(why)) from None
        try:
            self._stream = _video(self._container)
        except DecodeError:
            self._container.close()
            raise
        # Threads by frame are faster but hold back a picture for each.
        self._stream.thread_type = "SLICE" if live else "AUTO"
        self._deinterlacer: _Deinterlacer | None = None
        self._converter = VideoReformatter()
        self.damaged = self.packets = 0
        # Settled now: the library crashes when a closed container is asked.
        self.fps = _rate(self._stream)
        formats = self._container.format.name.split(",")
        self._counts_places = "avi" in formats  # its index lists frames that were never recorded
        self._announced = self._stream.frames if {"mov", "avi"} & set(formats) else 0
        self._place = 0
        codec = self._stream.codec_context
        rate = f", {self.fps:.4g} frames a second" if self.fps else ""
        self.mode = f"{codec.width}x{codec.height} {codec.name}{rate}"

    def pictures(self) -> Iterator[CapturedImage | None]:
        """Yield each picture with its time stamp, and ``None`` for each damaged frame.

        Raises:
            DecodeError: The stream breaks off, or too many frames in a row are damaged.
        """
        in_a_row = 0
        for frame in self._frames():
            picture = None if frame is None else self._picture(frame)
            if picture is None:
                in_a_row += 1
                self.damaged += 1
                if in_a_row >= MOST_DAMAGED:
                    raise DecodeError(f"{in_a_row} damaged frames in a row")
            else:
                in_a_row = 0
            yield picture

    @property
    def cut_off(self) -> int:
        """Frames at the end of the container's index that were not reached.

        Only MP4 and AVI have an index; the counts of other containers come from rate and length.
        """
        reached = self._place if self._counts_places else self.packets
        return max(0, self._announced - reached)

    @property
    def lost(self) -> int:
        """Damaged frames, and those the index names that the container did not give."""
        gone = self._announced - self.packets if self.damaged else 0
        return self.damaged + (gone if 0 < gone <= 0.1 * self._announced else 0)

    def count(self) -> int:
        """Return the number of compressed frames: by the index, or else by reading to the end."""
        if self._announced and not self._counts_places:
            return self._announced
        with contextlib.suppress(av.error.FFmpegError):
            self.packets += sum(p.size > 0 for p in self._container.demux(self._stream))
        return self.packets

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._container.close()

    def _frames(self) -> Iterator[VideoFrame | None]:
        """Yield decoded, progressive frames; ``None`` for each that could not be decoded."""
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    self._note(packet)
                    try:
                        frames = packet.decode()
                    except av.error.FFmpegError:
                        yield None
                        continue
                    for frame in frames:
                        yield from self._progressive(frame)
            except (av.error.EOFError, av.error.ExitError, OSError) as why:
                if isinstance(why, av.error.EOFError):
                    return
                raise DecodeError(_reason(why)) from None
            except av.error.FFmpegError:
                yield None  # a damaged piece of the container; what follows may be readable
                continue
            break
        if self._deinterlacer is not None:
            yield from self._deinterlacer.flush()

    def _note(self, packet: Packet[Any]) -> None:
        if packet.size > 0:
            self.packets += 1
            if packet.pts is not None and packet.time_base is not None and self.fps:
                at_s = float(packet.pts * packet.time_base)
                self._place = max(self._place, round(at_s * self.fps) + 1)

    def _progressive(self, frame: VideoFrame) -> Iterator[VideoFrame | None]:
        if frame.interlaced_frame and self._deinterlacer is None:
            self._deinterlacer = _Deinterlacer(self._stream)
        if self._deinterlacer is None:
            yield frame
        else:
            yield from self._deinterlacer.add(frame)

    def _picture(self, frame: VideoFrame) -> CapturedImage | None:
        if frame.is_corrupt:
            return None
        try:
            bgr = self._converter.reformat(frame, format="bgr24", threads=1)
            image = _pixels(bgr)
        except (av.error.FFmpegError, ValueError, MemoryError):
            return None
        return CapturedImage(image=turned(image, -frame.rotation), stamp_s=frame.time)


def count_packets(address: str) -> int:
    """Count a file's compressed frames without decoding them; as many as can be read."""
    decoder = Decoder(address, live=False)
    try:
        return decoder.count()
    finally:
        decoder.close()


class _Deinterlacer:
    """FFmpeg's ``bwdif``: whole pictures out of two fields each; it holds one picture back."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._graph: av.filter.Graph | None = None
        self._form: tuple[int, int, VideoFormat] | None = None

    def add(self, frame: VideoFrame) -> Iterator[VideoFrame | None]:
        """Take a frame; yield what is ready."""
        form = (frame.width, frame.height, frame.format)
        if self._form is None or (*form[:2], form[2].name) != (*self._form[:2], self._form[2].name):
            yield from self.flush()
            self._graph, self._form = self._build(form), form
        if self._graph is None:
            yield frame
            return
        try:
            self._graph.vpush(frame)
        except av.error.FFmpegError:
            yield None
            return
        yield from self._ready()

    def flush(self) -> Iterator[VideoFrame]:
        """Yield what was held back."""
        if self._graph is not None:
            try:
                self._graph.vpush(None)
            except av.error.FFmpegError:
                return
            yield from self._ready()
            self._graph = self._form = None

    def _ready(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _build(self, form: tuple[int, int, VideoFormat]) -> av.filter.Graph | None:
        width, height, pixels = form
        try:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=width, height=height, format=pixels, time_base=self._stream.time_base
            )
            bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            sink = graph.add("buffersink")
            source.link_to(bwdif)
            bwdif.link_to(sink)
            graph.configure()
        except av.error.FFmpegError:
            return None  # a pixel format the filter does not know; combed pictures beat none
        return graph


class StreamDevice:
    """A network camera, as a device."""

    def __init__(self, address: str) -> None:
        try:
            self._decoder = Decoder(address, live=True)
        except DecodeError as why:
            raise CameraError(f"{mask_credentials(address)}: cannot be opened: {why}") from None
        self._address = mask_credentials(address)
        self._pictures = self._decoder.pictures()

    @property
    def mode(self) -> str:
        """What the stream carries."""
        return self._decoder.mode

    def read(self) -> CapturedImage | None:
        """Wait for the next picture; ``None`` for a damaged one."""
        try:
            return next(self._pictures)
        except StopIteration:
            raise CameraError(f"{self._address}: no picture: the stream has ended") from None
        except DecodeError as why:
            raise CameraError(f"{self._address}: no picture: {why}") from None

    def close(self) -> None:
        """Hang up."""
        self._decoder.close()


def _video(container: InputContainer) -> VideoStream:
    """Find the picture track; cover art of a sound file is none."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        raise DecodeError("holds no video")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise DecodeError("its codec is not known")
    return max(known, key=lambda one: one.codec_context.width * one.codec_context.height)


def _pixels(bgr: VideoFrame) -> NDArray[np.uint8]:
    """Show a frame's own memory as an array; copied only where its rows are padded."""
    plane = bgr.planes[0]
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : 3 * bgr.width]).reshape(bgr.height, bgr.width, 3)


def _rate(stream: VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= 1000:
            return float(rate)
    return None


def _reason(why: Exception) -> str:
    """Say why in words; the library's own text repeats the address, with its password."""
    if isinstance(why, av.error.ExitError):
        return f"no data for {STREAM_TIMEOUT_S:g} s"
    return getattr(why, "strerror", None) or type(why).__name__

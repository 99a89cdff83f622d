"""Clips: every frame, in order; whatever is not a clip is refused in one line."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from edge.capture.clip import Clip
from emoshift.errors import InputError
from tests.support.videos import noise, write_clip

if TYPE_CHECKING:
    from pathlib import Path


def test_every_frame_in_order(counting_clip: Path) -> None:
    """A clip yields each of its frames once, timed by its frame rate."""
    frames = list(Clip(counting_clip).frames())
    assert [f.seq for f in frames] == list(range(30))
    assert [f.captured_s for f in frames] == pytest.approx([n / 10 for n in range(30)])
    values = [int(f.image.mean()) for f in frames]
    assert values == sorted(values)
    assert not frames[0].image.flags.writeable


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"this is a letter, not a film\n" * 40, "not a video", id="not a video"),
    ],
)
def test_what_is_not_a_clip_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """The message names the file and what is wrong with it."""
    path = tmp_path / "lesson.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"lesson.mp4: {said}") as caught:
        list(Clip(path).frames())
    assert caught.value.exit_code == 66
    assert "\n" not in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder is no clip."""
    with pytest.raises(InputError, match="is a folder"):
        Clip(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_clip_is_reported(tmp_path: Path, sample_clip: Path, share: float) -> None:
    """A file that was cut short while copying ends in an error, not in silence."""
    whole = sample_clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="cut short"):
        list(Clip(cut).frames())


CODECS = [
    pytest.param("a.mp4", "libx264", "yuv420p", {}, id="h264"),
    pytest.param("a.mp4", "libx264", "yuv422p", {}, id="h264 4:2:2"),
    pytest.param("a.mp4", "libx264", "yuv420p10le", {}, id="h264 10 bit"),
    pytest.param("a.mkv", "libx265", "yuv420p", {"x265-params": "log-level=none"}, id="hevc"),
    pytest.param("a.mkv", "ffv1", "gray", {}, id="grey"),
    pytest.param("a.mkv", "rawvideo", "yuyv422", {}, id="yuyv"),
    pytest.param("a.mkv", "rawvideo", "nv12", {}, id="nv12"),
    pytest.param("a.webm", "libvpx-vp9", "yuv420p", {}, id="vp9"),
    pytest.param("a.ts", "mpeg4", "yuv420p", {}, id="mpeg-ts"),
    pytest.param("a.avi", "mjpeg", "yuvj420p", {}, id="mjpeg"),
    pytest.param("a.mov", "prores", "yuv422p10le", {}, id="prores"),
    pytest.param("a.mp4", "libx264", "yuv420p", {"flags": "+ildct+ilme"}, id="interlaced"),
    pytest.param("a.mkv", "ffv1", "bgr0", {}, id="rgb"),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "options"), CODECS)
def test_every_kind_of_video(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    """Codec, pixel format and container do not matter: all frames, in BGR, at their times."""
    images = noise(12)
    path = write_clip(tmp_path / name, images, codec=codec, pixels=pixels, options=options)
    clip = Clip(path)
    assert len(clip) == 12
    frames = list(clip.frames())
    assert [frame.captured_s for frame in frames] == pytest.approx(
        [n / 25 for n in range(12)], abs=0.002
    )
    for frame, image in zip(frames, images, strict=True):
        assert frame.image.shape == image.shape
        want = image.mean(axis=(0, 1)) if pixels != "gray" else image.mean()
        assert frame.image.mean(axis=(0, 1)) == pytest.approx(want, abs=12)
    assert clip.damaged == 0


def test_interlaced_fields_are_put_together(tmp_path: Path) -> None:
    """Where the two fields of a picture show different moments, no comb is left."""
    edge = np.zeros((64, 96, 3), np.uint8)
    images = []
    for number in range(12):
        image = edge.copy()
        image[0::2, : 20 + 4 * number] = 255  # the second field is a step behind the first
        image[1::2, : 16 + 4 * number] = 255
        images.append(image)
    path = write_clip(
        tmp_path / "a.mp4", images, codec="libx264", options={"flags": "+ildct+ilme", "crf": "4"}
    )
    seen = [frame.image for frame in Clip(path).frames()]
    assert len(seen) == 12
    for image in seen:
        rows = image.astype(int).mean(axis=2)
        assert np.abs(np.diff(rows, axis=0)).mean() < 2.0
    woven = images[5].astype(int).mean(axis=2)
    assert np.abs(np.diff(woven, axis=0)).mean() > 8.0


def test_times_are_the_containers(tmp_path: Path) -> None:
    """A variable frame rate is kept: times come from the stamps, not from a count."""
    times_s = [0.0, 0.04, 0.08, 0.5, 0.54, 3.0, 3.04, 9.0]
    path = write_clip(tmp_path / "phone.mp4", noise(8), times_s=times_s)
    assert [frame.captured_s for frame in Clip(path).frames()] == pytest.approx(times_s)


@pytest.mark.parametrize("start_s", [5.0, 3600.0])
@pytest.mark.parametrize("name", ["late.mkv", "late.ts"])
def test_a_clip_that_starts_late_starts_at_zero(tmp_path: Path, name: str, start_s: float) -> None:
    """Time is counted from the first picture; the end of the stream is the end."""
    times_s = [start_s + n / 25 for n in range(10)]
    path = write_clip(tmp_path / name, noise(10), times_s=times_s)
    frames = list(Clip(path).frames())
    assert [frame.captured_s for frame in frames] == pytest.approx(
        [n / 25 for n in range(10)], abs=0.002
    )


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    """One damaged frame does not end a clip, and is not passed over in silence."""
    path = write_clip(tmp_path / "a.avi", noise(30), codec="mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data) - 2) if data[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 30
    for number in (7, 8, 20):
        first, end = starts[number], starts[number + 1] - 8  # the next frame's chunk has a head
        data[first:end] = bytes(end - first)
    path.write_bytes(data)
    clip = Clip(path)
    frames = list(clip.frames())
    assert len(frames) == 27
    assert clip.damaged == 3
    assert frames[7].captured_s == pytest.approx(9 / 25)


def test_a_clip_of_one_colour_is_refused(tmp_path: Path) -> None:
    """Pictures that show nothing at all are never reported as "no face"."""
    path = write_clip(tmp_path / "black.mp4", [np.zeros((64, 96, 3), np.uint8)] * 10)
    with pytest.raises(InputError, match="all 10 frames are one flat colour"):
        list(Clip(path).frames())


@pytest.mark.parametrize(
    ("fps", "taken"), [(25, 50), (30, 50), (12.5, 25), (10, 20), (5, 10), (1, 2)]
)
def test_the_rate_is_limited(tmp_path: Path, fps: float, taken: int) -> None:
    """`camera.fps` holds for clips: an even choice of frames, at their own times."""
    path = write_clip(tmp_path / "a.mp4", noise(50))
    times_s = [frame.captured_s for frame in Clip(path, max_fps=fps).frames()]
    assert len(times_s) == taken
    assert np.diff([*times_s, 2.0]).max() <= 1 / fps + 0.04 + 1e-6


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_picture_is_turned(tmp_path: Path, degrees: int) -> None:
    """`camera.rotate` holds for clips: clockwise."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48] = 255  # white in the upper left
    path = write_clip(tmp_path / "a.mp4", [image] * 3)
    turned = next(Clip(path, rotate=degrees).frames()).image
    assert turned.shape[:2] == ((64, 96) if degrees % 180 == 0 else (96, 64))
    high, wide = (size // 4 for size in turned.shape[:2])
    corners = {0: (high, wide), 90: (high, -wide), 180: (-high, -wide), 270: (-high, wide)}
    for corner, place in corners.items():
        assert (turned[place] > 128).all() == (corner == degrees)


def test_a_phone_held_upright(tmp_path: Path) -> None:
    """A file that asks for a turn is turned, and the configured turn comes on top."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48] = 255
    path = write_clip(tmp_path / "a.mp4", [image] * 3)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows forty bytes
    clockwise = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = struct.pack(">9i", *clockwise)
    path.write_bytes(data)
    upright = next(Clip(path).frames()).image
    assert upright.shape[:2] == (96, 64)
    assert (upright[24, -16] > 128).all()
    assert next(Clip(path, rotate=90).frames()).image.shape[:2] == (64, 96)


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    """Sound with a picture on its sleeve holds no video."""
    with av.open(str(tmp_path / "song.mka"), "w") as out:
        stream = out.add_stream("flac", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=4096)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.rate, frame.pts = 8000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds no video"):
        Clip(tmp_path / "song.mka")


@pytest.mark.parametrize("name", ["10:30 lesson.mp4", "http:lesson.mp4", "%s.mp4", "a#b?c.mp4"])
def test_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    """A name that looks like an address or a pattern is a name."""
    path = tmp_path / name
    write_clip(tmp_path / "a.mp4", noise(3)).rename(path)
    assert len(list(Clip(path).frames())) == 3

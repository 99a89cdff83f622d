"""Pictures to measure with."""

from __future__ import annotations

import pytest

from benchmarks.run import bench_config
from benchmarks.workload import FlatOut, Looped, Request, Synthetic, open_source, places
from emoshift.errors import InputError, UsageError


@pytest.mark.parametrize("faces", [1, 2, 3, 5, 8, 30])
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_nobody_leaves_the_picture_or_meets_another(faces, size):
    """Each person has a place of his own, with his whole room to move inside the picture."""
    width, height = size
    found, scale = places(faces, width, height)
    wide, high = round(108 * scale), round(125 * scale)
    boxes = [(x, y, x + rx + wide, y + ry + high) for x, y, rx, ry in found]
    assert len(boxes) == faces
    assert all(min(box[:2]) >= 0 and box[2] <= width and box[3] <= height for box in boxes)
    for index, (left, top, right, bottom) in enumerate(boxes):
        for left2, top2, right2, bottom2 in boxes[:index]:
            assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top


def test_one_face_is_as_large_as_someone_at_a_desk():
    """The bar's one face is about 150 pixels wide."""
    assert places(1, 640, 480)[1] * 49 == pytest.approx(147)


@pytest.mark.parametrize("faces", [0, -1, 400])
def test_impossible_numbers_of_faces(faces):
    """None, or too many to be seen: one line."""
    with pytest.raises(UsageError, match="--faces"):
        places(faces, 640, 480)


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip")
def test_pictures_repeat_themselves():
    """The same request gives the same pictures, and they move."""
    one, other = Synthetic(Request(faces=2)), Synthetic(Request(faces=2))
    pictures = [one.read().image for _ in range(5)]
    assert all((a == other.read().image).all() for a in pictures)
    assert pictures[0].shape == (480, 640, 3)
    assert (pictures[0] != pictures[4]).any()


def test_a_clip_starts_again(counting_clip):
    """A clip of 30 frames gives as many as are asked for; capture times never decrease."""
    source = FlatOut(Looped(counting_clip))
    frames = [source.next_frame() for _ in range(70)]
    assert abs(int(frames[61].image.mean()) - int(frames[1].image.mean())) < 3
    times = [frame.captured_s for frame in frames]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (Request(source="/none.mp4"), InputError, "no such file"),
        (Request(source="camera", pace="flat-out"), UsageError, "--pace"),
    ],
)
def test_sources_that_cannot_be(request_, error, said):
    """One clear line each."""
    with pytest.raises(error, match=said):
        open_source(request_, bench_config())

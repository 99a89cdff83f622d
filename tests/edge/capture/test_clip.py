"""Clips: every frame, in order; whatever is not a clip is refused in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.capture.clip import Clip
from emoshift.errors import InputError

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
def test_a_cut_clip_is_told(tmp_path: Path, sample_clip: Path, share: float) -> None:
    """A file that was cut short while copying ends in an error, not in silence."""
    whole = sample_clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="cut short"):
        list(Clip(cut).frames())

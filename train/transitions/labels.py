"""Hand-labelled real clips in one simple JSON form.

``{"clip.mp4": {"fps": 25, "start": "neutral", "must": [[118, "surprise"]], "may": [[132, 183]]}}``:
``must`` changes (first frame, emotion) have to be found; inside ``may`` spans anything goes.
``group`` may say what the clip is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge.capture.clip import Clip
from emoshift.emotions import Emotion
from emoshift.errors import InputError
from emoshift.text_files import read_text_file
from train.transitions.streams import Change, Truth

if TYPE_CHECKING:
    from pathlib import Path

Frame = Annotated[int, Field(ge=0)]


class _Clip(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    fps: Annotated[float, Field(gt=0)]
    group: str | None = None
    start: str
    must: list[tuple[Frame, str]] = []
    may: list[tuple[Frame, Frame]] = []


def read_labels(labels: Path, clips: Path) -> dict[Path, Truth]:
    """Read a label file; every clip named in it must lie in the folder ``clips``.

    Raises:
        InputError: The file or a clip is missing or not as expected.
    """
    try:
        entries = TypeAdapter(dict[str, _Clip]).validate_json(read_text_file(labels))
    except FileNotFoundError:
        raise InputError(f"{labels}: no such file") from None
    except OSError as why:
        raise InputError(f"{labels}: cannot be read: {why}") from why
    except ValidationError as why:
        first = why.errors()[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise InputError(
            f"{labels}: {place}: {first['msg']}; expected per clip: fps, start,"
            " must: [[frame, emotion]], may: [[from, to]]"
        ) from None
    except ValueError as why:
        raise InputError(f"{labels}: {why}") from None
    if not entries:
        raise InputError(f"{labels}: names no clip")
    return {clips / name: _truth(labels, clips / name, entry) for name, entry in entries.items()}


def _truth(labels: Path, clip: Path, entry: _Clip) -> Truth:
    frames = len(Clip(clip))
    try:
        start = Emotion.from_label(entry.start)
        changes = tuple(
            Change(at_s=frame / entry.fps, after=Emotion.from_label(label))
            for frame, label in sorted(entry.must)
        )
    except ValueError as why:
        raise InputError(f"{labels}: {clip.name}: {why}") from None
    if late := [frame for frame, _ in entry.must if frame >= frames]:
        raise InputError(f"{labels}: {clip.name} has {frames} frames, none numbered {late[0]}")
    if turned := [span for span in entry.may if span[0] > span[1]]:
        raise InputError(f"{labels}: {clip.name}: the span {list(turned[0])} ends before it begins")
    return Truth(
        name=clip.name,
        start=start,
        changes=changes,
        may=tuple((begin / entry.fps, end / entry.fps) for begin, end in entry.may),
        duration_s=frames / entry.fps,
    )

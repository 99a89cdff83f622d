"""The real clips that the detector is fitted on and judged by: what each shows, and who is in it.

Folders of the data set: ``streams`` and ``clips`` (hand-labelled), ``ckplus_sequences`` (posed
onsets, neutral to peak) and ``rooms`` (rooms with people whom nothing but happiness stirs).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import cv2
import numpy as np

from edge.capture.clip import Clip
from edge.values import Frame, frozen
from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.transitions.labels import read_labels
from train.transitions.streams import Change, Truth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

Group = Literal["natural", "joined", "still", "single", "stress", "clips", "onset", "room"]

SAME_PERSON: Final = {
    **dict.fromkeys(
        ("acted_changes_1", "acted_changes_2", "acted_angry_1"), "actor of the changes"
    ),
    **dict.fromkeys(("speech_1", "speech_2", "speech_3", "speech_7"), "first speaker"),
    **dict.fromkeys(("speech_4", "speech_5"), "second speaker"),
}
"""Clips of ``streams`` that show one person; every other clip shows somebody of its own."""

HELD_S: Final = 2.0
"""A posed onset is held this long before it begins and after its peak."""
ONSET_FPS: Final = 30.0
_CKPLUS: Final = {
    "anger": Emotion.ANGRY,
    "disgust": Emotion.DISGUST,
    "fear": Emotion.FEAR,
    "happiness": Emotion.HAPPY,
    "sadness": Emotion.SAD,
    "surprise": Emotion.SURPRISE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A way to show a clip: the same people and times in other pictures.

    Attributes:
        mirrored: Left and right change places.
        scale: Width and height over those of the clip.
        skipped: Frames left out at the beginning, so that each face's turns fall on other frames.
    """

    mirrored: bool = False
    scale: float = 1.0
    skipped: int = 0

    def show(self, frame: Frame) -> Frame:
        """Return the frame as this view has it."""
        image = frame.image
        if self.scale != 1.0:
            image = cv2.resize(
                image, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA
            )
        if self.mirrored:
            image = image[:, ::-1]
        return replace(frame, image=frozen(np.ascontiguousarray(image)))


AS_IT_IS: Final = View()
VIEWS: Final = (
    AS_IT_IS,
    View(skipped=1),
    View(mirrored=True, skipped=2),
    View(scale=0.6, skipped=1),
)
"""What a detector decides changes with the frames that its faces' turns happen to fall on and with
each face's size. Four views of a clip tell more of that chance than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealClip:
    """One clip.

    Attributes:
        path: A video file, or a folder of pictures in order.
        group: What it is for.
        person: Who is in it: clips with the same name here show the same person.
        truth: What happens.
        view: How it is shown.
    """

    path: Path
    group: Group
    person: str
    truth: Truth
    view: View = AS_IT_IS

    def frames(self) -> Iterator[Frame]:
        """Every frame; a folder's first and last picture are held for `HELD_S`."""
        for frame in self._pictures():
            if frame.seq >= self.view.skipped:
                yield frame if self.view == AS_IT_IS else self.view.show(frame)

    def _pictures(self) -> Iterator[Frame]:
        if self.path.is_file():
            yield from Clip(self.path).frames()
            return
        pictures = [_read(path) for path in _pictures(self.path)]
        held = round(HELD_S * ONSET_FPS)
        shown = [pictures[0]] * held + pictures + [pictures[-1]] * held
        for seq, image in enumerate(shown):
            yield Frame(image=image, seq=seq, captured_s=seq / ONSET_FPS)

    def digest(self) -> str:
        """Sixteen hex digits that change with its contents and with how it is shown."""
        sha = hashlib.sha256(b"" if self.view == AS_IT_IS else repr(self.view).encode())
        for path in [self.path] if self.path.is_file() else _pictures(self.path):
            sha.update(path.read_bytes())
        return sha.hexdigest()[:16]


def read_real_clips(data: Path) -> list[RealClip]:
    """Find every clip of the data set.

    Raises:
        InputError: A folder is missing, or what is in it is not as expected.
    """
    clips = [
        *_labelled(data / "streams", with_groups=True),
        *_labelled(data / "clips", with_groups=False),
        *_onsets(data / "ckplus_sequences"),
        *_rooms(data / "rooms"),
    ]
    return [clip for clip in clips if clip.group != "stress"]


def _labelled(folder: Path, *, with_groups: bool) -> Iterator[RealClip]:
    labels = folder / "labels.json"
    truths = read_labels(labels, folder)
    groups = json.loads(labels.read_text(encoding="utf-8")) if with_groups else {}
    for path, truth in truths.items():
        yield RealClip(
            path=path,
            group=groups.get(path.name, {}).get("group", "clips"),
            person=SAME_PERSON.get(path.stem, f"{folder.name}/{path.stem}"),
            truth=truth,
        )


def _onsets(folder: Path) -> Iterator[RealClip]:
    for path in _inside(folder, "*/*"):
        if not path.is_dir() or path.parent.name not in _CKPLUS:
            continue
        emotion = _CKPLUS[path.parent.name]
        duration_s = 2 * HELD_S + len(_pictures(path)) / ONSET_FPS
        yield RealClip(
            path=path,
            group="onset",
            person=path.name.split("_")[0],
            truth=Truth(
                name=f"{path.parent.name}/{path.name}",
                start=Emotion.NEUTRAL,
                changes=(Change(at_s=HELD_S, after=emotion),),
                duration_s=duration_s,
            ),
        )


def _rooms(folder: Path) -> Iterator[RealClip]:
    for path in _inside(folder, "*.mp4"):
        clip = Clip(path)
        truth = Truth(
            name=path.name,
            start=Emotion.NEUTRAL,
            changes=(),
            duration_s=len(clip) / clip.fps,
        )
        yield RealClip(path=path, group="room", person=f"rooms/{path.stem}", truth=truth)


def _inside(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(f"{folder}: no clips there; --data names the folder that holds it")
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    if image is None:
        raise InputError(f"{path}: not a picture that can be read")
    return frozen(np.asarray(image, np.uint8))

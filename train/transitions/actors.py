"""Held-out pictures of expressions, measured once: what levels (b) and (c) are made of.

Nothing of them is stored but measurements and crops in the user's cache.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import cv2
import numpy as np

from edge.assets import LANDMARKER, SAMPLE_CLIP, cache_folder, fetch_asset
from edge.capture.clip import Clip
from edge.config import Faces
from edge.faces.mediapipe import MediaPipeFaces
from edge.features.extract import describe
from edge.values import Frame, frozen
from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.data.annotated import read_annotated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.transitions.timeline import Course

Part = Literal["tune", "report"]

AGREEMENT: Final = 0.7
"""Share of the ten annotators that must see the same emotion, and FER2013's label with them, so
that the truth of a stream is one that people agree on."""

SCALE: Final = 4
BORDER_PX: Final = 48
PER_EMOTION: Final = 120
"""Pictures of each emotion that are measured, at most."""

_CK_NAMES: Final = {
    "anger": Emotion.ANGRY,
    "disgust": Emotion.DISGUST,
    "fear": Emotion.FEAR,
    "happy": Emotion.HAPPY,
    "sadness": Emotion.SAD,
    "surprise": Emotion.SURPRISE,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One held-out picture as the device would see it.

    Attributes:
        emotion: What it shows.
        image: Shape ``(side, side)``, uint8 grey, as published.
        crop: Shape ``(48, 48)``, uint8, cut as the device cuts faces.
        blendshapes: Shape ``(52,)``, float32.
        pose: Shape ``(3,)``, float32: yaw, pitch, roll in degrees.
    """

    emotion: Emotion
    image: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    blendshapes: NDArray[np.float32]
    pose: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actor:
    """One face's repertoire: pictures of each emotion it can show, taken in turn."""

    name: str
    shows: dict[Emotion, tuple[Picture, ...]]

    def picture(self, course: Course, place: int) -> Picture:
        """The picture of one of the course's states."""
        pictures = self.shows[course.states[place]]
        return pictures[place % len(pictures)]


def fer_pictures(data: Path, part: Part) -> list[Picture]:
    """FER2013 pictures that annotators agree on: PublicTest for tuning, PrivateTest to report."""
    annotated = read_annotated(data / "fer2013", cache_folder().parent / "decoded")
    fer, votes = annotated.fer, annotated.votes
    shares = votes.distribution() * votes.weight()[:, None]
    top = shares.argmax(axis=1)
    rows = fer.rows("PublicTest" if part == "tune" else "PrivateTest")
    kept = [
        int(r)
        for r in rows
        if top[r] < len(Emotion) and shares[r, top[r]] >= AGREEMENT and top[r] == fer.labels[r]
    ]
    chosen = [r for e in Emotion for r in [k for k in kept if top[k] == e][:PER_EMOTION]]
    return measure(
        [(Emotion(int(top[r])), fer.pixels[r]) for r in chosen], key=f"fer-{part}-{len(chosen)}"
    )


def fer_actors(
    pictures: Sequence[Picture], count: int, *, seed: int, name: str = "fer"
) -> list[Actor]:
    """Faces put together from different people, ten pictures of each of the seven emotions."""
    rng = np.random.default_rng(seed)
    by = {e: [p for p in pictures if p.emotion == e] for e in Emotion}
    return [
        Actor(
            name=f"{name}-{i:03d}",
            shows={e: tuple(by[e][k] for k in rng.integers(len(by[e]), size=10)) for e in Emotion},
        )
        for i in range(count)
    ]


def ck_actors(data: Path, part: Part) -> list[Actor]:
    """The people of CK+48 who show at least two of the emotions; every second one is for tuning.

    The set has peaks only, no neutral faces, so these actors change from peak to peak.
    """
    folder = data / "ckplus48" / "CK+48"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give --data")
    people: dict[str, dict[Emotion, list[Path]]] = {}
    for name, emotion in _CK_NAMES.items():
        for path in sorted((folder / name).glob("*.png")):
            shows = people.setdefault(path.name.split("_")[0], {})
            shows.setdefault(emotion, []).append(path)
    subjects = sorted(s for s, shows in people.items() if len(shows) >= 2)
    mine = subjects[0 if part == "tune" else 1 :: 2]
    wanted = [(s, e, path) for s in mine for e in sorted(people[s]) for path in people[s][e]]
    pictures = measure(
        [(e, _read_grey(path)) for _, e, path in wanted],
        key=f"ck-{part}-{len(wanted)}",
        keep_missing=True,
    )
    found: dict[str, dict[Emotion, tuple[Picture, ...]]] = {}
    for (subject, emotion, _), picture in zip(wanted, pictures, strict=True):
        if picture.crop.any():
            shown = found.setdefault(subject, {})
            shown[emotion] = (*shown.get(emotion, ()), picture)
    return [Actor(name=f"ck-{s}", shows=shown) for s, shown in found.items() if len(shown) >= 2]


def measure(
    wanted: Sequence[tuple[Emotion, NDArray[np.uint8]]], *, key: str, keep_missing: bool = False
) -> list[Picture]:
    """Find the face in each picture and describe it as the device does.

    Pictures without a face are left out, or kept with a black crop. Measurements are cached.
    """
    stack = np.stack([image for _, image in wanted])
    stamp = hashlib.sha256(stack.tobytes()).hexdigest()[:12]
    cached = cache_folder().parent / "measured" / f"{key}-{stamp}.npz"
    if not cached.exists():
        crops, shapes, poses = _measure(stack)
        cached.parent.mkdir(parents=True, exist_ok=True)
        part = cached.with_suffix(".part.npz")
        np.savez(part, crops=crops, shapes=shapes, poses=poses)
        part.replace(cached)
    with np.load(cached) as arrays:
        crops, shapes, poses = arrays["crops"], arrays["shapes"], arrays["poses"]
    return [
        Picture(emotion=e, image=image, crop=crop, blendshapes=shape, pose=pose)
        for (e, image), crop, shape, pose in zip(wanted, crops, shapes, poses, strict=True)
        if keep_missing or crop.any()
    ]


def enlarged(image: NDArray[np.uint8], scale: int = SCALE) -> NDArray[np.uint8]:
    """Enlarge a grey picture; shape ``(scale * side, scale * side)``."""
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _measure(
    stack: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    n = len(stack)
    crops = np.zeros((n, 48, 48), np.uint8)
    shapes, poses = np.zeros((n, 52), np.float32), np.zeros((n, 3), np.float32)
    with MediaPipeFaces(Faces(max_faces=1), model=fetch_asset(LANDMARKER), random_seed=0) as finder:
        for i, image in enumerate(stack):
            large = np.pad(enlarged(image), BORDER_PX, mode="edge")
            # A black frame in between makes the tracker look for the next face from scratch.
            for frame in _frames([np.zeros_like(large), large], first=2 * i):
                faces = finder.find(frame)
            for features in describe(frame, faces[:1]):
                if features.blendshapes is not None and features.pose is not None:
                    crops[i], shapes[i] = features.crop, features.blendshapes
                    poses[i] = features.pose
    return crops, shapes, poses


def _read_grey(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path}: not a picture that can be read")
    return np.asarray(image, np.uint8)


def _frames(greys: Iterable[NDArray[np.uint8]], *, first: int) -> list[Frame]:
    return [
        Frame(
            image=frozen(np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)),
            seq=first + i,
            captured_s=(first + i) / 10,
        )
        for i, grey in enumerate(greys)
    ]


def speech_motion() -> NDArray[np.float32]:
    """How blendshapes move on a talking face: deviations from the median, the sample clip.

    Returns:
        Shape ``(frames, 52)``, float32, at 30 frames a second; blinks, speech, measuring noise.
    """
    clip = fetch_asset(SAMPLE_CLIP)
    cached = cache_folder().parent / "measured" / f"speech-{clip.stem}.npy"
    if not cached.exists():
        with MediaPipeFaces(
            Faces(max_faces=1), model=fetch_asset(LANDMARKER), random_seed=0
        ) as finder:
            rows = [
                face.landmarks.blendshapes
                for frame in Clip(clip).frames()
                for face in finder.find(frame)[:1]
                if face.landmarks is not None
            ]
        cached.parent.mkdir(parents=True, exist_ok=True)
        np.save(cached, np.stack(rows))
    shapes = np.load(cached)
    return np.asarray(shapes - np.median(shapes, axis=0), np.float32)

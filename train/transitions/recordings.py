"""Real clips through the device's own face stage once, then through any bundle's networks.

Finding faces takes minutes and does not depend on the networks, so what they are shown is kept
in the cache, by the contents of the clip.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.assets import LANDMARKER, YUNET, cache_folder, find_asset
from edge.cadence import CLASSIFY_EVERY_S, Cadence
from edge.classifier.ensemble import Ensemble
from edge.config import Faces
from edge.faces.select_backend import open_faces
from edge.features.extract import describe
from edge.pipeline import REPLAY_SEED
from edge.values import Features, frozen
from emoshift.errors import InputError
from train.transitions.image_streams import collect
from train.transitions.streams import Series, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.bundle.loader import Bundle
    from edge.values import Frame, Prediction
    from train.transitions.real_clips import RealClip

_SERIES: Final = ("times_s", "probs", "log_probs", "talking", "degraded")
VERSION: Final = 4
"""Raised when the face stage or the crop changes what the networks are shown."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """What the networks are shown of every face of a clip, in the order of time.

    Attributes:
        seq: Number of the frame, shape ``(n,)``.
        times_s: Its capture time.
        track: Number of the face.
        crops: Shape ``(n, 48, 48)``, uint8.
        blendshapes: Shape ``(n, 52)``, NaN where none were measured on this frame.
        pose: Shape ``(n, 3)``, likewise.
        width_px: Width of the face.
    """

    seq: NDArray[np.int64]
    times_s: NDArray[np.float64]
    track: NDArray[np.int64]
    crops: NDArray[np.uint8]
    blendshapes: NDArray[np.float32]
    pose: NDArray[np.float32]
    width_px: NDArray[np.float32]

    def frames(self) -> Iterator[list[Features]]:
        """The faces of each frame that has any."""
        for rows in np.split(np.arange(len(self.seq)), np.flatnonzero(np.diff(self.seq)) + 1):
            if len(rows):
                yield [self._features(int(row)) for row in rows]

    def _features(self, row: int) -> Features:
        measured = not np.isnan(self.blendshapes[row, 0])
        return Features(
            track=int(self.track[row]),
            label=f"face-{self.track[row]}",
            captured_s=float(self.times_s[row]),
            crop=self.crops[row],
            blendshapes=self.blendshapes[row] if measured else None,
            pose=self.pose[row] if measured else None,
        )


def record_clip(clip: RealClip) -> Recording:
    """Find the faces of a clip, or read them from the cache.

    Raises:
        InputError: The clip cannot be read, or a model file of the face stage is missing.
    """
    path = cache_folder() / "recordings" / f"{VERSION}-{clip.digest()}.npz"
    names = tuple(Recording.__dataclass_fields__)
    if path.exists():
        with np.load(path) as arrays:
            return Recording(**{name: arrays[name] for name in names})
    recording = _find_faces(clip.frames())
    _write(path, {name: getattr(recording, name) for name in names})
    return recording


def hear_networks(recording: Recording, clip: RealClip, ensemble: Ensemble) -> Stream:
    """What a bundle's networks say of a recorded clip; ``ensemble`` must not know its faces."""
    said: dict[int, list[Prediction]] = {}
    for features in recording.frames():
        for prediction in ensemble.classify(features):
            said.setdefault(prediction.track, []).append(prediction)
    ensemble.forget(said)
    return Stream(truth=clip.truth, series=tuple(map(collect, said.values())))


def record_all(
    clips: Sequence[RealClip], bundle: Bundle, *, log: Callable[[str], None] = lambda _: None
) -> list[Stream]:
    """Streams of all clips as a bundle's networks see them, kept in the cache by network."""
    networks = hashlib.sha256(
        "".join(m.model_dump_json(exclude={"metrics"}) for m in bundle.manifest.members).encode()
    ).hexdigest()[:16]
    streams = []
    for index, clip in enumerate(clips):
        path = cache_folder() / "recordings" / f"{VERSION}-{clip.digest()}-{networks}.npz"
        if not path.exists():
            log(f"clip {index + 1} of {len(clips)}: {clip.truth.name}")
            stream = hear_networks(record_clip(clip), clip, Ensemble(bundle))
            _write(path, {f"{s.track} {k}": getattr(s, k) for s in stream.series for k in _SERIES})
        with np.load(path) as arrays:
            tracks = sorted({int(name.split()[0]) for name in arrays.files})
            series = [
                Series(track=track, **{k: frozen(arrays[f"{track} {k}"]) for k in _SERIES})
                for track in tracks
            ]
        streams.append(Stream(truth=clip.truth, series=tuple(series)))
    return streams


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)  # type: ignore[arg-type] # numpy's stub wants options
    part.replace(path)


def _find_faces(frames: Iterator[Frame]) -> Recording:
    landmarker = find_asset(LANDMARKER)
    if landmarker is None:
        raise InputError(f"{LANDMARKER.name} is missing; run: edge assets fetch")
    rows: list[tuple[int, Features, float]] = []
    cadence = Cadence()
    with open_faces(
        Faces(),
        landmarker=landmarker,
        detector=find_asset(YUNET),
        random_seed=REPLAY_SEED,
        threads=1,
    ) as finder:
        for frame in frames:
            # As often as the device classifies them: what is fitted is what runs.
            faces = cadence.due_faces(finder.find(frame), frame.captured_s, CLASSIFY_EVERY_S)
            described = describe(frame, faces)
            rows += [
                (frame.seq, features, face.box.width)
                for face, features in zip(faces, described, strict=True)
            ]
    unknown, straight = np.full(52, np.nan, np.float32), np.full(3, np.nan, np.float32)
    return Recording(
        seq=np.array([seq for seq, _, _ in rows], np.int64),
        times_s=np.array([f.captured_s for _, f, _ in rows], np.float64),
        track=np.array([f.track for _, f, _ in rows], np.int64),
        crops=np.array([f.crop for _, f, _ in rows], np.uint8).reshape(-1, 48, 48),
        blendshapes=np.array(
            [unknown if f.blendshapes is None else f.blendshapes for _, f, _ in rows], np.float32
        ).reshape(-1, 52),
        pose=np.array(
            [straight if f.pose is None else f.pose for _, f, _ in rows], np.float32
        ).reshape(-1, 3),
        width_px=np.array([width for _, _, width in rows], np.float32),
    )

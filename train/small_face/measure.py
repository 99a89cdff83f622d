"""What MediaPipe's models say of FER2013's faces: what the small-face network learns from.

FER2013's faces are about 40 pixels wide, as wide as a face is in the network's input, and there
are thirty thousand different ones. One look at so small a face is noisy, so that each is looked
at four times: as it is and mirrored, and each of these in a region a little larger too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from edge.faces.mesh import BLENDSHAPES, POINTS
from edge.faces.roi import Roi, roi_of_landmarks
from edge.features.blendshapes import mirrored
from train.features.landmarks import BORDER_PX, ENLARGED_PX, enlarge
from train.small_face.mirror import mirrored_points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.faces.landmarker import Landmarker

PATCH_PX: Final = 96
"""Side of the kept patch."""
PATCH_SIDE: Final = 4 / 3
"""Side of the patch over that of the region the network sees: room to turn and shift it."""
SURE: Final = 0.6
"""Least probability of a face in each of the looks."""
ZOOMS: Final = (1.0, 1.12)
_FIRST_SIDE: Final = 1.3
"""Side of the first look's region, sides of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceSamples:
    """Faces, and what was measured on each.

    Attributes:
        patches: Shape ``(n, PATCH_PX, PATCH_PX)``, uint8 grey, upright.
        inside: Same shape, bool: what of the patch lies in the picture.
        points: Shape ``(n, 478, 3)``, float16, sides of the patch, its upper left corner at 0.
        blendshapes: Shape ``(n, 52)``, float32.
        rows: Row of each face in FER2013, or number of its clip.
    """

    patches: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    points: NDArray[np.float16]
    blendshapes: NDArray[np.float32]
    rows: NDArray[np.int64]


def measure_faces(
    pictures: NDArray[np.uint8],
    rows: NDArray[np.int64],
    landmarker: Landmarker,
    *,
    log: Callable[[str], None] = lambda _: None,
) -> FaceSamples:
    """Measure grey pictures of shape ``(n, 48, 48)``; those without a clear face are left out."""
    found: list[tuple[NDArray[Any], ...]] = []
    kept: list[int] = []
    for number, picture in enumerate(pictures):
        if number % 2000 == 0:
            log(f"face {number} of {len(pictures)}")
        sample = _measure(picture, landmarker)
        if sample is not None:
            found.append(sample)
            kept.append(int(rows[number]))
    columns = list(zip(*found, strict=True)) or [(), (), (), ()]
    return FaceSamples(
        patches=np.array(columns[0], np.uint8).reshape(-1, PATCH_PX, PATCH_PX),
        inside=np.array(columns[1], np.bool_).reshape(-1, PATCH_PX, PATCH_PX),
        points=np.array(columns[2], np.float16).reshape(-1, POINTS, 3),
        blendshapes=np.array(columns[3], np.float32).reshape(-1, BLENDSHAPES),
        rows=np.array(kept, np.int64),
    )


def joined(parts: Sequence[FaceSamples]) -> FaceSamples:
    """All samples of several sets, in order."""
    names = tuple(FaceSamples.__dataclass_fields__)
    return FaceSamples(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def write_samples(path: Path, samples: FaceSamples) -> None:
    """Write them; the file appears when all is written."""
    part = path.with_suffix(".part.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        part,
        patches=samples.patches,
        inside=np.packbits(samples.inside, axis=-1),
        points=samples.points,
        blendshapes=samples.blendshapes,
        rows=samples.rows,
    )
    part.replace(path)


def read_samples(path: Path) -> FaceSamples:
    """Read what `write_samples` wrote."""
    with np.load(path) as arrays:
        return FaceSamples(
            patches=arrays["patches"],
            inside=np.unpackbits(arrays["inside"], axis=-1).astype(np.bool_),
            points=arrays["points"],
            blendshapes=arrays["blendshapes"],
            rows=arrays["rows"],
        )


def _measure(picture: NDArray[np.uint8], landmarker: Landmarker) -> tuple[NDArray[Any], ...] | None:
    """Look at one face in every way; the patch and the means over all looks."""
    large = np.asarray(cv2.cvtColor(enlarge(picture), cv2.COLOR_RGB2BGR), np.uint8)
    middle = large.shape[1] / 2
    whole = _FIRST_SIDE * ENLARGED_PX
    first = landmarker.measure(large, Roi(middle, middle, whole, whole, 0.0))
    if first.presence < SURE:
        return None
    seen = look(large, roi_of_landmarks(first.points), landmarker, zooms=ZOOMS)
    return None if seen is None else _patch(picture, *seen)


def look(
    image: NDArray[np.uint8], roi: Roi, landmarker: Landmarker, *, zooms: tuple[float, ...] = (1.0,)
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Look at a face and its mirror image, in regions of several sizes.

    Returns:
        Means of the landmarks ``(478, 3)``, pixels of the BGR picture, and blendshapes ``(52,)``;
        ``None`` where one of the looks saw no face.
    """
    side = image.shape[1]
    flipped = np.ascontiguousarray(image[:, ::-1])
    points, shapes = [], []
    for zoom in zooms:
        for view in (False, True):
            region = Roi(
                side - roi.x if view else roi.x,
                roi.y,
                roi.width * zoom,
                roi.height * zoom,
                -roi.angle if view else roi.angle,
            )
            mesh = landmarker.measure(flipped if view else image, region)
            if mesh.presence < SURE:
                return None
            seen = landmarker.blendshapes(mesh.points)
            points.append(mirrored_points(mesh.points, side) if view else mesh.points)
            shapes.append(mirrored(seen) if view else seen)
    return np.mean(points, axis=0), np.mean(shapes, axis=0)


def _patch(
    picture: NDArray[np.uint8], points: NDArray[np.float32], shapes: NDArray[np.float32]
) -> tuple[NDArray[Any], ...]:
    """Cut the patch out of the picture itself, not out of its enlargement."""
    scale = picture.shape[1] / ENLARGED_PX
    own = points * np.float32(scale)
    own[:, :2] -= np.float32(BORDER_PX * scale)
    wide = patch_region(own)
    matrix = wide.matrix(PATCH_PX)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    size = (PATCH_PX, PATCH_PX)
    patch = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(
        np.ones_like(picture), matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    return patch, inside > 0, in_patch(own, wide), shapes


def patch_region(points: NDArray[np.float32]) -> Roi:
    """The region of a face's patch, from its landmarks."""
    roi = roi_of_landmarks(points)
    return Roi(roi.x, roi.y, roi.width * PATCH_SIDE, roi.height * PATCH_SIDE, roi.angle)


def in_patch(points: NDArray[np.float32], wide: Roi) -> NDArray[np.float32]:
    """Landmarks in sides of the patch, its upper left corner at 0."""
    matrix = wide.matrix(PATCH_PX)
    turn = np.linalg.inv(matrix[:, :2])
    local = np.empty_like(points)
    local[:, :2] = (points[:, :2] - matrix[:, 2]) @ turn.T
    local[:, 2] = points[:, 2] * np.float32(PATCH_PX / wide.width)
    return np.asarray(local / np.float32(PATCH_PX), np.float32)

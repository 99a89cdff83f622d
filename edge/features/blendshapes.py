"""The 52 blendshapes, and how they and the head pose become the channels of a recurrent net."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from edge.values import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _sides(*stems: str) -> tuple[str, ...]:
    return tuple(f"{stem}{side}" for stem in stems for side in ("Left", "Right"))


NAMES: Final = (
    "_neutral",
    *_sides("browDown"),
    "browInnerUp",
    *_sides("browOuterUp"),
    "cheekPuff",
    *_sides("cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"),
    *_sides("eyeSquint", "eyeWide"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *_sides("mouthDimple", "mouthFrown"),
    *("mouthFunnel", "mouthLeft"),
    *_sides("mouthLowerDown", "mouthPress"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper"),
    *_sides("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
)
"""MediaPipe's order (``face_blendshapes_graph.cc``)."""

INFORMATIVE: Final = (
    *_sides("browDown"),
    "browInnerUp",
    *_sides("browOuterUp", "eyeBlink", "eyeSquint", "eyeWide"),
    "jawOpen",
    *_sides("mouthDimple", "mouthFrown"),
    "mouthFunnel",
    *_sides("mouthLowerDown", "mouthPress"),
    *("mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *_sides("mouthSmile", "mouthStretch", "mouthUpperUp"),
    "mouthLeft",
)
"""The 33 that tell emotions apart; gaze, sideways jaw and those always near zero are left out."""

POSE: Final = ("yaw", "pitch", "roll")
LIMIT: Final = 4.0
"""Channels are clipped here, in standard deviations, which fixes the int8 scale."""


class ChannelForm(Protocol):
    """How channels are made; the bundle's manifest holds one.

    Attributes:
        blendshapes: Names, in the order of the channels.
        pose: Whether yaw, pitch and roll follow.
        log_floor: Blendshapes become ``log(x + log_floor)``; ``None`` leaves them as they are.
        mean: Of every channel in resting faces.
        std: Of every channel over all faces.
        pair: Whether a left and right pair becomes its mean and its difference (left - right).
        subtract_neutral: Whether a person's own resting offset is taken away.
    """

    @property
    def blendshapes(self) -> tuple[str, ...]: ...
    @property
    def pose(self) -> bool: ...
    @property
    def log_floor(self) -> float | None: ...
    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...
    @property
    def pair(self) -> bool: ...
    @property
    def subtract_neutral(self) -> bool: ...


def channel_names(form: ChannelForm) -> tuple[str, ...]:
    """Name the channels in their order; a pair gives ``nameMean`` and ``nameSkew``."""
    names: list[str] = []
    for name in form.blendshapes:
        if form.pair and name.endswith("Left") and _other(name) in form.blendshapes:
            names.append(f"{name[: -len('Left')]}Mean")
        elif form.pair and name.endswith("Right") and _other(name) in form.blendshapes:
            names.append(f"{name[: -len('Right')]}Skew")
        else:
            names.append(name)
    return (*names, *(POSE if form.pose else ()))


def levels(
    blendshapes: NDArray[np.float32], pose: NDArray[np.float32] | None, form: ChannelForm
) -> NDArray[np.float32]:
    """Return the channels before anything personal or statistical is taken away.

    Args:
        blendshapes: Shape ``(..., 52)``, 0 to 1, in the order of `NAMES`.
        pose: Shape ``(..., 3)``, degrees; zero where ``None``.
        form: How they are made.

    Returns:
        Shape ``(..., channels)``, float32.
    """
    values = blendshapes[..., _columns(form.blendshapes)].astype(np.float32)
    if form.log_floor is not None:
        values = np.log(np.maximum(values, 0.0) + np.float32(form.log_floor))
    if form.pair:
        values = _paired(values, form.blendshapes)
    if form.pose:
        angles = np.zeros((*values.shape[:-1], 3), np.float32) if pose is None else pose
        values = np.concatenate([values, angles.astype(np.float32)], axis=-1)
    return values


def resting_offset(seen: NDArray[np.float32], form: ChannelForm) -> NDArray[np.float32]:
    """Return how a person's resting levels differ from other people's.

    Args:
        seen: Levels of the person's first settled seconds, ``(frames, channels)``.
        form: How they were made.

    Returns:
        Shape ``(channels,)``, float32: the median over time less the resting mean; zero for the
        head pose, which is no property of a person.
    """
    offset = np.median(seen, axis=0) - np.asarray(form.mean, np.float32)
    if form.pose:
        offset[-len(POSE) :] = 0.0
    return np.asarray(offset, np.float32)


def channels(
    values: NDArray[np.float32], form: ChannelForm, offset: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Standardise levels: ``(levels - mean - offset) / std``, clipped to ``+-LIMIT``.

    Args:
        values: What `levels` gave, ``(..., channels)``.
        form: How they were made.
        offset: The person's `resting_offset`, ``(channels,)`` or broadcastable; ``None`` while it
            is not known, which reads the face as an average person's.

    Returns:
        Same shape, float32.
    """
    scaled = values - _row(form.mean)
    if offset is not None and form.subtract_neutral:
        scaled = scaled - offset
    scaled = scaled / _row(form.std)
    limit = np.float32(LIMIT)
    clipped: NDArray[np.float32] = np.minimum(np.maximum(scaled, -limit), limit)
    return clipped.astype(np.float32, copy=False)


def mirrored(blendshapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the blendshapes ``(..., 52)`` of the mirrored face."""
    swapped = [NAMES.index(_other(name)) for name in NAMES]
    return blendshapes[..., swapped]


@lru_cache
def _columns(names: tuple[str, ...]) -> NDArray[np.intp]:
    return np.array([NAMES.index(name) for name in names], np.intp)


@lru_cache
def _row(values: tuple[float, ...]) -> NDArray[np.float32]:
    return frozen(np.array(values, np.float32))


@lru_cache
def _pairs(names: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the left and the right of every whole pair stand."""
    lefts = [n for n in names if n.endswith("Left") and _other(n) in names]
    left = [names.index(name) for name in lefts]
    right = [names.index(_other(name)) for name in lefts]
    return np.array(left, np.intp), np.array(right, np.intp)


def _paired(values: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    left, right = _pairs(names)
    on_left, on_right = values[..., left], values[..., right]
    paired = values.copy()
    paired[..., left] = (on_left + on_right) / 2
    paired[..., right] = on_left - on_right
    return paired


def _other(name: str) -> str:
    if name.endswith("Left"):
        return name[: -len("Left")] + "Right"
    if name.endswith("Right"):
        return name[: -len("Right")] + "Left"
    return name

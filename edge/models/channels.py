"""From blendshapes and head pose to the channels a recurrent member reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import BundleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.models.manifest import ChannelTransform

BLENDSHAPES: Final = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft"),
    *("browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft"),
    *("eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight"),
    *("eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft"),
    *("eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen"),
    *("jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft"),
    *("mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""The 52 outputs of MediaPipe's blendshape model, in its order."""

POSE: Final = ("yaw", "pitch", "roll")


class Channels:
    """The channel transform of one member, its names resolved once.

    With ``pair``, a name without its side (``mouthSmile``) gives two channels, the mean of left
    and right and left minus right; every other name gives one. ``log(x + log_floor)`` is taken of
    each blendshape before that. Yaw, pitch and roll in degrees follow where ``pose`` is set.

    Attributes:
        names: One name for each channel.

    Raises:
        BundleError: A name is no blendshape, or mean and std do not fit the channels.
    """

    def __init__(self, transform: ChannelTransform) -> None:
        rows: list[NDArray[np.float32]] = []
        names: list[str] = []
        for name in transform.blendshapes:
            if transform.pair and name not in BLENDSHAPES:
                left, right = _one(f"{name}Left"), _one(f"{name}Right")
                rows += [(left + right) * np.float32(0.5), left - right]
                names += [f"{name}Mean", f"{name}Difference"]
            else:
                rows.append(_one(name))
                names.append(name)
        if transform.pose:
            names += POSE
        if not len(names) == len(transform.mean) == len(transform.std):
            raise BundleError(
                f"the channel transform makes {len(names)} channels but has"
                f" {len(transform.mean)} means and {len(transform.std)} deviations"
            )
        if min(transform.std) <= 0:
            raise BundleError("the channel transform has a deviation that is not above zero")
        self.names = tuple(names)
        self._mix = np.stack(rows, axis=1) if rows else np.zeros((len(BLENDSHAPES), 0), np.float32)
        self._log_floor = transform.log_floor
        self._pose = transform.pose
        self._mean = np.array(transform.mean, np.float32)
        self._std = np.array(transform.std, np.float32)

    def __len__(self) -> int:
        return len(self.names)

    def raw(
        self, blendshapes: NDArray[np.float32], pose: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the channels before the person's neutral and the scaling are taken out.

        Args:
            blendshapes: Shape ``(..., 52)``, 0 to 1.
            pose: Shape ``(..., 3)``: yaw, pitch, roll in degrees; ``None`` counts as frontal.

        Returns:
            Shape ``(..., len(self))``, float32.
        """
        values = blendshapes
        if self._log_floor is not None:
            values = np.log(blendshapes + np.float32(self._log_floor), dtype=np.float32)
        mixed: NDArray[np.float32] = values @ self._mix
        if not self._pose:
            return mixed
        if pose is None:
            pose = np.zeros((*mixed.shape[:-1], len(POSE)), np.float32)
        return np.concatenate([mixed, pose.astype(np.float32)], axis=-1)

    def scaled(
        self, raw: NDArray[np.float32], neutral: NDArray[np.float32] | float
    ) -> NDArray[np.float32]:
        """Return ``(raw - neutral - mean) / std``, the network's input as real numbers."""
        scaled: NDArray[np.float32] = (raw - neutral - self._mean) / self._std
        return scaled


def _one(name: str) -> NDArray[np.float32]:
    """Return the ``(52,)`` column that picks one blendshape."""
    if name not in BLENDSHAPES:
        raise BundleError(f"the channel transform names {name!r}, which is no blendshape")
    column = np.zeros(len(BLENDSHAPES), np.float32)
    column[BLENDSHAPES.index(name)] = 1.0
    return column

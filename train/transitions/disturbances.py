"""What moves in a synthetic face beside its expression: jitter, speech, blinks, turns, light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from train.transitions.actors import speech_motion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.transitions.actors import Actor
    from train.transitions.timeline import Course

JAW_OPEN: Final = 25
BLINKS: Final = (9, 10)
SPEECH_FPS: Final = 30.0
WHITE: Final = 0.6
"""Pixels. Log-probabilities then differ from one frame to the next by a standard deviation of 1.0
nats; more jitter adds little. On the real clips, changes included, it is 1.25 to 1.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How a face is disturbed at one instant; lengths in 48ths of the crop's side.

    Attributes:
        shift: Of the crop against the face, x and y.
        angle_deg, scale: Likewise.
        yaw_deg: Head turn.
        jaw, blink: Strength of speech and blink, 0 to 1.
        shapes: Deviation of the blendshapes, shape ``(52,)``.
        gain, offset: Of the grey values.
        patch: A covered rectangle (x, y, width, height), or ``None``.
        noise_seed: Of the camera's noise, 3 grey values.
    """

    shift: tuple[float, float]
    angle_deg: float
    scale: float
    yaw_deg: float
    jaw: float
    blink: float
    shapes: NDArray[np.float32]
    gain: float
    offset: float
    patch: tuple[float, float, float, float] | None
    noise_seed: int


def draw_moments(
    rng: np.random.Generator, times_s: NDArray[np.float64], *, lively: bool
) -> list[Moment]:
    """Draw the disturbances of one clip.

    Jitter of the crop: slow (0.5 s) 0.5 px, 1.2 degrees and 1.5 %; white `WHITE` px, twice that in
    degrees and three hundredths of it in scale. Speech, a third of the time, replays the sample
    clip's own motion (blinks included), a third as strong otherwise.
    ``lively`` clips (those without a change of expression) also turn the head by up to 20 degrees,
    cover part of the face for 0.3 to 1 s, and switch the light.
    """
    duration_s = float(times_s[-1]) + 1.0
    speech = speech_motion()
    slow = [_wander(rng, times_s, 0.5) for _ in range(4)]
    talking = _spells(rng, times_s, per_min=8, least_s=1.0, most_s=4.0)
    phase = rng.uniform(0, len(speech))
    index = _ping_pong(times_s * SPEECH_FPS + phase, len(speech))
    per_min = 6.0 if lively else 0.0
    turning = _spells(rng, times_s, per_min=per_min, least_s=0.8, most_s=2.5)
    turn = np.where(turning > 0, np.sin(np.pi * turning), 0.0) * rng.choice([-20.0, 20.0])
    covered = _spells(rng, times_s, per_min=per_min / 2, least_s=0.3, most_s=1.0)
    place = (rng.uniform(4, 20), float(rng.choice([8.0, 28.0])), 24.0, 14.0)
    gain, offset = rng.uniform(0.75, 1.1), rng.uniform(-10, 10)
    gains = np.full(len(times_s), gain) * (1 + 0.03 * _wander(rng, times_s, 3.0))
    for _ in range(rng.poisson(duration_s * per_min / 2 / 60)):
        gains[times_s > rng.uniform(0, duration_s)] *= rng.uniform(0.6, 1.4)
    moments = []
    for i in range(len(times_s)):
        shapes = speech[index[i]] * (1.0 if talking[i] > 0 else 0.3)
        white = WHITE * rng.normal(size=4)
        moments.append(
            Moment(
                shift=(0.5 * slow[0][i] + white[0], 0.5 * slow[1][i] + white[1]),
                angle_deg=1.2 * slow[2][i] + 2 * white[2],
                scale=1 + 0.015 * slow[3][i] + 0.03 * white[3],
                yaw_deg=float(turn[i]),
                jaw=float(np.clip(shapes[JAW_OPEN] * 4, -0.5, 1)),
                blink=float(np.clip(speech[index[i], list(BLINKS)].mean() * 2, 0, 1)),
                shapes=shapes,
                gain=float(gains[i]),
                offset=float(offset),
                patch=place if covered[i] > 0 else None,
                noise_seed=int(rng.integers(2**31)),
            )
        )
    return moments


def mixed(
    actor: Actor, course: Course, at_s: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Crop, blendshapes and pose of an actor at one moment of a course: a cross-fade."""
    before, after, share = course.mix(at_s)
    a, b = actor.picture(course, before), actor.picture(course, after)
    return (
        np.asarray((1 - share) * a.crop + share * b.crop, np.float32),
        np.asarray((1 - share) * a.blendshapes + share * b.blendshapes, np.float32),
        np.asarray((1 - share) * a.pose + share * b.pose, np.float32),
    )


def disturbed(image: NDArray[np.float32], moment: Moment) -> NDArray[np.uint8]:
    """Render one face picture with its disturbances.

    Args:
        image: Shape ``(side, side)``, float32, 0 to 255, framed as FER2013's pictures.
        moment: The disturbances.

    Returns:
        Same shape, uint8.
    """
    side = image.shape[0]
    unit = side / 48
    image = _expressive(image, moment, unit)
    turn = np.cos(np.deg2rad(moment.yaw_deg))
    lean = np.sin(np.deg2rad(moment.yaw_deg)) * 4
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), moment.angle_deg, moment.scale)
    matrix[0, :2] *= turn
    matrix[0, 2] += side / 2 * (1 - turn) + (moment.shift[0] + lean) * unit
    matrix[1, 2] += moment.shift[1] * unit
    image = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    if moment.patch is not None:
        x, y, width, height = (round(v * unit) for v in moment.patch)
        image[y : y + height, x : x + width] = 90
    rng = np.random.default_rng(moment.noise_seed)
    noise = 3 * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(image * moment.gain + moment.offset + noise, 0, 255), np.uint8)


def _expressive(image: NDArray[np.float32], moment: Moment, unit: float) -> NDArray[np.float32]:
    """Move the mouth and close the lids by warping the rows of the picture."""
    side = image.shape[0]
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(unit)
    mouth = np.exp(-(((xs - 24) / 8) ** 2) - ((ys - 40) / 5) ** 2)
    eyes = np.exp(-(((xs - 15) / 5) ** 2) - ((ys - 19.5) / 2.5) ** 2) + np.exp(
        -(((xs - 33) / 5) ** 2) - ((ys - 19.5) / 2.5) ** 2
    )
    from_y = ys - 3.0 * moment.jaw * mouth - 3.5 * moment.blink * eyes
    moved = cv2.remap(
        image,
        xs * unit,
        np.asarray(from_y * unit, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def _wander(
    rng: np.random.Generator, times_s: NDArray[np.float64], time_s: float
) -> NDArray[np.float64]:
    """Unit-variance noise with the given correlation time."""
    drive = rng.normal(size=len(times_s))
    rho = np.exp(-np.diff(times_s) / time_s)
    for i, r in enumerate(rho.tolist(), start=1):
        drive[i] = r * drive[i - 1] + np.sqrt(1 - r * r) * drive[i]
    return drive


def _spells(
    rng: np.random.Generator,
    times_s: NDArray[np.float64],
    *,
    per_min: float,
    least_s: float,
    most_s: float,
) -> NDArray[np.float64]:
    """Where each moment lies within a spell, above 0 to 1; 0 outside."""
    place = np.zeros(len(times_s))
    duration_s = float(times_s[-1])
    for _ in range(rng.poisson(per_min * duration_s / 60)):
        begin, length = rng.uniform(0, duration_s), rng.uniform(least_s, most_s)
        inside = (times_s >= begin) & (times_s < begin + length)
        place[inside] = np.maximum((times_s[inside] - begin) / length, 1e-6)
    return place


def _ping_pong(position: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Index that runs forth and back over ``count`` rows."""
    folded = np.mod(position, 2 * (count - 1))
    return np.asarray(np.minimum(folded, 2 * (count - 1) - folded), np.intp)

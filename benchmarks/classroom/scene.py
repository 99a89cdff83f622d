"""Composing pictures of a classroom in which every face is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.values import Box, Frame, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from benchmarks.classroom.actors import ClassroomActor

NOISE: Final = 3.0
"""Spread of the sensor noise, grey values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFace:
    """One person in the scene.

    Attributes:
        actor: Number of the actor.
        clip_s: Where in the actor's clip this person begins.
        mirrored: Whether the clip is mirrored.
        x, y: Where the face's middle is at rest, pixels.
        width_px: Width of the face.
        speed_px_s: Speed to the right; who leaves the picture comes back from the other side.
        sway_px: How far the head sways.
        sway_hz: How often.
        phase: Where in the sway it begins, radians.
        light: Factor on the brightness.
        blur_px: Spread of the blur.
        hidden: Times when a hand or book hides the lower half of the face: begin and end.
    """

    actor: int
    clip_s: float
    mirrored: bool
    x: float
    y: float
    width_px: float
    speed_px_s: float = 0.0
    sway_px: float = 0.0
    sway_hz: float = 0.3
    phase: float = 0.0
    light: float = 1.0
    blur_px: float = 0.0
    hidden: tuple[tuple[float, float], ...] = ()

    def place(self, now_s: float, width_px: int) -> tuple[float, float]:
        """Middle of the face at a time, in a picture of the given width."""
        turn = 2 * math.pi * self.sway_hz * now_s + self.phase
        x = self.x + self.speed_px_s * now_s + self.sway_px * math.sin(turn)
        if self.speed_px_s:
            lane = width_px + 4 * self.width_px
            x = (x + 2 * self.width_px) % lane - 2 * self.width_px
        return x, self.y + 0.4 * self.sway_px * math.sin(1.7 * turn)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueFaces:
    """What is known of one person in one frame.

    Attributes:
        pupil: Number of the person.
        box: The face, as the dense landmarks would frame it.
        visible: Share of the face that nothing hides, 0 to 1.
    """

    pupil: int
    box: Box
    visible: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassroomScene:
    """A classroom that can be rendered at any time, always alike.

    Attributes:
        width_px, height_px: Size of the pictures.
        fps: Frames a second.
        pupils: Who is there.
        seed: Of the background and the noise.
    """

    width_px: int
    height_px: int
    fps: float
    pupils: tuple[SimulatedFace, ...]
    seed: int = 0
    _wall: list[NDArray[np.uint8]] = field(default_factory=list, repr=False)

    def frames(
        self, actors: tuple[ClassroomActor, ...], count: int
    ) -> Iterator[tuple[Frame, tuple[TrueFaces, ...]]]:
        """Render ``count`` frames one by one, with what is known of each."""
        for seq in range(count):
            yield self.render(actors, seq)

    def render(
        self, actors: tuple[ClassroomActor, ...], seq: int
    ) -> tuple[Frame, tuple[TrueFaces, ...]]:
        """Render one frame."""
        if not self._wall:
            self._wall.extend(_wall(self.width_px, self.height_px, self.seed))
        wall, noise = self._wall
        now_s = seq / self.fps
        image = wall.copy()
        owner = np.full((-(-self.height_px // 2), -(-self.width_px // 2)), -1, dtype=np.int16)
        placed: list[tuple[int, Box]] = []
        order = sorted(range(len(self.pupils)), key=lambda i: (self.pupils[i].width_px, i))
        for number in order:
            pupil = self.pupils[number]
            box = _draw(image, actors[pupil.actor], pupil, now_s)
            _own(owner, box, number)
            if any(begin <= now_s < end for begin, end in pupil.hidden):
                _hide(image, owner, box, number)
            placed.append((number, box))
        shift = (seq * 7919) % self.height_px
        cv2.add(image, np.roll(noise, shift, axis=0), dst=image)
        cv2.subtract(image, np.roll(noise, -shift // 2, axis=0), dst=image)
        truths = tuple(
            TrueFaces(pupil=number, box=box, visible=_visible(owner, box, number))
            for number, box in sorted(placed, key=lambda p: p[0])
        )
        return Frame(image=frozen(image), seq=seq, captured_s=now_s), truths


def _draw(
    image: NDArray[np.uint8], actor: ClassroomActor, pupil: SimulatedFace, now_s: float
) -> Box:
    """Paint one head into the picture and return where its face is."""
    number = actor.at(now_s + pupil.clip_s)
    head, alpha, face = actor.heads[number], actor.alpha, actor.boxes[number]
    height, width = alpha.shape
    scale = pupil.width_px / actor.face_px
    if pupil.mirrored:
        head, alpha = head[:, ::-1], alpha[:, ::-1]
        face = Box(x=width - face.x - face.width, y=face.y, width=face.width, height=face.height)
    if scale < 1:
        size = (max(round(width * scale), 4), max(round(height * scale), 4))
        head = cv2.resize(head, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    fine_x, fine_y = width * scale / head.shape[1], height * scale / head.shape[0]
    middle_x, middle_y = pupil.place(now_s, image.shape[1])
    rest = actor.boxes[0].centre
    x0 = middle_x - scale * (width - rest[0] if pupil.mirrored else rest[0])
    y0 = middle_y - scale * rest[1]
    box = Box(
        x=x0 + face.x * scale,
        y=y0 + face.y * scale,
        width=face.width * scale,
        height=face.height * scale,
    )
    left, upper = max(math.floor(x0), 0), max(math.floor(y0), 0)
    right = min(math.ceil(x0 + width * scale) + 1, image.shape[1])
    lower = min(math.ceil(y0 + height * scale) + 1, image.shape[0])
    if right <= left or lower <= upper:
        return box
    matrix = np.array(((fine_x, 0.0, x0 - left), (0.0, fine_y, y0 - upper)))
    window = (right - left, lower - upper)
    painted = cv2.warpAffine(
        np.ascontiguousarray(head), matrix, window, borderMode=cv2.BORDER_REPLICATE
    )
    cover = cv2.warpAffine(np.ascontiguousarray(alpha), matrix, window)
    if pupil.blur_px:
        painted = cv2.GaussianBlur(painted, (0, 0), pupil.blur_px)
    part = image[upper:lower, left:right]
    share = cover[..., None]
    part[:] = np.clip(
        part * (1 - share) + painted * np.float32(pupil.light) * share, 0, 255
    ).astype(np.uint8)
    return box


def _own(owner: NDArray[np.int16], box: Box, number: int) -> None:
    """Note, at half size, whose head covers what."""
    x, y = box.centre
    centre = (round(x / 2), round(y / 2 - box.height * 0.04))
    axes = (max(round(box.width * 0.32), 1), max(round(box.height * 0.36), 1))
    cv2.ellipse(owner, centre, axes, 0, 0, 360, number, -1)


def _hide(image: NDArray[np.uint8], owner: NDArray[np.int16], box: Box, number: int) -> None:
    """Hold a book before the lower two thirds of a face."""
    x0, x1 = round(box.x - 0.2 * box.width), round(box.x + 1.2 * box.width)
    y0, y1 = round(box.y + 0.3 * box.height), round(box.y + 1.25 * box.height)
    colour = (60 + 37 * number % 150, 40 + 61 * number % 150, 50 + 83 * number % 150)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, -1)
    cv2.rectangle(owner, (x0 // 2, y0 // 2), (x1 // 2, y1 // 2), -1, -1)


def _visible(owner: NDArray[np.int16], box: Box, number: int) -> float:
    """Share of the inner face that is in the picture and covered by nobody else."""
    inner = 0.25
    x0, x1 = box.x + inner * box.width, box.x + (1 - inner) * box.width
    y0, y1 = box.y + inner * box.height, box.y + (1 - inner) * box.height
    whole = max((x1 - x0) * (y1 - y0) / 4, 1.0)
    height, width = owner.shape
    part = owner[
        min(max(round(y0 / 2), 0), height) : min(max(round(y1 / 2), 0), height),
        min(max(round(x0 / 2), 0), width) : min(max(round(x1 / 2), 0), width),
    ]
    return min(float((part == number).sum()) / whole, 1.0)


def _wall(width_px: int, height_px: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A cluttered room without faces, and a sheet of noise."""
    random = np.random.default_rng(seed)
    rough = random.normal(0, 1, (4, 6)).astype(np.float32)
    wall = 130 + 30 * cv2.resize(rough, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    toned = np.repeat(wall[..., None], 3, axis=2) + random.normal(0, 12, 3)
    image: NDArray[np.uint8] = np.clip(toned, 0, 255).astype(np.uint8)
    for _ in range(60):
        x, y = random.integers(0, width_px), random.integers(0, height_px)
        w, h = random.integers(8, width_px // 6), random.integers(8, height_px // 5)
        colour = tuple(int(c) for c in random.integers(20, 235, 3))
        thick = int(random.choice((-1, 1, 2, 4)))
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, thick)
    for _ in range(25):
        x, y = random.integers(0, width_px), random.integers(20, height_px)
        grey = int(random.integers(0, 255))
        cv2.putText(image, "ABC 123", (int(x), int(y)), 0, 0.7, (grey, grey, grey), 2)
    sheet = np.clip(random.normal(0, NOISE, (height_px, width_px, 3)), 0, 20).astype(np.uint8)
    return image, sheet

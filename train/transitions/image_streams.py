"""Level (b): crop and blendshape sequences of held-out pictures, classified by real networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.values import Features, frozen
from train.transitions.actors import Actor, ck_actors, fer_actors, fer_pictures
from train.transitions.disturbances import disturbed, draw_moments, mixed
from train.transitions.streams import Series, Stream, Truth
from train.transitions.timeline import Course, draw_course, frame_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.values import Prediction
    from train.transitions.actors import Part
    from train.transitions.disturbances import Moment

    Classify = Callable[[Sequence[Features]], Sequence[Prediction]]

FPS: Final = (8.0, 10.0, 15.0)
UNMEASURED: Final = 0.03
"""Share of frames on which a face gets a crop but no landmarks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelB:
    """Parameters of the generator: clips of each kind and their length.

    Attributes:
        fer_clips: Changing faces put together from FER2013 pictures of different people.
        ck_clips: Changing faces of one person each, CK+48, from peak to peak.
        still_clips: Clips without any change, half of each kind.
        duration_s: Length of each.
    """

    fer_clips: int = 32
    ck_clips: int = 16
    still_clips: int = 26
    duration_s: float = 24.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One synthetic clip before anything is rendered."""

    actor: Actor
    course: Course
    truth: Truth
    times_s: NDArray[np.float64]
    moments: list[Moment]


def scenes(
    data: Path, part: Part, level: LevelB, *, seed: int, name: str = "b", fps: Iterable[float] = FPS
) -> list[Scene]:
    """Draw the scenes of one part of the data; the same seed gives the same scenes."""
    still_fer = (level.still_clips + 1) // 2
    still_ck = level.still_clips - still_fer
    fer = fer_actors(fer_pictures(data, part), level.fer_clips + still_fer, seed=seed)
    people = ck_actors(data, part)
    ck = [people[(i + seed) % len(people)] for i in range(level.ck_clips + still_ck)]
    cast = [
        *((a, i >= level.fer_clips) for i, a in enumerate(fer)),
        *((a, i >= level.ck_clips) for i, a in enumerate(ck)),
    ]
    rates = tuple(fps)
    return [
        _scene(
            np.random.default_rng([seed, i]),
            actor,
            still=still,
            level=level,
            name=f"{name}-{part}-{i:03d}",
            rates=rates,
        )
        for i, (actor, still) in enumerate(cast)
    ]


def _scene(
    rng: np.random.Generator,
    actor: Actor,
    *,
    still: bool,
    level: LevelB,
    name: str,
    rates: tuple[float, ...],
) -> Scene:
    course = draw_course(
        rng, duration_s=level.duration_s, emotions=tuple(sorted(actor.shows)), still=still
    )
    times_s = frame_times(rng, duration_s=level.duration_s, fps=float(rng.choice(rates)))
    return Scene(
        actor=actor,
        course=course,
        truth=Truth(
            name=f"{name}-{actor.name}{'-still' if still else ''}",
            start=course.start,
            changes=course.changes,
            duration_s=level.duration_s,
        ),
        times_s=times_s,
        moments=draw_moments(rng, times_s, lively=still),
    )


def features(scene: Scene) -> Iterator[Features]:
    """What the networks are shown of a scene, frame by frame."""
    unmeasured = np.random.default_rng(len(scene.times_s)).random(len(scene.times_s)) < UNMEASURED
    for at_s, moment, hidden in zip(scene.times_s.tolist(), scene.moments, unmeasured, strict=True):
        crop, shapes, pose = mixed(scene.actor, scene.course, at_s)
        lost = bool(hidden) or moment.patch is not None
        turned = pose + np.array([moment.yaw_deg, 0, moment.angle_deg], np.float32)
        yield Features(
            track=0,
            label=scene.truth.name,
            captured_s=at_s,
            crop=frozen(disturbed(crop, moment)),
            blendshapes=None if lost else frozen(np.clip(shapes + moment.shapes, 0, 1)),
            pose=None if lost else frozen(turned),
        )


def classified(scene: Scene, classify: Classify) -> Stream:
    """Run one scene through the networks, frame by frame, as the device does.

    Args:
        scene: The scene.
        classify: A fresh classifier; it may keep state over the frames of this scene.
    """
    predictions = [classify([face])[0] for face in features(scene)]
    return Stream(truth=scene.truth, series=(collect(predictions),))


def collect(predictions: Sequence[Prediction]) -> Series:
    """One face's predictions as arrays."""
    sources = [p.log_probs for p in predictions if p.log_probs is not None]
    return Series(
        track=predictions[0].track,
        times_s=np.array([p.captured_s for p in predictions]),
        probs=frozen(np.stack([p.probs for p in predictions])),
        log_probs=None if len(sources) < len(predictions) else frozen(np.stack(sources)),
        talking=np.array([p.talking for p in predictions]),
        degraded=np.array([p.degraded for p in predictions]),
    )

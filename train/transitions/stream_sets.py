"""The sets of streams the benchmark runs on, each from its generator, with progress."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.classifier.ensemble import Ensemble
from emoshift.errors import UnavailableError
from train.transitions.clip_streams import FPS, Recorded, record, render
from train.transitions.image_streams import LevelB, classified, scenes
from train.transitions.labels import read_labels
from train.transitions.mini_xception import MiniXception
from train.transitions.probability_streams import LevelA
from train.transitions.probability_streams import streams as draw_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge.bundle.loader import Bundle
    from train.transitions.actors import Part
    from train.transitions.clip_streams import Replay
    from train.transitions.image_streams import Classify
    from train.transitions.streams import Stream

    Note = Callable[[str], None]

TUNE_SEED: Final = 1
TUNE_SEEDS: Final = (TUNE_SEED, 2)
"""Seeds of the tuning streams; report seeds start at 101, so that none of them can be the same."""

LEVEL_C: Final = LevelB(fer_clips=16, ck_clips=12, still_clips=26, duration_s=24.0)


def level_a(*, seed: int, scale: float = 1.0) -> list[Stream]:
    """Streams of level (a)."""
    level = LevelA()
    level = replace(
        level, clips=_scaled(level.clips, scale), still_clips=_scaled(level.still_clips, scale)
    )
    return draw_streams(level, seed=seed)


def level_b(
    data: Path,
    part: Part,
    fresh: Callable[[], Classify],
    *,
    seed: int,
    scale: float = 1.0,
    note: Note = lambda _: None,
) -> list[Stream]:
    """Streams of level (b); ``fresh`` makes a classifier without memory for each clip."""
    drawn = scenes(data, part, scaled(LevelB(), scale), seed=seed)
    streams = []
    for index, scene in enumerate(drawn):
        note(f"level b, {part}: clip {index + 1} of {len(drawn)}")
        streams.append(classified(scene, fresh()))
    return streams


def level_c(
    data: Path,
    part: Part,
    replay: Replay,
    *,
    seed: int,
    scale: float = 1.0,
    note: Note = lambda _: None,
) -> list[Recorded]:
    """Rendered clips through the pipeline; the clips are deleted afterwards."""
    drawn = scenes(data, part, scaled(LEVEL_C, scale), seed=seed, name="c", fps=(FPS,))
    other = xception()
    recorded = []
    with tempfile.TemporaryDirectory(prefix="emoshift-") as folder:
        for index, scene in enumerate(drawn):
            note(f"level c, {part}: clip {index + 1} of {len(drawn)}")
            path = Path(folder) / f"{index:03d}.mp4"
            render(scene, path, seed=seed + index)
            recorded.append(record(path, scene.truth, replay, other=other))
            path.unlink()
    return recorded


def labelled(
    labels: Path, clips: Path, replay: Replay, *, note: Note = lambda _: None
) -> list[Recorded]:
    """Hand-labelled real clips through the pipeline."""
    other = xception()
    recorded = []
    for path, truth in read_labels(labels, clips).items():
        note(f"labelled clips: {path.name}")
        recorded.append(record(path, truth, replay, other=other))
    return recorded


def networks(bundle: Bundle) -> Callable[[], Classify]:
    """Make classifiers of a bundle, each without memory of the clips before."""
    ensemble = Ensemble(bundle)

    def fresh() -> Classify:
        ensemble.forget([0])
        return ensemble.classify

    return fresh


def xception() -> Classify | None:
    """The network of the package ``fer`` where it is installed."""
    try:
        return MiniXception().classify
    except UnavailableError:
        return None


def scaled(level: LevelB, scale: float) -> LevelB:
    """The same level with ``scale`` times as many clips of each kind."""
    return replace(
        level,
        fer_clips=_scaled(level.fer_clips, scale),
        ck_clips=_scaled(level.ck_clips, scale),
        still_clips=_scaled(level.still_clips, scale),
    )


def streams_of(recorded: Iterable[Recorded]) -> list[Stream]:
    """What the device's networks said of each recorded clip."""
    return [r.stream for r in recorded]


def _scaled(count: int, scale: float) -> int:
    return max(1, round(count * scale))

"""The same faces alone and in company: what a class of thirty costs in transitions found.

Rendered clips of level (c) are the tiles of one large picture. They go through the pipeline all
together, and then one at a time with the other tiles empty; both are scored against the same truth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.capture.clip import Clip
from edge.pipeline import REPLAY_SEED, open_pipeline
from edge.values import Frame, frozen
from train.transitions.clip_streams import FPS, render
from train.transitions.image_streams import scenes
from train.transitions.metrics import score, tally
from train.transitions.stream_sets import LEVEL_C, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge.bundle.loader import Bundle
    from edge.config import Config
    from edge.values import Transition
    from train.transitions.image_streams import Scene
    from train.transitions.metrics import Scores

    Note = Callable[[str], None]

PICTURE_PX: Final = (1920, 1080)
COLUMNS: Final = 6
ROWS: Final = 5
TILE_PX: Final = (PICTURE_PX[0] // COLUMNS, PICTURE_PX[1] // ROWS)
EMPTY: Final = 110
"""Grey value where no tile is shown."""


def company(
    data: Path, config: Config, bundle: Bundle, *, seed: int, note: Note = lambda _: None
) -> tuple[Scores, Scores]:
    """Score the same faces alone and all together.

    Args:
        data: Folder of the data sets.
        config: For the pipeline.
        bundle: The networks.
        seed: Of the streams; 101 and more are for reports.
        note: Called with what is being done.

    Returns:
        Scores of the faces alone, then of the faces together.
    """
    drawn = scenes(data, "report", scaled(LEVEL_C, 0.6), seed=seed, name="crowd", fps=(FPS,))
    cast = drawn[: COLUMNS * ROWS]
    with tempfile.TemporaryDirectory(prefix="emoshift-") as folder:
        clips = []
        for number, scene in enumerate(cast):
            note(f"rendering face {number + 1} of {len(cast)}")
            clips.append(_tiles(scene, Path(folder) / f"{number:02d}.mp4", seed=seed + number))
    note("all faces together")
    together = _run(clips, range(len(cast)), config, bundle)
    alone: dict[int, list[Transition]] = {}
    for number in range(len(cast)):
        note(f"face {number + 1} of {len(cast)} alone")
        alone |= _run(clips, [number], config, bundle)
    return _scored(cast, alone), _scored(cast, together)


def _scored(cast: Sequence[Scene], events: dict[int, list[Transition]]) -> Scores:
    return score([tally(scene.truth, events[number]) for number, scene in enumerate(cast)])


def _tiles(scene: Scene, path: Path, *, seed: int) -> list[NDArray[np.uint8]]:
    """Render a scene and shrink its frames to tiles."""
    render(scene, path, seed=seed)
    tiles = [
        np.asarray(cv2.resize(frame.image, TILE_PX, interpolation=cv2.INTER_AREA), np.uint8)
        for frame in Clip(path).frames()
    ]
    path.unlink()
    return tiles


def _run(
    clips: Sequence[list[NDArray[np.uint8]]],
    shown: Sequence[int],
    config: Config,
    bundle: Bundle,
) -> dict[int, list[Transition]]:
    """Take some of the clips through the pipeline; returns the events of each tile."""
    events: dict[int, list[Transition]] = {number: [] for number in shown}
    with open_pipeline(config, bundle, random_seed=REPLAY_SEED) as pipeline:
        for frame in _frames(clips, shown):
            step = pipeline.step(frame)
            places = {face.track: face.box.centre for face in step.faces}
            for transition in step.transitions:
                x, y = places[transition.track]
                number = int(y // TILE_PX[1]) * COLUMNS + int(x // TILE_PX[0])
                if number in events:
                    events[number].append(transition)
    return events


def _frames(clips: Sequence[list[NDArray[np.uint8]]], shown: Sequence[int]) -> Iterator[Frame]:
    longest = max(len(clips[number]) for number in shown)
    wide, high = TILE_PX
    for seq in range(longest):
        picture = np.full((PICTURE_PX[1], PICTURE_PX[0], 3), EMPTY, np.uint8)
        for number in shown:
            if seq < len(clips[number]):
                top, left = number // COLUMNS * high, number % COLUMNS * wide
                picture[top : top + high, left : left + wide] = clips[number][seq]
        yield Frame(image=frozen(picture), seq=seq, captured_s=seq / FPS)

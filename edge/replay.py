"""A clip through the device's pipeline, from Python: `emoshift.replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.capture.clip import Clip
from edge.config import Config
from edge.pipeline import replay as replay_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.values import Transition


def replay(clip: str | Path, config: Config | None = None) -> Iterator[Transition]:
    """Yield the transitions of a clip, as ``edge replay`` prints them.

    Every frame is looked at, however long that takes, so the same clip gives the same transitions.

    Args:
        clip: The video file.
        config: Settings of the device; the defaults where left out. Nothing is published.

    Yields:
        Each transition: ``before`` (``None`` is unknown) and ``after`` as
        `emoshift.emotions.Emotion`, ``confidence``, ``onset_s`` and ``decided_s`` in seconds from
        the start of the clip, and ``label``, a random name of the face's track.

    Raises:
        InputError: The clip or a model cannot be read.
    """
    config = config or Config()
    video = Clip(Path(clip).expanduser(), rotate=config.camera.rotate, max_fps=config.camera.fps)
    for step in replay_steps(video, config):
        yield from step.transitions

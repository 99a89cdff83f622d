"""Made-up recordings of a calibration: what networks would say of a face that shows something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.site.channels import Channels, Row
from edge.site.script import PROMPTS, Segment, segments_of
from edge.values import EvidenceSource, frozen
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Mapping

FPS = 12.0
STARTS_S = [float(sum(p.seconds for p in PROMPTS[:place])) for place in range(len(PROMPTS))]
SHOWN = segments_of(PROMPTS, STARTS_S)


def record(
    segments: tuple[Segment, ...] = SHOWN,
    *,
    seed: int = 0,
    rest_looks: Mapping[Emotion, float] | None = None,
    sure: float = 0.8,
    noise: float = 0.5,
    networks: str = "made up",
) -> Channels:
    """A person who does what is asked.

    Args:
        segments: What is asked when.
        seed: Of the noise.
        rest_looks: Bursts of another emotion while the person talks or rests, each a little less
            than two seconds in eight, and how sure the networks are of it then.
        sure: What the networks give the emotion shown.
        noise: Of the log-probabilities, nats.
        networks: Their digest.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(int(segments[-1].to_s * FPS)):
        at_s = place / FPS
        segment = next(s for s in segments if s.from_s <= at_s < s.to_s)
        emotion, level = segment.emotion or Emotion.NEUTRAL, sure
        if emotion is Emotion.NEUTRAL:
            for other, how_sure in (rest_looks or {}).items():
                if (at_s + 1.7 * other) % 8 < 1.8:
                    emotion, level = other, how_sure
        probs = np.full(len(Emotion), (1 - level) / (len(Emotion) - 1))
        probs[emotion] = level
        said = np.log(probs) + noise * rng.normal(size=(len(EvidenceSource), len(Emotion)))
        said -= np.log(np.exp(said).sum(axis=1, keepdims=True))
        rows.append(
            Row(
                at_s=round(at_s, 3),
                face=1,
                log_probs=frozen(said.astype(np.float32)),
                talking=0.0,
                degraded=place % 50 == 0,
                blendshapes=frozen(rng.random(52).astype(np.float32)) if place % 2 else None,
            )
        )
    return Channels(bundle_id="made-up", networks=networks, segments=segments, rows=tuple(rows))

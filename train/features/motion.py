"""How blendshapes move in a face that only talks: measured once on clips, drawn again at will."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """A first-order autoregression over channel levels.

    Attributes:
        covariance: ``(channels, channels)``, float64, of the levels about their running median.
        keep: ``(channels,)``, float64: correlation of a level with itself one step before.
        step_s: Seconds between two steps.
    """

    covariance: NDArray[np.float64]
    keep: NDArray[np.float64]
    step_s: float

    def draw(self, sequences: int, steps: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return ``(sequences, steps, channels)``, float32, with the measured spread."""
        values: NDArray[np.float64]
        vectors: NDArray[np.float64]
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        fresh = rng.standard_normal((sequences, steps, len(self.keep))) @ root.T
        out = np.empty_like(fresh)
        out[:, 0] = fresh[:, 0]
        renew = np.sqrt(1.0 - self.keep**2)
        for step in range(1, steps):
            out[:, step] = self.keep * out[:, step - 1] + renew * fresh[:, step]
        return np.asarray(out, np.float32)


def measure_motion(clips: Sequence[tuple[NDArray[np.float32], float]], step_s: float) -> Motion:
    """Measure motion on clips without a change of emotion.

    Args:
        clips: Channel levels ``(frames, channels)`` and frame rate of each.
        step_s: Seconds between two steps of the result.
    """
    about: list[NDArray[np.float64]] = []
    products: list[NDArray[np.float64]] = []
    for values, rate in clips:
        times = np.arange(0.0, (len(values) - 1) / rate, step_s)
        frames = np.arange(len(values)) / rate
        resampled = np.stack([np.interp(times, frames, channel) for channel in values.T], axis=1)
        centred = resampled - np.median(resampled, axis=0)
        about.append(centred)
        products.append(centred[1:] * centred[:-1])
    together = np.concatenate(about)
    spread = np.maximum((together**2).mean(axis=0), 1e-8)
    keep = np.clip(np.concatenate(products).mean(axis=0) / spread, 0.0, 0.98)
    return Motion(covariance=together.T @ together / len(together), keep=keep, step_s=step_s)


def write_motion(path: Path, motion: Motion, *, source: str, channels: Sequence[str]) -> None:
    """Write as JSON, four digits."""
    values = {
        "source": source,
        "channels": list(channels),
        "step_s": motion.step_s,
        "keep": np.round(motion.keep, 4).tolist(),
        "covariance": np.round(motion.covariance, 4).tolist(),
    }
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def read_motion(path: Path) -> Motion:
    """Read what `write_motion` wrote."""
    values = json.loads(path.read_text(encoding="utf-8"))
    return Motion(
        covariance=np.array(values["covariance"]),
        keep=np.array(values["keep"]),
        step_s=float(values["step_s"]),
    )

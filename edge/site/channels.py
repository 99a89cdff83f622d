"""Recorded channels: what the networks said of each face, and its blendshapes; never a picture.

A file of JSON lines that anybody can read: first what it is, then one line for each face and frame.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.features.blendshapes import NAMES
from edge.site.script import Segment, segment_of
from edge.values import EvidenceSource, Prediction, frozen
from emoshift.emotions import EMOTIONS, Emotion
from emoshift.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.bundle.manifest import Manifest
    from edge.pipeline import Step

SCHEMA: Final = "emoshift.channels/1"
_MOST_BYTES: Final = 256 * 1024 * 1024
_LOG_FLOOR: Final = -20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One face on one frame.

    Attributes:
        at_s: Time, seconds from any origin.
        face: Number of the face within the recording.
        log_probs: Shape ``(len(EvidenceSource), len(Emotion))``, NaN in the row of a source that
            says nothing.
        talking: 0 to 1.
        degraded: Whether a member of the ensemble was missing.
        blendshapes: Shape ``(52,)``, or ``None`` where none were measured.
    """

    at_s: float
    face: int
    log_probs: np.ndarray
    talking: float
    degraded: bool
    blendshapes: np.ndarray | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, rounded to what they mean."""
        said = [
            None if math.isnan(source[0]) else [round(float(v), 3) for v in source]
            for source in np.maximum(self.log_probs, _LOG_FLOOR)
        ]
        shapes = self.blendshapes
        return {
            "t": round(self.at_s, 3),
            "face": self.face,
            "log_probs": said,
            "talking": round(self.talking, 3),
            "degraded": self.degraded,
            "blendshapes": None if shapes is None else [round(float(v), 3) for v in shapes],
        }

    @classmethod
    def from_json(cls, data: Any) -> Row:
        """Read a row back.

        Raises:
            ValueError, TypeError, KeyError: It is none.
        """
        nothing = [math.nan] * len(Emotion)
        said = [nothing if source is None else source for source in data["log_probs"]]
        log_probs = np.array(said, np.float32)
        if log_probs.shape != (len(EvidenceSource), len(Emotion)):
            raise ValueError(f"log_probs of shape {log_probs.shape}")
        shapes = data["blendshapes"]
        blendshapes = None if shapes is None else frozen(np.array(shapes, np.float32))
        if blendshapes is not None and blendshapes.shape != (len(NAMES),):
            raise ValueError(f"{len(shapes)} blendshapes, expected {len(NAMES)}")
        at_s, talking = float(data["t"]), float(data["talking"])
        if not math.isfinite(at_s) or not 0 <= talking <= 1:
            raise ValueError("time or talking out of range")
        return cls(
            at_s=at_s,
            face=int(data["face"]),
            log_probs=frozen(log_probs),
            talking=talking,
            degraded=bool(data["degraded"]),
            blendshapes=blendshapes,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channels:
    """A whole recording.

    Attributes:
        bundle_id: The bundle whose networks spoke.
        networks: Digest of these networks, see `networks_digest`.
        segments: What was shown when.
        rows: In the order of time.
    """

    bundle_id: str
    networks: str
    segments: tuple[Segment, ...]
    rows: tuple[Row, ...]

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return self.rows[-1].at_s - self.rows[0].at_s if self.rows else 0.0

    def predictions(self) -> Iterator[list[Prediction]]:
        """The device's values, frame by frame."""
        for at_s, rows in groupby(self.rows, key=lambda row: row.at_s):
            yield [
                Prediction(
                    track=row.face,
                    label=f"face-{row.face}",
                    captured_s=at_s,
                    probs=_probs(row.log_probs),
                    log_probs=row.log_probs,
                    talking=row.talking,
                    degraded=row.degraded,
                )
                for row in rows
            ]

    def lines(self) -> Iterator[str]:
        """The lines of the file."""
        yield json.dumps(
            {
                "schema": SCHEMA,
                "bundle": self.bundle_id,
                "networks": self.networks,
                "emotions": list(EMOTIONS),
                "sources": [source.name.lower() for source in EvidenceSource],
                "blendshapes": list(NAMES),
                "segments": [
                    {"from_s": round(s.from_s, 3), "to_s": round(s.to_s, 3), "shows": s.shows}
                    for s in self.segments
                ],
            }
        )
        for row in self.rows:
            yield json.dumps(row.to_json(), separators=(",", ":"))


def rows_of(step: Step) -> list[Row]:
    """What is kept of one frame of the pipeline; its picture and landmarks are not."""
    shapes = {face.track: face.landmarks for face in step.faces}
    rows = []
    for prediction in step.predictions:
        landmarks = shapes.get(prediction.track)
        said = prediction.log_probs
        if said is None:
            continue
        fresh = landmarks is not None and landmarks.measured_s == step.frame.captured_s
        rows.append(
            Row(
                at_s=prediction.captured_s,
                face=prediction.track,
                log_probs=said,
                talking=prediction.talking,
                degraded=prediction.degraded,
                blendshapes=landmarks.blendshapes if landmarks is not None and fresh else None,
            )
        )
    return rows


def networks_digest(manifest: Manifest) -> str:
    """Sixteen hex digits that change with what the networks of a bundle say."""
    members = "".join(m.model_dump_json(exclude={"metrics"}) for m in manifest.members)
    return hashlib.sha256(members.encode()).hexdigest()[:16]


def write_channels(channels: Channels, path: Path) -> None:
    """Keep a recording.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        path.write_text("".join(f"{line}\n" for line in channels.lines()), encoding="utf-8")
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why.strerror}") from why


def read_channels(path: Path) -> Channels:
    """Read a recording that was kept.

    Raises:
        InputError: It cannot be read, or is none; the message names the line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: too large for recorded channels")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as why:
        raise InputError(f"{path}: cannot be read: {why.strerror}") from why
    except ValueError as why:
        raise InputError(f"{path}: no recorded channels: {why}") from why
    number = 1
    try:
        head = json.loads(lines[0]) if lines else None
        if not isinstance(head, dict) or head.get("schema") != SCHEMA:
            raise InputError(f"{path}: expected recorded channels ({SCHEMA}) of edge calibrate")
        _demand(head, "emotions", list(EMOTIONS))
        _demand(head, "sources", [source.name.lower() for source in EvidenceSource])
        _demand(head, "blendshapes", list(NAMES))
        segments = [segment_of(entry, f"{path}: segments") for entry in head["segments"]]
        rows: list[Row] = []
        for line in lines[1:]:
            number += 1
            rows.append(_next_row(json.loads(line), rows))
    except (ValueError, TypeError, KeyError, RecursionError) as why:
        raise InputError(f"{path}: line {number}: {why}; record it again") from why
    return Channels(
        bundle_id=str(head["bundle"]),
        networks=str(head["networks"]),
        segments=tuple(segments),
        rows=tuple(rows),
    )


def _next_row(data: Any, before: Sequence[Row]) -> Row:
    row = Row.from_json(data)
    if before and row.at_s < before[-1].at_s:
        raise ValueError("time goes back")
    return row


def _demand(head: dict[str, Any], key: str, expected: Sequence[str]) -> None:
    if head.get(key) != expected:
        raise ValueError(f"{key} are {head.get(key)}, expected {expected}")


def _probs(log_probs: np.ndarray) -> np.ndarray:
    """Mean of what the sources say; the detector itself asks each."""
    said = log_probs[~np.isnan(log_probs[:, 0])]
    mean = said.mean(axis=0) if len(said) else np.zeros(len(Emotion), np.float32)
    probs = np.exp(mean - mean.max())
    return frozen((probs / probs.sum()).astype(np.float32))

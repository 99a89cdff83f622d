"""All members of a bundle as one classifier of faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.classifier.lstm import Recurrent
from edge.classifier.member import Network
from edge.classifier.pool import LogLinearPool
from edge.classifier.talking import SpeechDetector
from edge.standardise import standardise_crop
from edge.values import EvidenceSource, Prediction, frozen
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edge.bundle.loader import Bundle
    from edge.values import Features

RESTING_PROB: Final = 0.6
"""A face is resting when the picture members give neutral at least this probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTiming:
    """How long one member took in the last call, in seconds; zero if it was left out."""

    name: str
    seconds: float


class Ensemble:
    """Classifies the faces of one frame, all of them in one batch per member.

    ``probs`` of a prediction answers the question of FER+, as published figures do; ``log_probs``
    keeps apart what each head and the recurrent member say, for the change detector.

    The members' log-probabilities are added with the manifest's weights; a picture member without
    weight is not run, a recurrent one is, for the change detector weighs what it says by itself.
    Where a member has nothing to say of a face (no landmarks), or is left out to save time, the
    other weights are scaled to sum to one for that face and the prediction is marked ``degraded``.

    Not for two threads at a time.

    Args:
        bundle: The models.
        threads: Threads each network may use.
        clock: Seconds, any origin; given, `timings` is kept. Nothing else depends on it.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, clock: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock
        self._level = 0
        networks = [
            Network(m, bundle.contents[m.name], threads=threads)
            for m in bundle.manifest.members
            if m.weight > 0 or m.kind == "lstm"
        ]
        self._pictures = [n for n in networks if n.member.kind == "cnn"]
        self._sequences = [(n, Recurrent(n)) for n in networks if n.member.kind == "lstm"]
        self._speech = SpeechDetector()
        self._mirrors = any(n.member.mirrored for n in self._pictures)
        self._spent = {n.member.name: 0.0 for n in networks}

    @property
    def levels(self) -> int:
        """How many cheaper settings there are beside the full one."""
        return int(self._mirrors) + max(0, len(self._pictures) - 1)

    @property
    def level(self) -> int:
        """The setting in force: 0 is full, each higher one is cheaper.

        First mirrored views go, then picture members from the last listed; one always stays, and
        so do recurrent members, a step of which costs next to nothing.
        """
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        if not 0 <= level <= self.levels:
            raise ValueError(f"level {level}, expected 0 to {self.levels}")
        self._level = level

    @property
    def timings(self) -> tuple[MemberTiming, ...]:
        """What each member took in the last call; zeros without a clock."""
        return tuple(MemberTiming(name=n, seconds=s) for n, s in self._spent.items())

    @property
    def last_inputs(self) -> NDArray[np.float32]:
        """What the first recurrent member was shown last, ``(faces, channels)``; else empty."""
        for _, recurrent in self._sequences:
            return recurrent.last_inputs
        return np.empty((0, 0), np.float32)

    def classify(self, faces: Sequence[Features]) -> tuple[Prediction, ...]:
        """Return one prediction for each face of one frame, in the same order."""
        self._spent = dict.fromkeys(self._spent, 0.0)
        if not faces:
            return ()
        votes, labels = LogLinearPool(len(faces)), LogLinearPool(len(faces))
        crops = standardise_crop(np.stack([face.crop for face in faces]))
        pictures: dict[bytes, NDArray[Any]] = {}
        for network in self._pictures_in_use():
            started = self._clock() if self._clock else 0.0
            if network.encoding not in pictures:
                pictures[network.encoding] = network.quantise_images(crops)
            logits = network.predict_encoded(
                pictures[network.encoding], mirror=network.member.mirrored and self._level == 0
            )
            votes.add(network.member.weight, network.log_probs(logits["logits"]))
            if network.has_second_head:
                labels.add(network.member.weight, network.fer2013_log_probs(logits["fer2013"]))
            self._record_time(network, started)
        log_probs = np.full((len(faces), len(EvidenceSource), len(Emotion)), np.nan, np.float32)
        for source, pool in ((EvidenceSource.FERPLUS, votes), (EvidenceSource.FER2013, labels)):
            if pool.contributors[0]:
                log_probs[:, source] = pool.log_probs()
        resting = self._resting(faces, log_probs[:, EvidenceSource.FERPLUS, Emotion.NEUTRAL])
        for network, recurrent in self._sequences:
            started = self._clock() if self._clock else 0.0
            estimates = recurrent.estimate(faces, resting)
            votes.add(network.member.weight, estimates)
            for row, estimate in enumerate(estimates):
                if estimate is not None:
                    log_probs[row, EvidenceSource.RECURRENT] = estimate
            self._record_time(network, started)
        expected = len(self._pictures) + len(self._sequences)
        probs, log_probs = frozen(votes.probs(complete=expected)), frozen(log_probs)
        talking = self._speech.update(faces)
        return tuple(
            Prediction(
                track=face.track,
                label=face.label,
                captured_s=face.captured_s,
                probs=probs[row],
                log_probs=log_probs[row],
                talking=talking[row],
                degraded=bool(self._level > 0 or votes.contributors[row] < expected),
            )
            for row, face in enumerate(faces)
        )

    def forget(self, tracks: Iterable[int]) -> None:
        """Drop everything kept of faces that have left."""
        gone = tuple(tracks)
        self._speech.forget(gone)
        for _, recurrent in self._sequences:
            recurrent.forget(gone)

    def _resting(
        self, faces: Sequence[Features], neutral: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return which faces look neutral, by the pictures' log-probability ``(len(faces),)``.

        Nobody asks while none has been measured.
        """
        if not self._sequences or all(face.blendshapes is None for face in faces):
            return np.zeros(len(faces), np.bool_)
        resting: NDArray[np.bool_] = np.exp(neutral) >= RESTING_PROB
        return resting

    def _pictures_in_use(self) -> list[Network]:
        left_out = max(0, self._level - int(self._mirrors))
        return self._pictures[: len(self._pictures) - left_out]

    def _record_time(self, network: Network, started: float) -> None:
        if self._clock:
            self._spent[network.member.name] = self._clock() - started

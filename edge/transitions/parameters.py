"""The numbers the change detector runs on: fitted, stored in the bundle, checked when read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from emoshift.emotions import Emotion
from emoshift.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.bundle.manifest import Temporal

METHOD: Final = "hmm-filter/1"
"""The `Temporal.method` these parameters belong to."""

N: Final = len(Emotion)

Positive = Annotated[float, Field(gt=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Vector = Annotated[tuple[float, ...], Field(min_length=N, max_length=N)]
Matrix = Annotated[tuple[Vector, ...], Field(min_length=N, max_length=N)]

_IDENTITY: Final = tuple(tuple(float(i == j) for j in range(N)) for i in range(N))


def _to_neutral(share: float) -> tuple[tuple[float, ...], ...]:
    """Each emotion gives way to neutral with probability ``share``, else to any other."""
    rows = []
    for source in Emotion:
        others = [e for e in Emotion if e not in (source, Emotion.NEUTRAL)]
        rest = 1.0 if source is Emotion.NEUTRAL else 1.0 - share
        row = [rest / len(others) if e in others else 0.0 for e in Emotion]
        if source is not Emotion.NEUTRAL:
            row[Emotion.NEUTRAL] = share
        rows.append(tuple(row))
    return tuple(rows)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Adaptation(_Table):
    """How a resting face that looks a little like another emotion is learned.

    While a face is settled as neutral, the mean evidence each other emotion has over neutral is
    followed, and what exceeds ``usual`` is later taken off, never more than ``most`` nats; so a
    person's sad-looking rest stops counting as sadness, and no strong expression can ever be
    learned away.

    Attributes:
        time_s: Time constant of the mean.
        most: Upper bound of the correction, nats; 0 turns it off.
        usual: Mean evidence over neutral of each emotion on a resting face, nats.
    """

    time_s: Positive = 20.0
    most: Annotated[float, Field(ge=0, le=5)] = 1.0
    usual: Vector = (-1.0,) * N


class TransitionParameters(_Table):
    """Parameters of the hidden Markov filter, its hysteresis and its confidence.

    Vectors and matrices are in the order of `edge.values.Emotion`. The defaults work for
    reasonably calibrated probabilities; better ones are fitted and stored in the bundle.

    Attributes:
        sensitivity: 0 (few false alarms, slower) to 1 (fast, more of them).
        thresholds: Log-odds of the posterior at which a change is decided, at sensitivity 0, 1/2
            and 1; falling.
        calibration_matrix, calibration_bias: The posterior of one frame is
            ``softmax(matrix @ log(probs) + bias)``.
        prior: Share of each emotion in the data of that calibration; what a frame says beyond it
            is evidence.
        outlier: Probability that a frame shows nothing of the emotion (blur, speech, a hand).
        noise_time_s: Correlation time of what is wrong with successive frames; frames ``dt``
            apart count ``tanh(dt / (2 noise_time_s))``, the information of a new sample of a
            first-order autoregressive process.
        degraded_weight: What a prediction of a reduced ensemble counts, against 1.
        rates_per_s: How often each emotion ends.
        destinations: Row by row, what it is followed by.
        start: Probability of each emotion when a face appears.
        hold_s: A new emotion must have been favoured this long.
        settle_s: The same for the first emotion of a face.
        dwell_s: Shortest time between two decisions on one face.
        gap_s: After a longer silence evidence is gathered anew.
        onset_lead_s: How long a change has been under way when frames begin to favour it.
        confidence: Intercept and slope that turn the log-odds of the posterior at the decision
            into calibrated log-odds that the decision is right.
        adaptation: Learning of each person's resting face.
        merge: Emotions that count as another one.
    """

    sensitivity: Share = 0.5
    thresholds: tuple[float, float, float] = (3.5, 2.0, 0.0)
    calibration_matrix: Matrix = _IDENTITY
    calibration_bias: Vector = (0.0,) * N
    prior: Vector = (1 / N,) * N
    outlier: Annotated[float, Field(gt=0, lt=1)] = 0.05
    noise_time_s: Positive = 0.1
    degraded_weight: Share = 0.7
    rates_per_s: Annotated[
        tuple[Annotated[float, Field(ge=0, le=20)], ...], Field(min_length=N, max_length=N)
    ] = (0.4, 0.4, 0.4, 0.3, 0.3, 0.6, 0.15)
    destinations: Matrix = _to_neutral(0.6)
    start: Vector = (0.1, 0.05, 0.05, 0.15, 0.1, 0.05, 0.5)
    hold_s: Annotated[float, Field(ge=0, le=5)] = 0.1
    settle_s: Annotated[float, Field(ge=0, le=5)] = 0.3
    dwell_s: Annotated[float, Field(ge=0, le=5)] = 0.25
    gap_s: Positive = 1.0
    onset_lead_s: Annotated[float, Field(ge=0, le=2)] = 0.05
    confidence: tuple[float, float] = (0.0, 0.6)
    adaptation: Adaptation = Adaptation()
    merge: dict[Emotion, Emotion] = Field(default_factory=dict)

    @field_validator("prior", "start")
    @classmethod
    def _distribution(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"shares above 0 that sum to 1 are expected, not {shares}")
        return shares

    @field_validator("destinations")
    @classmethod
    def _rows(cls, rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        for i, row in enumerate(rows):
            if min(row) < 0 or row[i] != 0 or abs(sum(row) - 1) > 1e-6:
                raise ValueError(f"row {i} must sum to 1 with nothing negative and 0 at {i}")
        return rows

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(low < high for low, high in pairwise(self.thresholds)):
            raise ValueError("thresholds must fall from sensitivity 0 to 1")
        if self.confidence[1] < 0:
            raise ValueError("the slope of the confidence must not be negative")
        if any(target in self.merge for target in self.merge.values()):
            raise ValueError("an emotion is merged into one that is merged away itself")
        if len(self.merge) >= N - 1:
            raise ValueError("at least two emotions must be left after merging")
        return self

    @property
    def threshold(self) -> float:
        """Log-odds at which a change is decided, at this sensitivity."""
        low, middle, high = self.thresholds
        s = 2 * self.sensitivity
        return low + (middle - low) * s if s <= 1 else middle + (high - middle) * (s - 1)

    @property
    def classes(self) -> tuple[Emotion, ...]:
        """The emotions that are left after merging."""
        return tuple(e for e in Emotion if e not in self.merge)

    @classmethod
    def from_temporal(
        cls,
        temporal: Temporal | None,
        *,
        sensitivity: float | None = None,
        merge: Mapping[str, str] | None = None,
        where: str = "bundle",
    ) -> Self:
        """Read the parameters of a bundle.

        Args:
            temporal: The manifest's block; ``None`` takes the defaults.
            sensitivity: Instead of the bundle's own.
            merge: Labels of emotions to be merged away, and into what.
            where: The bundle's name in messages.

        Raises:
            BundleError: The block is of another method, or its numbers make no sense.
        """
        values: dict[str, Any] = {}
        if temporal is not None:
            if temporal.method != METHOD:
                raise BundleError(
                    f"{where}: temporal.method is {temporal.method!r}, this version runs"
                    f" {METHOD!r}; take a bundle built for it"
                )
            if own := {"sensitivity", "merge"} & set(temporal.parameters):
                raise BundleError(
                    f"{where}: temporal.parameters holds {', '.join(sorted(own))},"
                    " which does not belong there"
                )
            values = {**temporal.parameters, "sensitivity": temporal.sensitivity}
        if sensitivity is not None:
            values["sensitivity"] = sensitivity
        labels = merge or {}
        values["merge"] = {Emotion.from_label(a): Emotion.from_label(b) for a, b in labels.items()}
        try:
            return cls.model_validate(values)
        except ValidationError as why:
            first = why.errors()[0]
            name = ".".join(["temporal.parameters", *map(str, first["loc"])])
            more = f" (and {why.error_count() - 1} more)" if why.error_count() > 1 else ""
            raise BundleError(f"{where}: {name}: {first['msg']}{more}") from None

    def to_parameters(self) -> dict[str, Any]:
        """Give the numbers for ``Temporal.parameters``; `from_temporal` reads them back."""
        return self.model_dump(mode="json", exclude={"sensitivity", "merge"})

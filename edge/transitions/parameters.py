"""The numbers the change detector runs on: fitted, stored in the bundle, checked when read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge.values import EvidenceSource
from emoshift.emotions import Emotion
from emoshift.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.bundle.manifest import Temporal

METHOD: Final = "evidence-average/1"
"""The `Temporal.method` these parameters belong to."""

N: Final = len(Emotion)
SOURCES: Final = len(EvidenceSource)

Positive = Annotated[float, Field(gt=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=5)]
Margin = Annotated[float, Field(ge=0, le=20)]
Factor = Annotated[float, Field(ge=0, le=20)]
Vector = Annotated[tuple[float, ...], Field(min_length=N, max_length=N)]
Weights = Annotated[
    tuple[Annotated[float, Field(ge=0, le=20)], ...],
    Field(min_length=SOURCES, max_length=SOURCES),
]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Baseline(_Table):
    """How this person's face at rest and in speech is learnt, and taken off.

    While a face is neutral, or not settled yet, the mean score each other emotion has over neutral
    is followed. What exceeds ``usual`` is taken off its score, never more than ``most`` nats: a
    face that looks a little sad at rest stops counting as sad. It is not followed while another
    emotion is settled or leads, unless in speech; and no expression that leads by more than
    ``most`` can be learnt away.

    Attributes:
        time_s: Time constant of the mean; the first seconds count more.
        most: Upper bound of what is taken off, nats; 0 takes nothing off.
        lift: Upper bound of what is added where a face's rest shows less of an emotion than usual,
            nats: a mild expression of a plain face is as much of a change.
        usual: Mean score over neutral of each emotion on a resting face, nats.
    """

    time_s: Positive = 6.0
    most: Annotated[float, Field(ge=0, le=5)] = 1.2
    lift: Annotated[float, Field(ge=0, le=5)] = 0.0
    usual: Vector = (*(-2.5,) * (N - 1), 0.0)


class TransitionParameters(_Table):
    """Parameters of the averaged evidence, its hysteresis and its confidence.

    Vectors are in the order of `edge.values.Emotion`, weights in that of
    `edge.values.EvidenceSource`. The defaults work for reasonably calibrated probabilities; better
    ones are fitted and stored in the bundle.

    Attributes:
        sensitivity: 0 (few false alarms, slower) to 1 (fast, more of them).
        margin_scale: What all margins are multiplied by at sensitivity 0, 1/2 and 1; falling.
        weights: Of each source of evidence while a person is silent; shares of their sum count.
        talking_weights: The same while a person talks: less for pictures, which show the mouth.
        tau: Power of the prior that is divided out of the probabilities.
        ferplus_prior, fer2013_prior: Share of each emotion in the data each head learnt.
        bias: Added to each emotion's score, nats: what is left of a prior after that.
        sharpness: Factor of the scores before they become a posterior again.
        outlier: Probability that a frame shows nothing of the emotion (blur, a hand); bounds what
            one frame can say.
        average_s: Time constant of the average.
        talking_average: The time constant grows by this share while a person talks.
        settled_lead: Nats by which the settled emotion leads another at most, however plain it is.
        enter_margin: Nats by which an emotion has to lead the settled one.
        leave_margin: The same for neutral.
        first_margin, first_neutral_margin: Nats by which a face's first emotion leads the next one.
        talking_margin: Margins grow by this share while a person talks.
        patience_s: Over this long a lead that lasts asks for less and less of the margin; 0 never.
        patient_margin: Share of the margin that is enough after that.
        degraded_weight: What a prediction of a reduced ensemble counts, against 1.
        hold_s: An emotion must have led by the margin this long.
        settle_s: The same for the first emotion of a face.
        dwell_s: Shortest time between two decisions on one face.
        gap_s: After a longer silence evidence is gathered anew.
        onset_lead_s: How long a change has been under way when the average begins to favour it.
        confidence: Intercept and slope that turn the log-odds of the averaged posterior at the
            decision into calibrated log-odds that the decision is right.
        baseline: Learning of each person's resting face.
        merge: Emotions that count as another one.
    """

    sensitivity: Share = 0.5
    margin_scale: tuple[Margin, Margin, Margin] = (2.0, 1.0, 0.5)
    weights: Weights = (0.5, 0.5, 0.2)
    talking_weights: Weights = (0.4, 0.4, 0.3)
    tau: Share = 0.5
    ferplus_prior: Vector = (1 / N,) * N
    fer2013_prior: Vector = (1 / N,) * N
    bias: Vector = (0.0,) * N
    sharpness: Positive = 1.0
    outlier: Annotated[float, Field(gt=0, lt=1)] = 0.02
    average_s: Positive = 0.25
    talking_average: Factor = 1.0
    settled_lead: Positive = 5.0
    enter_margin: Margin = 0.8
    leave_margin: Margin = 0.5
    first_margin: Margin = 1.0
    first_neutral_margin: Margin = 0.1
    talking_margin: Factor = 1.0
    patience_s: Seconds = 0.0
    patient_margin: Share = 0.5
    degraded_weight: Annotated[float, Field(gt=0, le=1)] = 0.7
    hold_s: Seconds = 0.1
    settle_s: Seconds = 0.4
    dwell_s: Seconds = 0.4
    gap_s: Positive = 1.0
    onset_lead_s: Annotated[float, Field(ge=0, le=2)] = 0.1
    confidence: tuple[float, float] = (0.0, 1.0)
    baseline: Baseline = Baseline()
    merge: dict[Emotion, Emotion] = Field(default_factory=dict)

    @field_validator("ferplus_prior", "fer2013_prior")
    @classmethod
    def _distribution(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"shares above 0 that sum to 1 are expected, not {shares}")
        return shares

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(low < high for low, high in pairwise(self.margin_scale)):
            raise ValueError("margin_scale must fall from sensitivity 0 to 1")
        if self.weights[EvidenceSource.FERPLUS] <= 0:
            raise ValueError("the weight of FER+'s head must be above zero: every bundle has it")
        if self.talking_weights[EvidenceSource.FERPLUS] <= 0:
            raise ValueError("talking_weights: FER+'s head must count for something")
        if self.confidence[1] < 0:
            raise ValueError("the slope of the confidence must not be negative")
        if any(target in self.merge for target in self.merge.values()):
            raise ValueError("an emotion is merged into one that is merged away itself")
        if len(self.merge) >= N - 1:
            raise ValueError("at least two emotions must be left after merging")
        return self

    @property
    def scale(self) -> float:
        """What the margins are multiplied by, at this sensitivity."""
        low, middle, high = self.margin_scale
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

"""The manifest of a model bundle: everything the device must know to run and to trust it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emoshift.emotions import Emotion

SCHEMA: Final = "emoshift.bundle/2"
MANIFEST_NAME: Final = "manifest.json"
CONTEMPT: Final = "contempt"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A plain name: a manifest never points outside its own folder."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Metric(_Frozen):
    """One measured figure with all that is needed to compare it."""

    name: str
    value: float
    n: int
    data: str
    protocol: str
    precision: str
    views: int = 1


class TensorSpec(_Frozen):
    """One input or output of a model file.

    ``scale`` and ``zero_point`` are those of int8 tensors (real = (q - zero_point) * scale), and
    ``None`` for float tensors.
    """

    role: Literal["picture", "channels", "state_h", "state_c", "logits", "fer2013"]
    name: str
    shape: tuple[int, ...]
    dtype: Literal["int8", "float32"]
    scale: float | None = None
    zero_point: int | None = None

    @model_validator(mode="after")
    def _quantised(self) -> Self:
        known = self.scale is not None and self.zero_point is not None
        if (self.dtype == "int8") != known:
            raise ValueError("scale and zero_point belong to int8 tensors, and only to them")
        return self

    @property
    def encoding(self) -> tuple[tuple[int, ...], str, float | None, int | None]:
        """Everything that decides what its bytes mean."""
        return self.shape, self.dtype, self.scale, self.zero_point


class ChannelTransform(_Frozen):
    """How raw blendshapes and head pose become the channels of a recurrent member.

    ``channel = (f(blendshape) - mean - offset) / std``, as `edge.features.blendshapes` does it;
    ``f`` is the identity or ``log(x + log_floor)``; ``offset`` is how the person's own resting
    face differs from the mean, zero until it is known.

    Attributes:
        blendshapes: MediaPipe's names; with ``pair`` a left and its right become their mean and
            left minus right.
        pose: Whether yaw, pitch and roll follow as three more channels.
    """

    blendshapes: tuple[str, ...]
    pose: bool
    log_floor: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pair: bool = False
    subtract_neutral: bool = True


class Member(_Frozen):
    """One network of the ensemble.

    Attributes:
        kind: ``cnn`` looks at a crop; ``lstm`` is one recurrent step over blendshape channels with
            its state as inputs and outputs.
        labels: Meaning of the logits, in their order; may hold ``contempt``, which is dropped.
        temperature: Logits are divided by it before the softmax (fitted on held-out data).
        fer2013_temperature: The same for the output ``fer2013``, which learnt the labels of FER2013
            and has the emotions in the order of `edge.values.Emotion`; ``None`` for a member
            without that output.
        weight: Share in the fusion of log-probabilities; the shares need not sum to one. A picture
            member of weight 0 is not run; a recurrent one is, for the change detector.
        step_s: Time between two steps a recurrent member was trained on, seconds.
    """

    name: FileName
    kind: Literal["cnn", "lstm"]
    file: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0)]
    quantisation: Literal["int8", "float32", "float16", "dynamic"]
    multiply_adds: Annotated[int, Field(ge=0)]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    preprocessing: Literal["grey48-standardised", "channels"]
    channels: ChannelTransform | None = None
    step_s: float | None = None
    temperature: Annotated[float, Field(gt=0)] = 1.0
    fer2013_temperature: Annotated[float, Field(gt=0)] | None = None
    weight: Annotated[float, Field(ge=0)] = 1.0
    mirrored: bool = False
    metrics: tuple[Metric, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        allowed = {e.label for e in Emotion} | {CONTEMPT}
        if unknown := [label for label in self.labels if label not in allowed]:
            raise ValueError(f"unknown labels {unknown}")
        if missing := [e.label for e in Emotion if e.label not in self.labels]:
            raise ValueError(f"no output for {missing}")
        if (self.kind == "lstm") != (self.channels is not None and self.step_s is not None):
            raise ValueError("channels and step_s belong to lstm members, and only to them")
        self._check_roles()
        return self

    def _check_roles(self) -> None:
        state = ("state_h", "state_c") if self.kind == "lstm" else ()
        source = "channels" if self.kind == "lstm" else "picture"
        second = () if self.fer2013_temperature is None else ("fer2013",)
        for what, specs, expected in (
            ("inputs", self.inputs, (source, *state)),
            ("outputs", self.outputs, ("logits", *second, *state)),
        ):
            if sorted(spec.role for spec in specs) != sorted(expected):
                raise ValueError(f"the {what} of {self.kind} members are {', '.join(expected)}")
        if self.output("logits").shape[-1] != len(self.labels):
            raise ValueError(
                f"{len(self.labels)} labels for {self.output('logits').shape[-1]} logits"
            )
        if second and (self.kind == "lstm" or self.output("fer2013").shape[-1] != len(Emotion)):
            raise ValueError(
                f"fer2013 is a second output of cnn members, with {len(Emotion)} logits"
            )
        for role in state:
            if self.input(role).encoding != self.output(role).encoding:
                raise ValueError(f"{role} goes in and comes out in different encodings")

    def input(self, role: str) -> TensorSpec:
        """Return the input with this role."""
        return next(spec for spec in self.inputs if spec.role == role)

    def output(self, role: str) -> TensorSpec:
        """Return the output with this role."""
        return next(spec for spec in self.outputs if spec.role == role)


class Temporal(_Frozen):
    """Parameters of the change detector; their meaning is documented in `edge.transitions`.

    Attributes:
        method: Name of the detector these parameters were fitted for.
        sensitivity: The one setting that trades delay against false alarms, 0 to 1.
        parameters: Numbers and tables of the method.
        fitted_on: Data and command they were fitted with.
        false_changes_per_min: Wrong changes a minute on people who talk and change no emotion, none
            of whom the fit had seen; ``None`` where that was not measured.
    """

    method: str
    sensitivity: Annotated[float, Field(ge=0, le=1)]
    parameters: dict[str, Any]
    fitted_on: str
    false_changes_per_min: Annotated[float, Field(ge=0, le=10_000)] | None = None


class Histogram(_Frozen):
    """How often a quantity falls into each of some bins.

    Attributes:
        name: What is counted.
        edges: Between the bins, increasing; the first and the last bin are open.
        shares: Of each bin, one more than there are edges; they sum to one.
    """

    name: Annotated[str, Field(min_length=1)]
    edges: Annotated[tuple[float, ...], Field(min_length=1, max_length=99)]
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("the edges do not increase")
        if len(self.shares) != len(self.edges) + 1 or abs(sum(self.shares) - 1) > 1e-3:
            raise ValueError("shares must be one more than edges, and sum to one")
        return self


class DriftBaseline(_Frozen):
    """What the ensemble saw and said while it was built, to compare the device's days with.

    Attributes:
        blendshapes: Of the recurrent member's channels but for the head pose, as it is shown them,
            in their order; empty where there is no such member.
        confidence: Of the ensemble's largest probability.
        described: Data and counts of both.
    """

    blendshapes: tuple[Histogram, ...]
    confidence: Histogram
    described: str


class GateResult(_Frozen):
    """One check of the verify gate: float against converted model on held-out data."""

    member: str
    check: str
    value: float
    limit: float
    n: int
    data: str
    passed: bool


class Manifest(_Frozen):
    """Contents of ``manifest.json``.

    Attributes:
        bundle_id: ``<name>-<first 12 hex digits of the sha256 over the rest of the manifest>``
            (`edge.bundle.loader.bundle_id`), which holds the hash of every file.
        metrics: Figures of the ensemble as a whole.
        temporal: ``None`` lets the device use its own defaults.
        baseline: ``None`` where it was not measured; the device then reports no drift.
        gate: The report of the verify gate.
        failing: Set when the bundle was written although the gate failed.
    """

    schema_: Literal["emoshift.bundle/2"] = Field(alias="schema", default=SCHEMA)
    bundle_id: str
    name: FileName
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    metrics: tuple[Metric, ...] = ()
    temporal: Temporal | None = None
    baseline: DriftBaseline | None = None
    training_data: tuple[str, ...]
    calibration_data: str
    licence: str
    software: str
    recipe: dict[str, Any] = Field(default_factory=dict)
    gate: tuple[GateResult, ...] = ()
    failing: bool = False

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    @model_validator(mode="after")
    def _one_name_each(self) -> Self:
        for what, names in (
            ("name", [m.name for m in self.members]),
            ("file", [m.file for m in self.members]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two members share a {what}")
        if not any(m.weight > 0 for m in self.members):
            raise ValueError("no member has a weight above zero")
        return self

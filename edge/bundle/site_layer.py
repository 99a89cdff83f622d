"""A site layer: a small, bounded correction of one bundle for one room, made by `edge calibrate`.

It holds a dozen numbers, each within limits, and so can only lean on a bundle, never replace it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from emoshift.emotions import Emotion
from emoshift.errors import BundleError

SCHEMA: Final = "emoshift.site/1"
LAYER_NAME: Final = "site.json"
MOST_BIAS: Final = 0.3
"""Nats. Two emotions can move against each other by .6, less than the .85 by which an emotion of
probability .7 leads any other: a layer never overrules a network that is sure."""
MOST_TEMPERATURE: Final = 1.25
MOST_MARGIN: Final = 1.25
_MOST_BYTES: Final = 64 * 1024

Bias = Annotated[float, Field(ge=-MOST_BIAS, le=MOST_BIAS)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Correction(_Frozen):
    """What a layer changes of a bundle's change detector; as built it changes nothing.

    Attributes:
        temperature: What scores are divided by: above 1 makes the evidence weaker.
        bias: Added to each emotion's score, nats, in the order of `Emotion`; that of neutral is
            the neutral offset.
        margins: Factor of all margins: above 1 makes changes rarer.
    """

    temperature: Annotated[float, Field(ge=1 / MOST_TEMPERATURE, le=MOST_TEMPERATURE)] = 1.0
    bias: Annotated[tuple[Bias, ...], Field(min_length=len(Emotion), max_length=len(Emotion))] = (
        0.0,
    ) * len(Emotion)
    margins: Annotated[float, Field(ge=1 / MOST_MARGIN, le=MOST_MARGIN)] = 1.0

    @property
    def changes_nothing(self) -> bool:
        """Whether the bundle stays as it was shipped."""
        return self == Correction()


class Tally(_Frozen):
    """What was found of what was shown.

    Attributes:
        shown: Expressions that were asked for.
        found: Of these, decided while they were shown.
        false: Changes to an emotion that was not shown.
        quiet_s: Seconds of rest and of talking.
        quiet_false: False changes among them.
    """

    shown: Count
    found: Count
    false: Count
    quiet_s: Annotated[float, Field(ge=0)]
    quiet_false: Count


class SiteLayer(_Frozen):
    """Contents of ``site.json``.

    Attributes:
        layer_id: ``site-<first 12 hex digits of the sha256 over the rest>``.
        bundle_id: The only bundle it may lie over.
        made: When.
        correction: What it changes.
        seconds: Length of the recording.
        before, after: The half that was held back, without and with the correction.
        marks: How many of the teachers' marks were used.
        software: Version that made it.
    """

    schema_: Literal["emoshift.site/1"] = Field(alias="schema", default=SCHEMA)
    layer_id: Annotated[str, Field(pattern=r"^site-[0-9a-f]{12}$")] = "site-000000000000"
    bundle_id: Annotated[str, Field(min_length=1, max_length=100)]
    made: AwareDatetime
    correction: Correction
    seconds: Annotated[float, Field(ge=0)]
    before: Tally
    after: Tally
    marks: Count = 0
    software: Annotated[str, Field(max_length=40)]

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    def named(self) -> SiteLayer:
        """The same layer with the id of its contents."""
        return self.model_copy(update={"layer_id": _id_of(self._data())})

    def to_json(self) -> bytes:
        """The bytes of ``site.json``; `read_layer` reads them back."""
        return (json.dumps(self._data(), indent=1, sort_keys=True) + "\n").encode()

    def _data(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


def read_layer(content: bytes, where: str) -> SiteLayer:
    """Read and check a layer.

    Args:
        content: The file.
        where: Its name in messages.

    Raises:
        BundleError: It is no layer, out of its limits, or altered.
    """
    hint = "calibrate again: edge calibrate"
    if len(content) > _MOST_BYTES:
        raise BundleError(f"{where}: {len(content)} bytes, more than any site layer has; {hint}")
    try:
        data = json.loads(content)
        layer = SiteLayer.model_validate(data)
    except ValidationError as why:
        first = why.errors()[0]
        name = ".".join(map(str, first["loc"])) or "site layer"
        raise BundleError(f"{where}: {name}: {first['msg']}; {hint}") from None
    except (ValueError, RecursionError) as why:
        raise BundleError(f"{where}: not JSON ({why}); {hint}") from why
    if (expected := _id_of(data)) != layer.layer_id:
        raise BundleError(
            f"{where}: altered: its contents have the id {expected}, but it says"
            f" {layer.layer_id}; {hint}"
        )
    return layer


def _id_of(data: dict[str, Any]) -> str:
    kept = {key: value for key, value in data.items() if key != "layer_id"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return f"site-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

"""What a device says of the bundle in use: its short model card, and what was in use before."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from emoshift.messages.body import Part
from emoshift.messages.fields import Count, Date, Measure, Name, Reason


class Figure(Part):
    """One measured figure of a bundle.

    Attributes:
        name: What was measured.
        value: The figure.
        n: Of how many.
        data: On what.
    """

    name: Name
    value: Annotated[float, Field(ge=-1e9, le=1e9)]
    n: Count
    data: Reason


class SiteCard(Part):
    """What was learnt of this room.

    Attributes:
        made: When.
        seconds: Length of the recording it was fitted to.
        shown: Expressions asked for in the half that was held back.
        found_before: Of these, found without the layer.
        found_after: Found with it.
        false_before: False changes in that half without the layer.
        false_after: With it.
        marks: Teachers' marks it was started from.
    """

    made: Date
    seconds: Measure
    shown: Count
    found_before: Count
    found_after: Count
    false_before: Count
    false_after: Count
    marks: Count


class ModelCard(Part):
    """What a bundle is made of and how well it does, in short.

    Attributes:
        training_data: What its networks were trained on.
        fitted_on: What its change detector was fitted on; empty where that is not known.
        licence: Of the weights.
        software: What built it.
        figures: Measured on pictures that were held out; none by age, origin or sex, which no data
            set records.
        site: What was learnt of this room; null without a site layer.
    """

    training_data: Annotated[list[Reason], Field(max_length=8)]
    fitted_on: Reason
    licence: Reason
    software: Reason
    figures: Annotated[list[Figure], Field(max_length=16)]
    site: SiteCard | None


class ModelUse(Part):
    """What was put to use when.

    Attributes:
        since: From when on.
        model: Bundle, and behind a plus its site layer.
    """

    since: Date
    model: Name

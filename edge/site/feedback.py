"""Teachers' marks: what "this was right" and "this was wrong" may teach, and what they may not.

A mark is of a class and a minute, with how many changes to each emotion were reported around it. It
says neither whose face was wrong nor what it really showed, and nobody marks what was missed. So
marks may make changes, or those to an emotion, rarer by a little; they never make any of them more
frequent, and a few of them, or those of one day, teach nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.bundle.site_layer import MOST_BIAS, Correction
from emoshift.emotions import EMOTIONS, Emotion
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA: Final = "emoshift.feedback/1"
ENOUGH_MARKS: Final = 20
ENOUGH_DAYS: Final = 3
_HELD: Final = 10.0
"""Weight of the belief, before any mark, that all emotions are as often right."""
_MOST_SHARE: Final = 0.5
"""Marks move a number by half of what a calibration may, at most."""
_MOST_MARGINS: Final = 1.15

Changes = Annotated[int, Field(ge=0, le=1_000_000)]


class Mark(BaseModel):
    """One mark, as the dashboard exports it.

    Attributes:
        at: The minute that was marked, RFC 3339.
        verdict: What the teacher said.
        model: Bundle and layer that ran, where known.
        faces: Mean number of faces around.
        changes: Changes to each emotion in the minutes around.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    schema_: Literal["emoshift.feedback/1"] = Field(alias="schema")
    at: Annotated[str, Field(min_length=10, max_length=40)]
    verdict: Literal["right", "wrong"]
    model: Annotated[str, Field(max_length=128)] = ""
    faces: Annotated[float, Field(ge=0)] = 0.0
    changes: dict[Literal["angry", "disgust", "fear", "happy", "sad", "surprise"], Changes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a file of marks teaches.

    Attributes:
        read: Marks in the file.
        used: Marks that say something; 0 where they are too few.
        days: Different days among them.
        leaning: Where a fit is to start; nothing where they are too few.
    """

    read: int
    used: int
    days: int
    leaning: Correction

    @property
    def described(self) -> str:
        """In words."""
        if not self.used:
            return (
                f"{self.read} marks teach nothing yet: at least {ENOUGH_MARKS} with changes around"
                f" them, on {ENOUGH_DAYS} days, are needed"
            )
        return f"{self.used} marks of {self.days} days"


def read_marks(path: Path) -> Marks:
    """Read the dashboard's export, one JSON object a line.

    Raises:
        InputError: It cannot be read, or is none; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as why:
        raise InputError(f"{path}: cannot be read: {why.strerror}") from why
    except ValueError as why:
        raise InputError(f"{path}: no marks: {why}") from why
    marks = []
    for number, line in enumerate(lines, start=1):
        try:
            data: Any = json.loads(line)
            marks.append(Mark.model_validate(data))
        except ValidationError as why:
            first = why.errors()[0]
            name = ".".join(map(str, first["loc"])) or "mark"
            raise InputError(f"{path}: line {number}: {name}: {first['msg']}") from None
        except (ValueError, RecursionError) as why:
            raise InputError(f"{path}: line {number}: not JSON: {why}") from why
    return teach(marks)


def teach(marks: Sequence[Mark]) -> Marks:
    """What marks may teach, within their limits."""
    counted = [mark for mark in marks if sum(mark.changes.values())]
    days = len({mark.at[:10] for mark in counted})
    if len(counted) < ENOUGH_MARKS or days < ENOUGH_DAYS:
        return Marks(read=len(marks), used=0, days=days, leaning=Correction())
    wrong, all_ = dict.fromkeys(EMOTIONS, 0.0), dict.fromkeys(EMOTIONS, 0.0)
    for mark in counted:
        total = sum(mark.changes.values())
        for label, count in mark.changes.items():
            all_[label] += count / total
            wrong[label] += count / total * (mark.verdict == "wrong")
    share = sum(wrong.values()) / sum(all_.values())
    mean = min(max(share, 0.05), 0.95)
    bias = [0.0] * len(Emotion)
    for emotion in Emotion:
        reported, wrongly = all_[emotion.label], wrong[emotion.label]
        held = (wrongly + _HELD * mean) / (reported + _HELD)
        worse = _log_odds(held) - _log_odds(mean)
        bias[emotion] = -round(min(max(worse / 4, 0.0), _MOST_SHARE * MOST_BIAS), 4)
    bias[Emotion.NEUTRAL] = 0.0
    margins = 1.0 + (_MOST_MARGINS - 1.0) * max(0.0, 2 * share - 1)
    leaning = Correction(bias=tuple(bias), margins=round(margins, 4))
    return Marks(read=len(marks), used=len(counted), days=days, leaning=leaning)


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))

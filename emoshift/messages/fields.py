"""The kinds of values that messages hold, and how each is read, checked and written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import PydanticCustomError, core_schema

from emoshift.topics import ID_PATTERN

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue


_DATE_PATTERN: Final = (
    r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
STAGE_PATTERN: Final = r"^[a-z][a-z_]{0,31}$"
_MAX_COUNT: Final = 2**53 - 1  # the largest number that every JSON reader keeps exact


def format_date(date: datetime) -> str:
    """Write a date as RFC 3339 in UTC with milliseconds, such as ``2026-11-21T09:30:00.250Z``."""
    return date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ms(date: datetime) -> int:
    """Return a date as whole milliseconds since 1970."""
    return round(date.timestamp() * 1000)


class _DateRule:
    """RFC 3339 with any offset and up to six decimals is read; UTC with milliseconds is written."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        aware = core_schema.datetime_schema(tz_constraint="aware", strict=False)
        text = core_schema.str_schema(pattern=_DATE_PATTERN, strict=True)
        return core_schema.no_info_after_validator_function(
            _to_utc,
            core_schema.json_or_python_schema(
                json_schema=core_schema.custom_error_schema(
                    core_schema.chain_schema([text, aware]),
                    custom_error_type="date",
                    custom_error_message="expected a date as in RFC 3339, with its offset",
                ),
                python_schema=core_schema.datetime_schema(tz_constraint="aware", strict=True),
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                format_date, when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": _DATE_PATTERN}


def _to_utc(date: datetime) -> datetime:
    try:
        return date.astimezone(UTC)
    except OverflowError:  # the last hours of the year 9999, west of Greenwich
        raise PydanticCustomError("date", "is beyond the calendar") from None


def rounded(digits: int) -> PlainSerializer:
    """Write no more decimals than mean anything; in memory the value stays as it is."""
    return PlainSerializer(lambda value: round(value, digits), return_type=float, when_used="json")


Identifier = Annotated[str, Field(pattern=ID_PATTERN, max_length=64)]
"""Lowercase letters, digits and inner hyphens: safe in a topic and in a host name."""
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Reason = Annotated[str, Field(max_length=256)]
BootId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Digits12 = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Date = Annotated[datetime, _DateRule]
Number = Annotated[int, Field(ge=1, le=_MAX_COUNT)]
Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]
Faces = Annotated[int, Field(ge=0, le=10_000)]
Share = Annotated[float, Field(ge=0, le=1), rounded(3)]
Measure = Annotated[float, Field(ge=0, le=1e9), rounded(3)]
Milliseconds = Annotated[float, Field(ge=0, le=1e9), rounded(2)]
StageName = Annotated[str, Field(pattern=STAGE_PATTERN)]
EmotionName = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
StateName = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "unknown"]
Isolation = Literal["namespace", "seccomp", "none"]
Protocol = Literal["5", "3.1.1"]
Publish = Literal["transitions", "class"]
CameraState = Literal["waiting", "streaming", "lost"]
OutboxState = Literal["ready", "full", "failing"]

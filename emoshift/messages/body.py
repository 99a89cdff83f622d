"""What all messages have in common: strict, frozen, read from JSON and written as JSON."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from emoshift.logs import printable

if TYPE_CHECKING:
    from emoshift.topics import Address


class Problem(StrEnum):
    """Why a message is refused."""

    TOPIC = "topic"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    SCHEMA = "schema"
    FORGED = "forged"
    UNKNOWN_DEVICE = "unknown-device"


class MessageError(ValueError):
    """A message that must not be believed; the text says which key is wrong and how.

    Attributes:
        problem: The kind of fault.
        address: The device whose topic it came by; ``None`` where that is not known.
    """

    def __init__(self, problem: Problem, detail: str, address: Address | None = None) -> None:
        super().__init__(detail)
        self.problem = problem
        self.address = address


class Part(BaseModel):
    """A frozen value; what it does not know is ignored.

    Python writes the attributes' names, JSON the keys of the contract.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
    )


class MessageBody(Part):
    """What all messages have in common."""

    @model_validator(mode="after")
    def _names_its_schema(self, info: ValidationInfo) -> Self:
        if info.mode == "json" and "schema_" not in self.model_fields_set:
            raise PydanticCustomError("schema", "schema: is missing")
        return self

    def to_json(self) -> str:
        """Write the message: compact, keys in the order of the contract."""
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, payload: str | bytes) -> Self:
        """Read a message of this kind.

        Raises:
            MessageError: It is none; says which key is wrong and how.
        """
        try:
            message: Self = _reader(cls).validate_json(payload, by_alias=True, by_name=False)
        except ValidationError as why:
            raise _error(why) from None
        return message


@cache
def _reader(model: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _error(why: ValidationError) -> MessageError:
    first = why.errors(include_url=False, include_context=False, include_input=False)[0]
    where = printable(".".join(str(part) for part in first["loc"]))  # keys may be a stranger's
    if first["type"] == "forged":
        problem = Problem.FORGED
    elif where == "schema" or first["type"] == "schema":
        problem = Problem.SCHEMA
    else:
        problem = Problem.MALFORMED
    return MessageError(problem, f"{where + ': ' if where else ''}{first['msg']}"[:300])

"""Settings: one TOML file into frozen values, every problem reported at once."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from emoshift.credentials import mask_credentials
from emoshift.errors import ConfigError
from emoshift.setting_problems import describe_problem, describe_syntax, table_of
from emoshift.toml import read_toml
from emoshift.topics import ID_PATTERN

Identifier = Annotated[
    str,
    Field(
        pattern=ID_PATTERN,
        description="lowercase letters, digits and hyphens within, at most 64",
        examples=["room-7"],
    ),
]
"""Lowercase letters, digits and inner hyphens: safe in a topic and in a host name."""


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: there is no such home folder; write the whole path") from None


UserPath = Annotated[Path, AfterValidator(_at_home)]
"""A path in which ``~`` is the home folder of whoever runs the program."""


def _plain_host(host: str) -> str:
    if "://" in host or "/" in host or host != host.strip():
        raise ValueError(
            f"found {mask_credentials(host)!r}; expected a name or address alone, for example"
            ' host = "mqtt.school.example"; port and tls have keys of their own'
        )
    return host


Port = Annotated[int, Field(ge=1, le=65535)]


class Table(BaseModel):
    """A table of a settings file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Settings = TypeVar("Settings", bound=Table)


class BrokerSettings(Table):
    """The MQTT broker.

    Attributes:
        host: Name or address.
        port: Unset takes 1883, or 8883 with TLS.
        username: User the broker knows, if it asks for one.
        password: Better kept in ``password_file``.
        password_file: File whose first line is the password; ``$CREDENTIALS_DIRECTORY`` is
            understood.
        tls: Whether to speak TLS; implied by any of the three files.
        ca_file: Authority that signed the broker's certificate; ``$CREDENTIALS_DIRECTORY`` is
            understood here and in the next two.
        cert_file, key_file: Certificate and key with which this side proves itself to the broker.
        keepalive_s: Time between signs of life.
    """

    host: Annotated[str, Field(min_length=1), AfterValidator(_plain_host)] = "localhost"
    port: Port | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_file: UserPath | None = None
    tls: bool = False
    ca_file: UserPath | None = None
    cert_file: UserPath | None = None
    key_file: UserPath | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30

    @property
    def uses_tls(self) -> bool:
        """Whether TLS is spoken, stated or implied."""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def broker_port(self) -> int:
        """The port stated, or the customary one."""
        return self.port or (8883 if self.uses_tls else 1883)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file exclude each other; keep the file")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self


def read_settings(path: Path) -> dict[str, Any]:
    """Read a settings file; nothing of it is checked yet.

    Raises:
        ConfigError: It cannot be read, or is no TOML.
    """
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise ConfigError(str(path), ["no such file; give --config or create it"]) from None
    except OSError as why:
        raise ConfigError(str(path), [f"cannot be read: {why.strerror or why}"]) from why
    except ValueError as why:
        raise ConfigError(str(path), [describe_syntax(why)]) from why


def parse_settings(model: type[Settings], data: dict[str, Any], *, where: str) -> Settings:
    """Check settings; ``where`` names their origin in messages.

    Raises:
        ConfigError: Anything is wrong; all problems are listed.
    """
    try:
        return model.model_validate(data)
    except ValidationError as why:
        problems = [
            _unknown_key(model, tuple(str(part) for part in error["loc"]))
            if error["type"] == "extra_forbidden"
            else describe_problem(model, dict(error))
            for error in why.errors()
        ]
        raise ConfigError(where, problems) from None


def _unknown_key(model: type[Table], path: tuple[str, ...]) -> str:
    fields = _fields(model, path[:-1])
    key = path[-1]
    close = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
    if len(path) == 1:
        hint = f"did you mean [{close[0]}]?" if close else f"the tables are {', '.join(fields)}"
        return f"unknown table [{key}]; {hint}"
    table = ".".join(path[:-1])
    hint = f"did you mean {close[0]}?" if close else f"[{table}] has {', '.join(fields)}"
    return f"unknown key {'.'.join(path)}; {hint}"


def _fields(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys of a table, or of one within it."""
    for name in path:
        field = model.model_fields.get(name)
        inner = None if field is None else table_of(field.annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)

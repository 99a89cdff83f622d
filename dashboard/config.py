"""The dashboard's settings: one TOML file, every table may be left out."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from dashboard.store.registry import AUTOMATIC
from emoshift.settings import (
    BrokerSettings,
    Port,
    Table,
    UserPath,
    parse_settings,
    read_settings,
)
from emoshift.text_files import read_secret

if TYPE_CHECKING:
    from pathlib import Path


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class HistorySettings(Table):
    """What is kept.

    Attributes:
        database: A file (SQLite) or ``postgresql://user@host/name``.
        events_days: Single transitions are deleted after this time.
        minutes_days: Aggregates by minute, likewise.
        audit_days: The audit log (who signed in, saw, exported or changed what), likewise.
    """

    database: Annotated[str, Field(min_length=1)] = "dashboard.db"
    events_days: Annotated[float, Field(gt=0, le=3660)] = 90.0
    minutes_days: Annotated[float, Field(gt=0, le=3660)] = 400.0
    audit_days: Annotated[float, Field(gt=0, le=3660)] = 180.0


class Web(Table):
    """The pages.

    Attributes:
        host, port: Where to listen; this machine alone unless told otherwise.
        cert_file, key_file: Certificate and key, for TLS without a proxy.
        trusted_proxies: Addresses of proxies whose ``X-Forwarded-*`` headers are believed.
        allow_plain_http: Whether other machines may be served without TLS or a proxy that speaks
            it: passwords and sessions can then be read on the way.
        min_faces: Nothing is shown of a class below this many faces; a device that asks for
            more is obeyed.
        viewers_see: ``windows``: ten minutes at a time, with noise, so that no single pupil's
            state can be read off. ``moments``: every change as it comes, as admins see it; whoever
            knows the seats can connect that with people.
        model_card: A text file shown on the page about the system.
        metrics_token: What a Prometheus scrape must carry; without one there is no ``/metrics``.
        metrics_token_file: A file whose first line is that token, instead.
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8440
    cert_file: UserPath | None = None
    key_file: UserPath | None = None
    trusted_proxies: tuple[str, ...] = ()
    allow_plain_http: bool = False
    min_faces: Annotated[int, Field(ge=2, le=1000)] = 5
    viewers_see: Literal["windows", "moments"] = "windows"
    model_card: UserPath | None = None
    metrics_token: SecretStr | None = None
    metrics_token_file: UserPath | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        if self.metrics_token is not None and self.metrics_token_file is not None:
            raise ValueError("metrics_token and metrics_token_file: give one of them")
        for proxy in self.trusted_proxies:
            try:
                ip_network(proxy)
            except ValueError as why:
                raise ValueError(
                    f"trusted_proxies: found {proxy!r}, expected an address or a network"
                ) from why
        safe = self.cert_file is not None or self.trusted_proxies or _is_loopback(self.host)
        if not safe and not self.allow_plain_http:
            raise ValueError(
                f"host {self.host} serves other machines without TLS: give cert_file and key_file,"
                " or trusted_proxies; allow_plain_http = true serves passwords in the clear"
            )
        return self

    def read_metrics_token(self) -> str | None:
        """Return what a scrape must carry; ``None`` where nothing is served.

        Raises:
            OSError: The file with the token cannot be read.
            ValueError: It is empty, or no text.
        """
        if self.metrics_token is not None:
            return self.metrics_token.get_secret_value()
        return None if self.metrics_token_file is None else read_secret(self.metrics_token_file)


class Devices(Table):
    """Which devices are believed.

    Attributes:
        automatic: So many are approved by themselves; the others wait until somebody approves them
            (``edge-dashboard devices``). 0 approves none.
        forget_days: A device that was silent for so long is forgotten, with all that is stored.
    """

    automatic: Annotated[int, Field(ge=0, le=100_000)] = AUTOMATIC
    forget_days: Annotated[float, Field(gt=0, le=3660)] = 400.0


class WorkerSettings(Table):
    """Who stores what is received.

    Attributes:
        name: Stable name of this worker; the broker keeps its messages under it while it is away.
        shared: Whether other workers share the messages (MQTT 5 shared subscription). Mosquitto
            forgets such subscriptions when it is restarted, until a worker is back.
        group: The workers that share.
        buffer: Messages held while the database is away (twice as many after a lost link); the
            broker keeps the rest.
        batch: Most messages of one transaction.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")] = "worker-1"
    shared: bool = False
    group: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = "emoshift-dashboard"
    buffer: Annotated[int, Field(ge=20, le=60_000)] = 8000
    batch: Annotated[int, Field(ge=1, le=10_000)] = 2000


class Config(Table):
    """All settings."""

    broker: BrokerSettings = BrokerSettings()
    history: HistorySettings = HistorySettings()
    web: Web = Web()
    devices: Devices = Devices()
    worker: WorkerSettings = WorkerSettings()


def load_config(path: Path | None, **overrides: dict[str, Any]) -> Config:
    """Read the settings file, if one is given, and lay the command line's choices over it.

    Args:
        path: The TOML file; ``None`` takes the defaults.
        **overrides: Tables whose values replace those of the file; ``None`` values do not.

    Raises:
        ConfigError: It cannot be read, or anything in it is wrong; all problems are listed.
    """
    data = {} if path is None else read_settings(path)
    for table, values in overrides.items():
        chosen = {key: value for key, value in values.items() if value is not None}
        if chosen and isinstance(data.get(table, {}), dict):
            data[table] = {**data.get(table, {}), **chosen}
    return parse_settings(Config, data, where="settings" if path is None else str(path))

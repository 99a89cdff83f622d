"""What the dashboard's tests share without fixtures: settings, patience."""

from __future__ import annotations

from dashboard.config import Config, load_config

NOW_MS = 1_795_254_000_000


def settings(port: int, database: str, **tables: dict[str, object]) -> Config:
    """Settings for a broker on loopback and a database."""
    broker = {"host": "127.0.0.1", "port": port}
    return load_config(None, broker=broker, history={"database": database}, **tables)

"""A broker and an outbox, both real, of one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.outbox.store import Outbox
from tests.support.brokers import BrokerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A broker that takes everyone."""
    with BrokerProcess(tmp_path / "broker") as process:
        yield process


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """The vision process's side of the outbox."""
    with Outbox.open(tmp_path / "outbox.db", writer=True) as store:
        yield store

"""Simulated classrooms speak the contract."""

from __future__ import annotations

import json

import jsonschema
import pytest

from dashboard.simulate.classroom import Classroom
from emoshift.messages import read_message, read_schema
from emoshift.topics import Address, Kind
from tests.support.dashboard import NOW_MS

ADDRESS = Address("school", "room-1")


SIMULATED = (Kind.TRANSITION, Kind.STATUS, Kind.INFO, Kind.CLASS, Kind.HEALTH)


@pytest.mark.parametrize("kind", SIMULATED)
def test_simulated_devices_speak_the_contract(kind):
    """What a simulated device sends is read as what it is, and fits the published schema."""
    room = Classroom(ADDRESS, seed=1)
    sent = {
        Kind.STATUS: lambda: room.status("online"),
        Kind.INFO: room.info,
        Kind.HEALTH: lambda: room.health(NOW_MS),
        Kind.CLASS: lambda: room.summary(NOW_MS),
        Kind.TRANSITION: lambda: room.change(NOW_MS),
    }[kind]()
    assert sent.topic == ADDRESS.topic(kind)
    assert read_message(sent.topic, sent.payload, received_ms=NOW_MS).address == ADDRESS
    jsonschema.validate(json.loads(sent.payload), read_schema(kind))

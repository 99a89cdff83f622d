"""Checks announcements with the schemas of Home Assistant itself, in an environment of its own.

Reads one announcement a line and writes one JSON list of problems a line. Run by test_schema.py.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile

import voluptuous as vol
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame


def problems(payload: str) -> list[str]:
    """Say what Home Assistant would refuse, or ignore, of an announcement."""
    content = json.loads(payload)
    try:
        DEVICE_DISCOVERY_SCHEMA(content)
    except vol.Invalid as why:
        return [str(why)]
    found = []
    shared = {key: content[key] for key in ("device", "origin", "availability")}
    for name, part in content["components"].items():
        if set(part) == {"platform"}:  # removes the entity
            continue
        platform = importlib.import_module(f"homeassistant.components.mqtt.{part['platform']}")
        settings = {key: value for key, value in part.items() if key != "platform"}
        try:
            read = platform.DISCOVERY_SCHEMA({**shared, **settings})
        except vol.Invalid as why:
            found.append(f"{name}: {why}")
        else:  # the schema drops what it does not know
            found += [f"{name}: {key} is ignored" for key in settings.keys() - read.keys()]
    return found


async def main() -> None:
    """Answer every line; the schemas compile templates, which needs a Home Assistant's core."""
    with tempfile.TemporaryDirectory() as folder:
        frame.async_setup(HomeAssistant(folder))
        sys.stdout.write(f"{json.dumps(__version__)}\n")
        for line in sys.stdin:
            sys.stdout.write(f"{json.dumps(problems(line))}\n")


asyncio.run(main())

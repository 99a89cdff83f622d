"""The dashboard: what a class and a fleet of devices look like, from their MQTT messages alone."""

from __future__ import annotations

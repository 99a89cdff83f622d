"""Where each message goes; the contract's version stands in the root."""

from __future__ import annotations

from typing import Final

ROOT: Final = "emoshift/v1"


def base_topic(site: str, device: str) -> str:
    """Return the topic under which one device speaks."""
    return f"{ROOT}/{site}/{device}"


def split_topic(topic: str) -> tuple[str, str, str] | None:
    """Return site, device and kind of a device's topic; ``None`` for any other."""
    parts = topic.removeprefix(f"{ROOT}/").split("/")
    if not topic.startswith(f"{ROOT}/") or len(parts) != 3 or not all(parts):
        return None
    return parts[0], parts[1], parts[2]

"""Where the installed package keeps its files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CONFIG_PATH: Final = Path("/etc/emoshift/edge.toml")
TRUSTED_KEYS: Final = Path("/etc/emoshift/trusted-keys")
"""Public keys that bundles may be signed with, beside those of the release."""
SITE_KEY: Final = Path("/etc/emoshift/site-key")
"""Folder of the device's own key, both halves."""

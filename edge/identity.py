"""Names derived from the machine: stable over restarts, different on every device."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.config import Config

MACHINE_ID_FILES: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))

_PURPOSE: Final = b"emoshift device identity"


def machine_digest(files: tuple[Path, ...] = MACHINE_ID_FILES) -> str:
    """Return 12 hexadecimal digits for this machine; the machine id itself is never sent.

    Without a machine id the address of the network card stands in for it.
    """
    for file in files:
        try:
            secret = file.read_bytes().strip()
        except OSError:
            continue
        if secret:
            break
    else:
        secret = f"{uuid.getnode():012x}".encode()
    return hmac.new(secret, _PURPOSE, hashlib.sha256).hexdigest()[:12]


def settle_name(config: Config) -> Config:
    """Replace the device name ``auto`` by one derived from the machine."""
    if config.device.name != "auto":
        return config
    device = config.device.model_copy(update={"name": f"device-{machine_digest()[:8]}"})
    return config.model_copy(update={"device": device})

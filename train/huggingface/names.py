"""How a classifier is told from other nets, without loading torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CONFIG: Final = "config.json"


def is_classifier(name: str | Path) -> bool:
    """Tell a classifier's folder, or a hub name such as ``owner/model``, from other files."""
    path = Path(name)
    if path.is_dir():
        return (path / CONFIG).exists()
    hub = len(path.parts) == 2 and path.parts[0] not in {"/", ".", ".."}
    return hub and not path.suffix and not path.exists()

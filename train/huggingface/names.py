"""How a classifier is recognised, and what it needs, without loading torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from emoshift.errors import UnavailableError

CONFIG: Final = "config.json"


def is_classifier(name: str | Path) -> bool:
    """Whether a name is a classifier's folder or a hub name such as ``owner/model``."""
    path = Path(name)
    if path.is_dir():
        return (path / CONFIG).exists()
    hub = len(path.parts) == 2 and path.parts[0] not in {"/", ".", ".."}
    return hub and not path.suffix and not path.exists()


def require_torch() -> None:
    """Raise `UnavailableError` where torch or transformers is not installed."""
    for module in ("torch", "transformers"):
        if find_spec(module) is None:
            raise UnavailableError(
                f"{module} is not installed; a Hugging Face classifier needs torch, in the build"
                " for this machine, and the extra `hf` (docs/research/training.md)"
            )

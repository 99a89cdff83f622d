"""Where a network is computed."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import keras

from emoshift.errors import InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def on_device(name: str) -> AbstractContextManager[Any]:
    """Return a scope in which networks live on ``cpu`` or ``gpu``; ``auto`` leaves the choice.

    Raises:
        InputError: A GPU is asked for, and the backend sees none.
    """
    if name == "auto":
        return nullcontext()
    if name == "gpu" and not keras.distribution.list_devices("gpu"):
        backend = keras.backend.backend()
        raise InputError(f"--device gpu: {backend} sees no GPU here; use --device auto or cpu")
    scope: AbstractContextManager[Any] = keras.device(f"{name}:0")
    return scope

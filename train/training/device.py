"""Where a network is computed, and how precisely."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import keras

from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@contextmanager
def in_precision(name: str) -> Iterator[None]:
    """Compute convolutions in ``bfloat16`` within this scope; ``float32`` leaves them.

    TensorFlow hands them to oneDNN, which needs a processor with AVX512_BF16 or AMX to gain by it.
    Weights, sums and everything else stay float32.

    Raises:
        InputError: Another back end than TensorFlow is in use.
    """
    if name == "float32":
        yield
        return
    if (backend := keras.backend.backend()) != "tensorflow":
        raise InputError(f"--precision {name}: needs the back end tensorflow, found {backend}")
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision_onednn_bfloat16": False}
        )

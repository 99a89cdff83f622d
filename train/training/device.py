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
    """Let TensorFlow compute convolutions in ``bfloat16`` within this scope.

    It hands them to oneDNN, which needs a processor with AVX512_BF16 or AMX to gain by it. Weights,
    sums and everything else stay float32. On JAX networks with two heads are built for it instead
    (`image_policy`).

    Raises:
        InputError: ``bfloat16`` is asked for, and there is nothing that gains by it.
    """
    if name != "bfloat16":
        yield
        return
    if (backend := keras.backend.backend()) == "jax":
        if not _jax_on_gpu():
            raise InputError(f"--precision {name}: JAX gains by it on a GPU alone; leave it out")
        yield
        return
    if backend != "tensorflow":
        raise InputError(f"--precision {name}: needs tensorflow or jax, found {backend}")
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision_onednn_bfloat16": False}
        )


def image_policy(precision: str) -> str:
    """Return Keras' dtype policy for image networks in training.

    ``auto`` and ``bfloat16`` are bfloat16 with float32 weights where JAX uses a GPU. XLA computes
    it slower than float32 on processors.
    """
    return "mixed_bfloat16" if precision != "float32" and _jax_on_gpu() else "float32"


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build layers under a dtype policy within this scope."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _jax_on_gpu() -> bool:
    if keras.backend.backend() != "jax":
        return False
    import jax.numpy as jnp

    # Networks lie where any array does, by --device or JAX' own choice.
    return any(device.platform == "gpu" for device in jnp.zeros(()).devices())

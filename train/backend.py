"""Keras, loaded once and quietly, on whichever back end is installed."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.native_stderr import quiet_native

if TYPE_CHECKING:
    from types import ModuleType

BACKENDS = ("tensorflow", "jax", "torch")


def choose_backend() -> None:
    """Set Keras' back end to the first that is installed, unless the environment names one.

    TensorFlow's notes about processors and drivers are kept out of the terminal; its errors are
    not.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "KERAS_BACKEND" not in os.environ:
        installed = [name for name in BACKENDS if find_spec(name) is not None]
        if installed:
            os.environ["KERAS_BACKEND"] = installed[0]


def load_keras() -> ModuleType:
    """Return Keras, loaded without the lines that TensorFlow writes as it starts.

    Raises:
        ModuleNotFoundError: Keras or its back end is not installed.
    """
    if "keras" not in sys.modules:
        choose_backend()
        # Written by native code before any log level holds.
        with quiet_native():
            importlib.import_module("keras")
    return sys.modules["keras"]

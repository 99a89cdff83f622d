"""Keras, loaded once and quietly, on whichever back end is installed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.native_stderr import quiet_native
from emoshift.errors import UnavailableError

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
        UnavailableError: Keras or its back end is not installed.
    """
    if "keras" not in sys.modules:
        choose_backend()
        try:
            # Written by native code before any log level holds.
            with quiet_native():
                import keras  # noqa: F401
        except ModuleNotFoundError as why:
            raise missing_library(why) from why
    return sys.modules["keras"]


def missing_library(why: ModuleNotFoundError) -> UnavailableError:
    """Return the one line for a library that training or conversion needs and does not find."""
    name = (why.name or str(why)).partition(".")[0]
    return UnavailableError(
        f"{name} is not installed; training and converting need the extra `train`:"
        " pip install 'emoshift[train]', or `make .venv-train/ready` in a checkout"
    )

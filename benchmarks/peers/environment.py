"""The environment with foreign packages: their requirements and ours do not go together."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.peers.registry import FACEX_PACKAGES, FER_PACKAGES
from edge.assets import cache_folder
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def environment_folder() -> Path:
    """Where it lies: beside the assets in the cache."""
    return cache_folder().parent / "peers"


def install(log: Callable[[str], None]) -> None:
    """Make it: about 5 GB, because fer asks for TensorFlow and torch.

    Raises:
        UnavailableError: A step failed; the message is pip's last line.
    """
    folder = environment_folder()
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    for what, command in (
        (f"making {folder}", [sys.executable, "-m", "venv", str(folder)]),
        ("fer with TensorFlow and torch", [*pip, *FER_PACKAGES]),
        ("facex", [*pip, "--no-deps", "facex==1.1.0"]),
        ("what facex imports", [*pip, *FACEX_PACKAGES]),
    ):
        log(what)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UnavailableError(f"{what}: {last}")

"""The dashboard's own packages."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

NEEDED = ("starlette", "sqlalchemy", "argon2", "paho", "babel")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"the dashboard is not installed: no {MISSING}")
def test_stands_alone():
    """The dashboard imports nothing of the device, the trainer or the converter."""
    code = """
import importlib, pkgutil, sys, dashboard
for found in pkgutil.walk_packages(dashboard.__path__, "dashboard."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print(sorted({name.split(".")[0] for name in sys.modules} & {"edge", "train", "convert", "numpy"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"

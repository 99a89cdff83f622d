"""The one report of the fault suite: every test adds its part to ``out/faults.json``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pytest

REPORT: Final = Path("out/faults.json")


def add_to_report(capsys: pytest.CaptureFixture[str], name: str, figures: dict[str, Any]) -> None:
    """Print the figures of one fault, and keep them where the whole suite runs."""
    with capsys.disabled():
        print(f"\n{name}")
        for key, value in figures.items():
            print(f"  {key}: {value}")
    if os.environ.get("EMOSHIFT_FAULTS") == "1":
        REPORT.parent.mkdir(exist_ok=True)
        known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
        known[name] = figures
        REPORT.write_text(json.dumps(known, indent=2) + "\n")

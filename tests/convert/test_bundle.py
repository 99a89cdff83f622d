"""There is always a whole bundle: the old one or the new one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from convert.bundle import manifest_bytes, staged, write_files
from edge.bundle.loader import load_bundle, read_manifest
from edge.bundle.manifest import MANIFEST_NAME
from emoshift.errors import OutputError
from tests.support.handmade_bundle import write_bundle


def left_over(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.endswith((".part", ".old"))]


def test_new(tmp_path: Path) -> None:
    """What was staged appears under its name, and nothing else stays."""
    with staged(tmp_path / "deep" / "b", overwrite=False) as folder:
        write_bundle(folder)
    assert load_bundle(tmp_path / "deep" / "b").manifest.name == "handmade"
    assert left_over(tmp_path / "deep") == []


def test_replaced(tmp_path: Path) -> None:
    """A bundle that may be overwritten is replaced as a whole."""
    out = write_bundle(tmp_path / "b")
    (out / "stale.txt").write_text("old")
    with staged(out, overwrite=True) as folder:
        write_bundle(folder, licence="new")
    assert load_bundle(out).manifest.licence == "new"
    assert not (out / "stale.txt").exists()
    assert left_over(tmp_path) == []


def test_link_is_followed(tmp_path: Path) -> None:
    """Where the folder is a link, what it points to is replaced and the link stays."""
    write_bundle(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with staged(tmp_path / "link", overwrite=True) as folder:
        write_bundle(folder, licence="new")
    assert (tmp_path / "link").is_symlink()
    assert load_bundle(tmp_path / "real").manifest.licence == "new"


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C in the middle leaves the old bundle as it was."""
    out = write_bundle(tmp_path / "b")

    def work() -> None:
        with staged(out, overwrite=True) as folder:
            (folder / MANIFEST_NAME).write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert load_bundle(out).manifest.name == "handmade"
    assert left_over(tmp_path) == []


def test_killed(tmp_path: Path) -> None:
    """A process that is killed in the middle leaves the old bundle, too."""
    out = write_bundle(tmp_path / "b")
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from convert.bundle import staged
        with staged(Path(sys.argv[1]), overwrite=True) as folder:
            (folder / "manifest.json").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program, str(out)], check=False)
    assert done.returncode == -9
    assert load_bundle(out).manifest.name == "handmade"


def test_existing_bundle_is_kept(tmp_path: Path) -> None:
    """Without leave to overwrite an existing bundle is not touched."""
    out = write_bundle(tmp_path / "b")
    with (
        pytest.raises(OutputError, match="exists already; give --overwrite"),
        staged(out, overwrite=False),
    ):
        pass


def test_foreign_folder_is_kept(tmp_path: Path) -> None:
    """A folder that holds something else is not replaced, even with leave to overwrite."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="no bundle"), staged(tmp_path, overwrite=True):
        pass
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(Path("/proc/bundle"), id="read-only file system"),
        pytest.param(Path(__file__) / "bundle", id="below a file"),
    ],
)
def test_unwritable_place(place: Path) -> None:
    """A place that cannot be written is reported before any work, with exit code 73."""
    with (
        pytest.raises(OutputError, match="cannot be written") as refused,
        staged(place, overwrite=False),
    ):
        pytest.fail("the work began")
    assert refused.value.exit_code == 73


def test_full_disk(tmp_path: Path) -> None:
    """When the disk is full in the middle there is one line, and the old bundle stays."""
    out = write_bundle(tmp_path / "b")
    program = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        from convert.bundle import staged, write_files
        from emoshift.errors import OutputError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with staged(Path(sys.argv[1]), overwrite=True) as folder:
                write_files(folder, {"manifest.json": b"{}", "cnn_a.tflite": bytes(5000)})
        except OutputError as why:
            print(why)
            sys.exit(why.exit_code)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(out)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 73, done.stderr
    assert "cnn_a.tflite: cannot be written" in done.stdout
    assert done.stdout.count("\n") == 1
    assert load_bundle(out).manifest.name == "handmade"
    assert left_over(tmp_path) == []


def test_same_manifest_same_bytes(tmp_path: Path) -> None:
    """A manifest always becomes the same bytes, with the id of its contents."""
    manifest = read_manifest(write_bundle(tmp_path / "b"))
    named, text = manifest_bytes(manifest)
    again, same = manifest_bytes(manifest.model_copy(update={"bundle_id": "another"}))
    assert text == same
    assert named == again
    write_files(tmp_path / "b", {MANIFEST_NAME: text})
    assert load_bundle(tmp_path / "b").manifest == named

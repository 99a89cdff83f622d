"""Every command, with a library missing or a file unusable, ends in one line without a trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emoshift.command_line import missing_library, unusable_file
from tests.support.command_trial import PROGRAMS

ROOT = Path(__file__).parents[1]
EXTRAS = (
    *("amqtt", "mediapipe", "psutil", "ruptures"),
    *("argon2", "babel", "jinja2", "multipart", "python_multipart", "prometheus_client"),
    *("psycopg", "sqlalchemy", "starlette", "uvicorn"),
    *("keras", "keras_tuner", "matplotlib", "pyarrow", "scipy", "sklearn", "tensorflow"),
    *("torch", "transformers", "huggingface_hub"),
)
"""What a device does not have."""
READ_ALL = "dac_override,dac_read_search"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with one of each kind of file that cannot be used."""
    folder = tmp_path / "files"
    (folder / "folder").mkdir(parents=True)
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 20)
    (folder / "unreadable").write_text("x = 1")
    (folder / "unreadable").chmod(0)
    return folder


def without_roots_rights() -> list[str]:
    """The command before a command that takes root's right to read everything."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv: sudo apt install util-linux")
    return ["setpriv", f"--bounding-set=-{READ_ALL.replace(',', ',-')}", "--"]


@pytest.mark.slow
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_nothing_ends_in_a_trace(program: str, files: Path) -> None:
    """Every command of every program, on a device's libraries and with files it cannot use."""
    done = subprocess.run(
        [
            *without_roots_rights(),
            *(sys.executable, "-m", "tests.support.command_trial", program, str(files)),
            *("--without", *EXTRAS),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "EMOSHIFT_CACHE": "/dev/null/nowhere",
            "EMOSHIFT_DATA": str(files / "folder"),
            "EMOSHIFT_ASSETS": "",
            "COLUMNS": "200",
        },
    )
    assert done.returncode == 0, done.stderr
    trials: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) > 10
    assert [trial for trial in trials if trial["exception"] or "Traceback" in trial["output"]] == []
    silent = [trial for trial in trials if trial["code"] not in (0, 2, 130)]
    assert [trial for trial in silent if "Error: " not in trial["output"]] == []
    assert any("unreadable" in trial["output"] for trial in trials)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["doctor"], id="doctor"),
        pytest.param(["run"], id="run"),
        pytest.param(["subscribe"], id="subscribe"),
        pytest.param(["replay", "clip.mp4"], id="replay"),
        pytest.param(["models", "list"], id="models"),
    ],
)
def test_a_configuration_that_this_user_may_not_see(arguments: list[str]) -> None:
    """On a packaged device /etc/emoshift is closed to ordinary users; they are told what to do."""
    script = 'mount -t tmpfs none /etc && install -d -m 000 /etc/emoshift && exec "$@"'
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", script, "sh", *without_roots_rights()),
            *(sys.executable, "-m", "edge", *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "permission denied" in done.stderr and "mount" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    assert "/etc/emoshift/edge.toml" in done.stderr
    assert "sudo" in done.stderr


@pytest.mark.parametrize(
    ("module", "says"),
    [
        pytest.param("sqlalchemy.orm", "emoshift[dashboard]", id="dashboard"),
        pytest.param("keras", "emoshift[train]", id="training"),
        pytest.param("amqtt", "emoshift[demo]", id="demonstration"),
        pytest.param("psutil", "requirements/dev.txt", id="benchmarks"),
        pytest.param("cv2", "install emoshift again", id="a broken installation"),
    ],
)
def test_a_missing_library_is_named_with_what_brings_it(module: str, says: str) -> None:
    """The line names the library and the command."""
    line = str(missing_library(ModuleNotFoundError(name=module)))
    assert line.startswith(f"{module.partition('.')[0]} is not installed")
    assert says in line


def test_our_own_modules_are_no_missing_library() -> None:
    """A module of ours that is not there is a fault of the program, which a trace shows best."""
    assert missing_library(ModuleNotFoundError(name="edge.nothing")) is None


def test_an_unusable_file_is_named_with_what_to_do() -> None:
    """The system's own words, the file, and the next step."""
    why = PermissionError(13, "Permission denied", "/etc/emoshift/edge.toml")
    said = str(unusable_file(why))
    assert said.startswith("/etc/emoshift/edge.toml: Permission denied; run this with sudo")

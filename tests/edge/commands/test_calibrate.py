"""``edge calibrate`` with a clip as its camera: what it says, keeps and installs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from edge.bundle.installed import Library
from edge.bundle.loader import read_manifest
from edge.bundle.manifest import MANIFEST_NAME
from edge.bundle.signature import SIGNATURE_NAME
from edge.bundle.site_key import PUBLIC_NAME, sign_layer
from edge.site.channels import networks_digest, read_channels, write_channels
from edge.transitions import METHOD
from emoshift.emotions import Emotion
from tests.support.handmade_bundle import cnn_member, lstm_member, write_bundle
from tests.support.recordings import record

ROOT = Path(__file__).parents[3]
SCRIPT = [
    {"from_s": 0.0, "to_s": 1.0, "shows": "anything"},
    {"from_s": 1.0, "to_s": 15.0, "shows": "talk"},
]


def edge(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A device with a bundle that does not follow faces at rest, signed by a maker it trusts."""
    base, keys = tmp_path / "base", tmp_path / "keys"
    temporal = {
        "method": METHOD,
        "sensitivity": 0.5,
        "parameters": {"baseline": {"most": 0.0}},
        "fitted_on": "nothing",
    }
    write_bundle(base, cnn_member(), lstm_member(), temporal=temporal)
    signature = sign_layer(tmp_path / "maker", (base / MANIFEST_NAME).read_bytes())
    keys.mkdir()
    shutil.copy(tmp_path / "maker" / PUBLIC_NAME, keys / "maker.pem")
    (base / SIGNATURE_NAME).write_bytes(signature)
    Library(tmp_path / "models", keys=keys).install(base, check=lambda _: None)
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[models]\nlibrary = "{tmp_path / "models"}"\nsite_key = "{tmp_path / "key"}"\n'
        f'trusted_keys = "{keys}"\n'
    )
    return path


@pytest.fixture
def kept(tmp_path: Path, config: Path) -> Path:
    """A recording of somebody who looks sad at times while talking."""
    own = networks_digest(read_manifest(config.parent / "base"))
    write_channels(record(rest_looks={Emotion.SAD: 0.36}, networks=own), tmp_path / "room.jsonl")
    return tmp_path / "room.jsonl"


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker")
def test_a_clip_is_recorded_without_a_picture(
    tmp_path: Path, config: Path, sample_clip: Path
) -> None:
    """The report is in plain words, and the file holds numbers of the clip's one face alone."""
    script, out = tmp_path / "script.json", tmp_path / "room.jsonl"
    script.write_text(json.dumps(SCRIPT))
    done = edge(
        *("calibrate", "--config", config, "--input", sample_clip, "--script", script),
        *("-o", out, "--dry-run", "--yes"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no picture, no name" in done.stdout
    assert "false changes at rest and while talking" in done.stdout
    channels = read_channels(out)
    assert {row.face for row in channels.rows} == {1}
    assert len(channels.rows) > 30
    assert out.stat().st_size < 1000 * len(channels.rows), "numbers, no pictures"
    assert not (tmp_path / "key").exists(), "a dry run installs nothing"


def test_install_and_take_back(tmp_path: Path, config: Path, kept: Path) -> None:
    """What holds is installed and signed; one command takes it back."""
    done = edge("calibrate", "--config", config, "--channels", kept, "--yes")
    assert done.returncode == 0, done.stderr
    assert "edge models rollback takes it back" in done.stdout
    keys, key = tmp_path / "keys", tmp_path / "key"
    read = partial(Library, tmp_path / "models", keys=keys, site_key=key)
    layer = read().load().layer
    assert layer is not None
    assert layer.after.false <= layer.before.false
    assert layer.after.found >= layer.before.found
    listed = edge("models", "list", "--config", config)
    assert f"current   {read().load().name}  good" in listed.stdout
    back = edge("models", "rollback", "--config", config)
    assert back.returncode == 0
    assert read().load().layer is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("--input", "x.mp4", "--yes"), 2, "belong together", id="no script"),
        pytest.param((), 2, "nobody to ask here", id="no terminal"),
        pytest.param(("--channels", "none.jsonl", "--yes"), 66, "cannot be read", id="no file"),
        pytest.param(
            ("--input", "none.mp4", "--script", "SCRIPT", "--yes"), 66, "no such file", id="no clip"
        ),
        pytest.param(("--feedback", "none", "--yes"), 66, "cannot be read", id="no marks"),
    ],
)
def test_what_cannot_be(
    tmp_path: Path, config: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """One line and the right exit code."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    given = [str(tmp_path / "script.json") if word == "SCRIPT" else word for word in words]
    done = edge("calibrate", "--config", config, *given)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_recording_of_other_networks_is_refused(tmp_path: Path, config: Path) -> None:
    write_channels(record(), tmp_path / "other.jsonl")
    done = edge("calibrate", "--config", config, "--channels", tmp_path / "other.jsonl", "--yes")
    assert done.returncode == 66
    assert "record again" in done.stderr


def test_a_camera_that_is_missing(config: Path) -> None:
    """It is one line that says what to do, with the code that means the camera."""
    with config.open("a") as file:
        file.write('[camera]\nsource = "/dev/video97"\n')
    done = edge("calibrate", "--config", config, "--dry-run", "--yes")
    assert done.returncode == 74
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: /dev/video97: no such device; plug the camera in")

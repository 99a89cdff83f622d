"""Every file of the shared odd inputs, by what is expected of it.

The kinds behind them have tests of their own, with files made there, that run everywhere.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from edge.capture.devices import open_capture
from edge.capture.protocol import CaptureState
from edge.cli import main
from edge.config import Camera, load_config
from tests.support.videos import network_camera

if TYPE_CHECKING:
    from click.testing import Result

ODD = Path(__file__).resolve().parents[1] / "../shared/data/odd_inputs"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not ODD.exists(), reason="needs the shared data set in ../shared/data"),
]

OF_DATA = Path(__file__).parent / "train/data/test_odd_forms.py"


def odd(name: str) -> Path:
    """One of the files."""
    return ODD / name


def test_every_file_has_its_case() -> None:
    """A file that is added to the folder without a case here fails this."""
    here, data = (path.read_text(encoding="utf-8") for path in (Path(__file__), OF_DATA))
    lacking = [
        str(path.relative_to(ODD))
        for path in ODD.glob("*/*")
        if path.name not in (data if path.parent.name == "fer2013" else here)
    ]
    assert lacking == []


def edge(*arguments: str | Path) -> Result:
    """Run the command as a user would."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def counted(result: Result) -> tuple[int, int]:
    """Frames, and frames with a face, by the last line of a replay."""
    found = re.search(r"(\d+) frames, (\d+) with a face", result.output)
    assert found, result.output
    return int(found[1]), int(found[2])


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker")
@pytest.mark.parametrize(
    ("name", "frames", "least_faces"),
    [
        ("base.mp4", 100, 97),
        ("interlaced.mp4", 100, 95),
        ("inter_422.mp4", 100, 95),
        ("inter_true.mp4", 50, 46),
        ("vfr.mp4", 91, 86),
        ("offset5.mkv", 100, 97),
        ("audio_longer.mkv", 100, 97),
        ("mjpeg_corrupt.avi", 97, 93),
    ],
)
def test_videos(name: str, frames: int, least_faces: int) -> None:
    """Every frame that can be read is, and the face in it is found.

    Some detectors are sure of a face only with its third frame.
    """
    result = edge("replay", odd(f"video/{name}"))
    assert result.exit_code == 0, result.output
    assert counted(result)[0] == frames
    assert counted(result)[1] >= least_faces
    assert ("3 damaged frames were left out" in result.output) == (name == "mjpeg_corrupt.avi")


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker")
def test_variable_frame_rate() -> None:
    """Events stand where the container's time stamps put them."""
    result = edge("replay", odd("video/vfr.mp4"), "--json")
    assert result.exit_code == 0
    onsets_s = [float(at) for at in re.findall(r'"onset_s": ?([0-9.]+)', result.output)]
    assert onsets_s, result.output
    assert max(onsets_s) > 5.0, "by an even frame rate nothing is later than 4 s"


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker")
def test_a_clip_that_has_to_be_turned() -> None:
    """`camera.rotate` and `camera.fps` hold for a replay."""
    result = edge("replay", odd("video/sideways.mp4"), "--config", odd("config/rotate90.toml"))
    assert result.exit_code == 0
    frames, faces = counted(result)
    assert frames == 40
    assert faces >= 36


@pytest.mark.slow
@pytest.mark.parametrize("name", ["st_0.7_33.mp4", "st_1.5_dn265.mp4"])
def test_a_quiet_room(name: str) -> None:
    """A network camera in front of a still scene stays connected."""
    with network_camera(odd(f"video/{name}")) as camera:
        capture = open_capture(Camera(source=camera.address))
        try:
            assert capture.next_frame(30.0) is not None
            until_s, frames = time.monotonic() + 15.0, 0
            while time.monotonic() < until_s:
                frames += capture.next_frame(0.5) is not None
                assert capture.status().state is CaptureState.RUNNING, capture.status().reason
        finally:
            capture.close()
        assert frames > 150
        assert camera.opened == 1


def test_configuration_with_a_byte_order_mark() -> None:
    """Read as if it were not there."""
    assert load_config(odd("config/bom.toml")).device.legal_basis == "x"


def test_password_of_a_camera() -> None:
    """Nothing that the doctor says shows it."""
    result = edge("doctor", "--config", odd("config/rtsp_password.toml"))
    assert "***@127.0.0.1:8554/ch0" in result.output
    assert "S3cr3tPass" not in result.output
    assert "admin" not in result.output

"""No picture leaves the vision process: looked for in every byte written to disk or wire.

The whole daemon runs on the sample clip against a real broker, through a wire that keeps all
it carries. Every frame is marked with a block of noise; pieces of it are then looked for, as they
are, in grey, and in hexadecimal and base64, in every file the daemon has written and in all the
wire has carried. The vision process runs under strace where that is installed, which counts the
sockets it opened.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge.assets import LANDMARKER, find_asset
from edge.bundle.loader import default_bundle_path
from tests.support.brokers import BadWire, BrokerProcess

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.broker, pytest.mark.clip]

PIECE_BYTES = 24
CONFIG = """
[device]
site = "school"
name = "room-12"
legal_basis = "a test on a supplied clip"
[camera]
source = "{clip}"
[outbox]
path = "{folder}/outbox.db"
[health]
interval_s = 1
[mqtt]
host = "127.0.0.1"
port = {port}
"""


def mark(source: Path, target: Path, frames: int = 40) -> np.ndarray:
    """Copy a clip, losslessly, with a block of noise in each frame; returns the block, BGR."""
    block = np.random.default_rng(20261121).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    reader = cv2.VideoCapture(str(source))
    writer = None
    for _ in range(frames):
        good, picture = reader.read()
        assert good
        picture[:24, :48] = block
        if writer is None:
            size = picture.shape[1], picture.shape[0]
            writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"FFV1"), 20.0, size)
        writer.write(picture)
    assert writer is not None
    writer.release()
    reader.release()
    good, seen = cv2.VideoCapture(str(target)).read()
    assert good
    return np.ascontiguousarray(seen[:24, :48])


def pieces(block: np.ndarray) -> list[bytes]:
    """Pieces of the mark in every form it might be carried in."""
    planes = [block, block[..., ::-1], cv2.cvtColor(block, cv2.COLOR_BGR2GRAY), block[..., 0]]
    raw = [
        bytes(np.ascontiguousarray(p)[row].tobytes()[:PIECE_BYTES])
        for p in planes
        for row in (0, 9)
    ]
    text = [
        form
        for piece in raw
        for form in (piece.hex().encode(), base64.b64encode(piece), str(list(piece))[1:-1].encode())
    ]
    return raw + text


@pytest.mark.timeout(300)
def test_a_marked_frame_is_found_nowhere(
    tmp_path: Path, sample_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over a full run no piece of a marked frame, and no picture file, is written or sent."""
    if not default_bundle_path().exists() or find_asset(LANDMARKER) is None:
        pytest.skip("needs face_landmarker.task: edge assets fetch --all")
    written, clip = tmp_path / "written", tmp_path / "marked.avi"
    written.mkdir()
    block = mark(sample_clip, clip)
    with BrokerProcess(tmp_path / "broker") as broker, BadWire(broker.port) as wire:
        wire.keep = bytearray()
        config = tmp_path / "edge.toml"
        config.write_text(CONFIG.format(clip=clip, folder=written, port=wire.port))
        environment = {**os.environ, "TMPDIR": str(written), "HOME": str(written)}
        trace = tmp_path / "trace"
        strace = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", str(trace)]
        command = [sys.executable, "-m", "edge.daemon.process"]
        with (
            (written / "publish.log").open("wb") as publish_log,
            (written / "vision.log").open("wb") as vision_log,
            subprocess.Popen(
                [*command, "publish", "--config", str(config)], env=environment, stderr=publish_log
            ) as publisher,
        ):
            try:
                done = subprocess.run(
                    [
                        *(strace if shutil.which("strace") else []),
                        *(*command, "vision", "--config", str(config)),
                    ],
                    env=environment,
                    stderr=vision_log,
                    check=False,
                    timeout=240,
                )
            finally:
                publisher.terminate()
                publisher.wait(30)
        carried = bytes(wire.keep)
    said = (written / "vision.log").read_text()
    assert done.returncode == 0, said
    assert b'"emoshift.health/1"' in carried
    haystacks = {"the wire": carried} | {
        str(path): path.read_bytes() for path in written.rglob("*") if path.is_file()
    }
    assert str(written / "outbox.db") in haystacks
    for name, hay in haystacks.items():
        assert not [piece for piece in pieces(block) if piece in hay], name
        assert not re.search(rb"\xff\xd8\xff[\xe0\xe1\xdb]|\x89PNG\r\n|RIFF....(WEBP|AVI )", hay), (
            name
        )
    opened = _sockets(trace.read_text()) if trace.exists() else None
    with capsys.disabled():
        print(
            f"\n  searched: {sum(map(len, haystacks.values()))} bytes in {len(haystacks)} places;"
            f" sockets of the vision process that are not AF_UNIX: {opened}"
        )
    assert not opened


def _sockets(trace: str) -> list[str]:
    """The calls that gave, or used, a socket which is not AF_UNIX."""
    return [
        line
        for line in trace.splitlines()
        if "socket(" in line and "AF_UNIX" not in line and "= -1" not in line
    ]


def test_the_search_finds_what_is_there(tmp_path: Path, sample_clip: Path) -> None:
    """The same search finds the mark in the clip's own decoded frame, in every form."""
    block = mark(sample_clip, tmp_path / "marked.avi", frames=2)
    for form in (
        block.tobytes(),
        base64.b64encode(block[0].tobytes()),
        block.tobytes().hex().encode(),
    ):
        assert any(piece in form for piece in pieces(block))

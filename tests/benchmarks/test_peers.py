"""Running against others."""

from __future__ import annotations

import io
import zipfile

import pytest

from benchmarks.peers.compare import PeerComparison, compare_programs
from benchmarks.peers.registry import OURS, PROGRAMS
from tests.support.handmade_bundle import write_bundle


def data_set(path, rows):
    text = io.StringIO()
    text.write("emotion,pixels,Usage\n")
    for emotion, grey, usage in rows:
        text.write(f"{emotion},{' '.join([str(grey)] * 2304)},{usage}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fer2013.csv", text.getvalue())
    return path


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_programs_run_in_turns(tmp_path):
    """We run in turns with MediaPipe; what is not installed is absent; all see every face."""
    pytest.importorskip("mediapipe", reason="needs MediaPipe: requirements/mediapipe.txt")
    rows = [(3, 10, "PrivateTest")] * 3 + [(4, 20, "Training")]
    data_set(tmp_path / "fer2013" / "fer2013.csv.zip", rows)
    report = compare_programs(
        PeerComparison(
            rounds=3,
            frames=5,
            only=("mediapipe", "fer-haar"),
            bundle=str(write_bundle(tmp_path / "bundle")),
            environment=tmp_path / "nowhere",
            pictures=tmp_path,
            most_pictures=2,
            command="test",
        )
    )
    ours, theirs, absent = report.peers
    assert (ours.name, theirs.name) == (OURS, "mediapipe")
    assert ours.ratio is not None
    assert ours.ratio.estimate == 1
    assert theirs.latency is not None
    assert theirs.latency.n == 15
    assert theirs.found == 1
    assert ours.accuracy is not None
    assert ours.accuracy.n == 2
    assert "edge-bench peers --install" in absent.absent


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker")
def test_a_clip_in_place_of_made_up_pictures(tmp_path, sample_clip):
    """Everybody sees the clip's pictures, and the report says whose."""
    report = compare_programs(
        PeerComparison(
            rounds=2,
            frames=4,
            only=("emoshift-due",),
            bundle=str(write_bundle(tmp_path / "bundle")),
            environment=tmp_path / "nowhere",
            pictures=None,
            most_pictures=1,
            clip=sample_clip,
            command="test",
        )
    )
    assert sample_clip.name in report.pictures
    assert "640x480" in report.pictures
    ours, due = report.peers
    assert ours.found == 1
    assert 0 < due.found < 1  # classified when due


def test_every_contestant_says_what_it_does():
    """No name twice, no name without a sentence."""
    names = [program.name for program in PROGRAMS]
    assert len(set(names)) == len(names)
    assert all(program.what for program in PROGRAMS)

"""Running against others."""

from __future__ import annotations

import io
import zipfile

import pytest

from benchmarks.peers.compare import Race, race
from benchmarks.peers.pictures import read_pictures
from benchmarks.peers.registry import CONTESTANTS, OURS
from emoshift.errors import InputError
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


def test_only_the_test_split_is_read(tmp_path):
    """Training pictures never take part."""
    path = data_set(
        tmp_path / "f.zip", [(3, 10, "Training"), (4, 20, "PrivateTest"), (6, 30, "PrivateTest")]
    )
    pictures = read_pictures(path)
    assert pictures.labels == ("sad", "neutral")
    assert pictures.images.shape == (2, 48, 48)


def test_another_file_is_refused(tmp_path):
    """One line that names the file."""
    path = tmp_path / "f.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="not FER2013"):
        read_pictures(path)


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_the_race(tmp_path):
    """We run in turns with MediaPipe; who is not installed is told absent; all see every face."""
    pytest.importorskip("mediapipe")
    data_set(tmp_path / "fer2013" / "fer2013.csv.zip", [(3, 10, "PrivateTest")] * 3)
    report = race(
        Race(
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


def test_every_contestant_says_what_it_does():
    """No name twice, no name without a sentence."""
    names = [contestant.name for contestant in CONTESTANTS]
    assert len(set(names)) == len(names)
    assert all(contestant.what for contestant in CONTESTANTS)

"""The gate passes what says the same as its original and stops what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.datasets import ChannelSequences, SplitImages
from convert.drift_baseline import count, measure_baseline
from convert.predictions import fit, fuse, predict_all, stills_of
from convert.recipe import Gate
from convert.verify import failures, long_sequences, measure, measure_ensemble, verify_members
from edge.health.drift import bin_numbers, stability_index
from tests.support.conversion import halves, members
from train.data.ferplus import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from convert.member import ConvertedMember
    from convert.predictions import SplitPredictions

N = 120


@pytest.fixture
def images() -> SplitImages:
    labels = np.tile([LABELS.index("happy"), LABELS.index("sad")], N // 2).astype(np.int8)
    labels[:10] = -1
    labels[10:20] = LABELS.index("contempt")
    return SplitImages(
        split="PublicTest",
        rows=np.arange(N) + 500,
        crops=halves(N),
        labels=labels,
        fer2013=np.zeros(N, np.int8),
    )


@pytest.fixture
def sequences() -> dict[str, ChannelSequences]:
    rng = np.random.default_rng(2)
    some = rng.uniform(-0.2, 0.2, (60, 50, 1)).astype(np.float32)
    rows = np.arange(40) + 530
    return {
        "lstm_a": ChannelSequences(
            calibration=some,
            held_out=some,
            stills=some[:40, 0],
            still_rows=rows,
            report=some[:40, 0],
            report_rows=rows,
            origin="by hand",
        )
    }


def asked(
    folder: Path, images: SplitImages, sequences: dict[str, ChannelSequences], *, worse: bool
) -> tuple[list[ConvertedMember], SplitPredictions]:
    made = members(folder, worse=worse)
    predictions = predict_all(made, images, stills_of(sequences, report=False))
    return fit(made, predictions), predictions


def test_faithful(
    tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]
) -> None:
    """A network that equals its original passes every check."""
    made, predictions = asked(tmp_path, images, sequences, worse=False)
    report = verify_members(made, predictions, sequences, Gate(delegated=0))
    assert failures(report) == []
    assert {r.member for r in report} == {"cnn_a", "lstm_a", "ensemble"}
    assert all(r.n > 0 for r in report)


def test_unfaithful(
    tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]
) -> None:
    """A network that predicts otherwise fails, and the report names what and by how much."""
    made, predictions = asked(tmp_path, images, sequences, worse=True)
    failed = failures(verify_members(made, predictions, sequences, Gate()))
    assert any("cnn_a: arg-max agreement, at least 0.97, found 0" in line for line in failed)
    assert any("lstm_a: arg-max agreement over time" in line for line in failed)
    assert any(line.startswith("ensemble:") for line in failed)


def test_too_large(
    tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]
) -> None:
    """A bundle beyond its size is stopped."""
    made, predictions = asked(tmp_path, images, sequences, worse=False)
    failed = failures(
        verify_members(made, predictions, sequences, Gate(most_bytes=1000, delegated=0))
    )
    assert failed == ["ensemble: bytes, at most 1000, found 20512"]


def test_fit(tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]) -> None:
    """What is fitted favours the member that knows, and both precisions get the same numbers."""
    made, _ = asked(tmp_path, images, sequences, worse=False)
    weights = {d.member.name: d.member.weight for d in made}
    assert weights["cnn_a"] > weights["lstm_a"]
    for built in made:
        assert built.member.temperature == built.reference_member.temperature
        assert built.member.weight == built.reference_member.weight


def test_fusion_leaves_out_the_unseen(
    tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]
) -> None:
    """Where landmarks are missing the image member's own calibrated prediction stands."""
    made, predictions = asked(tmp_path, images, sequences, worse=False)
    fused = fuse(made, predictions.converted, N)
    logs = predictions.converted["cnn_a"].log_probs / made[0].member.temperature
    alone = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fused[:30], alone[:30], atol=1e-5)
    assert not np.allclose(fused[30:70], alone[30:70], atol=1e-5)


def test_figures(
    tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]
) -> None:
    """Every figure says on how many rows, of what, in which precision it was measured."""
    made, predictions = asked(tmp_path, images, sequences, worse=False)
    by_name = {(m.name, m.precision): m for m in measure(made[0], predictions) if m.views == 1}
    eight = by_name["FER+8 accuracy", "int8"]
    assert eight.n == N - 10
    assert eight.value == pytest.approx((N - 20) / (N - 10), abs=1e-5)
    assert by_name["accuracy", "float32"].n == N - 20
    assert by_name["accuracy", "float32"].value == 1.0
    data = {m.data for m in measure_ensemble(made, predictions)}
    assert data == {"FER2013 PublicTest", "FER2013 PublicTest with landmarks"}


def test_long_sequences() -> None:
    """Short sequences are joined to long ones, and none is mixed with itself."""
    channels = np.arange(25 * 48, dtype=np.float32).reshape(25, 48, 1)
    long = long_sequences(channels)
    assert long.shape == (2, 500, 1)
    np.testing.assert_array_equal(long[0, :, 0], np.arange(500))
    assert long_sequences(channels[:3]).shape == (3, 48, 1)


def test_baseline(
    tmp_path: Path, images: SplitImages, sequences: dict[str, ChannelSequences]
) -> None:
    """What was seen while building is counted, so that the same again is no drift."""
    made, predictions = asked(tmp_path, images, sequences, worse=False)
    baseline = measure_baseline(made, predictions, sequences)
    [channel] = baseline.blendshapes
    steps = sequences["lstm_a"].calibration.reshape(-1, 1)
    assert len(channel.edges) == 9
    assert max(channel.shares) < 0.12
    shares = np.histogram(steps, [-np.inf, *channel.edges, np.inf])[0] / len(steps)
    assert stability_index(shares, np.array(channel.shares)) == pytest.approx(0.0, abs=1e-3)
    confidence = fuse(made, predictions.converted, N).max(axis=1)
    seen = np.bincount(
        bin_numbers(confidence, np.float32(baseline.confidence.edges)),
        minlength=len(baseline.confidence.shares),
    )
    assert stability_index(seen / N, np.array(baseline.confidence.shares)) < 1e-3
    assert "3000 steps of 60 sequences" in baseline.described


def test_values_that_are_mostly_the_same() -> None:
    """A quantity that hardly moves gets fewer bins, and they still hold everything."""
    histogram = count("x", np.array([0.0] * 95 + [1.0] * 5, np.float32))
    assert histogram.edges == (0.0,)
    assert sum(histogram.shares) == pytest.approx(1.0)

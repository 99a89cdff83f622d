"""The frame path as a whole: real clip, real face back end, a bundle made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.capture.clip import Clip
from edge.config import Config, parse_config
from edge.pipeline import open_pipeline, replay
from emoshift.errors import BundleError
from tests.support.handmade_bundle import cnn_member, lstm_member, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from edge.pipeline import Step

pytestmark = [pytest.mark.clip, pytest.mark.usefixtures("landmarker")]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    bundle = write_bundle(tmp_path / "bundle", cnn_member(), lstm_member())
    return parse_config({"models": {"bundle": str(bundle), "allow_unsigned": True}}, where="test")


def events(steps: list[Step]) -> list[str]:
    return [str(change) for step in steps for change in step.transitions]


def test_a_clip_replays_the_same(sample_clip: Path, config: Config) -> None:
    """Two runs agree in every face, every probability and every decision."""
    first, second = (list(replay(Clip(sample_clip), config)) for _ in range(2))
    assert len(first) == 120
    assert sum(bool(step.faces) for step in first) == 120
    assert events(first) == events(second)
    for a, b in zip(first, second, strict=True):
        assert [f.label for f in a.faces] == [f.label for f in b.faces]
        for p, q in zip(a.predictions, b.predictions, strict=True):
            assert p.captured_s == a.frame.captured_s
            assert p.probs.tolist() == q.probs.tolist()


def test_every_stage_is_timed(sample_clip: Path, config: Config) -> None:
    """Each stage's share of a frame is known, and every level of the governor still runs."""
    with open_pipeline(config, random_seed=1) as pipeline:
        for frame in Clip(sample_clip).frames():
            pipeline.shed(frame.seq // 20)
            assert len(pipeline.step(frame).faces) == 1
            if frame.seq == 100:
                break
        summary = pipeline.times.summary()
        stages = [name for name in summary if not name.startswith("faces_")]
        assert stages == ["faces", "features", "models", "transitions"]
        assert "faces_landmarks" in summary
        assert all(0 < stage.p50_ms <= stage.p95_ms <= stage.p99_ms for stage in summary.values())
        assert len(pipeline.states()) == 1


def test_a_face_is_classified_eleven_times_a_second(sample_clip: Path, config: Config) -> None:
    """However often pictures come; and in every frame where everything is to be measured."""
    with open_pipeline(config, random_seed=1) as pipeline:
        steps = [pipeline.step(frame) for frame in Clip(sample_clip).frames()]
    seconds = steps[-1].frame.captured_s
    assert sum(len(step.predictions) for step in steps) == pytest.approx(11 * seconds, abs=4)
    with open_pipeline(config, random_seed=1) as pipeline:
        pipeline.measure_everything()
        steps = [pipeline.step(frame) for frame in Clip(sample_clip).frames()]
    assert all(len(step.predictions) == len(step.faces) == 1 for step in steps)
    assert all(step.faces[0].landmarks is not None for step in steps)


def test_a_budget_that_is_always_broken(sample_clip: Path, config: Config) -> None:
    """However late a live frame is, the face in it is measured and classified in its turn."""
    config = config.model_copy(
        update={"health": config.health.model_copy(update={"budget_ms": 1e-3})}
    )
    with open_pipeline(config, random_seed=1, live=True) as pipeline:
        steps = [pipeline.step(frame) for frame in Clip(sample_clip).frames()]
    seconds = steps[-1].frame.captured_s
    assert sum(len(step.predictions) for step in steps) == pytest.approx(11 * seconds, abs=4)
    assert steps[-1].faces[0].landmarks is not None


def test_an_altered_bundle_is_refused(sample_clip: Path, config: Config) -> None:
    """One changed byte in a model, and nothing is run."""
    from pathlib import Path

    model = next(Path(config.models.bundle).glob("*.tflite"))
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="altered"):
        next(replay(Clip(sample_clip), config))

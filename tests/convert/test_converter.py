"""Real conversions: every bad network is one clear error, a good one becomes the same bundle twice.

They need TensorFlow, so they run where the training lock is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from convert.cli import main
from convert.converter import ConversionJob, convert_network
from convert.datasets import ChannelSequences, write_sequences
from convert.inspect import look_inside
from edge.bundle.loader import default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.bundle.signature import SIGNATURE_NAME
from edge.litert import TFLiteModel
from emoshift.errors import InputError
from tests.support.conversion import write_fer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None,
        reason="needs the training environment: make test-train",
    ),
]

RECIPE = """
name = "small"
licence = "none"
training_data = ["noise with a band"]
sources = "."
[calibration]
pictures = 120
[gate]
agreement = 0.9
accuracy_lost = 0.05
usual_error = 0.5
probability_error = 1.0
ece_change = 0.2
recurrent_agreement = 0.9
[[members]]
name = "cnn_a"
kind = "cnn"
source = "cnn_a.keras"
head = "ferplus"
second_head = "fer2013"
mirrored = true
[[members]]
name = "lstm_a"
kind = "lstm"
source = "lstm_a.keras"
channels = "lstm_a.json"
samples = "lstm_a.npz"
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write networks, data, recipe and sequences once."""
    folder = tmp_path_factory.mktemp("sources")
    write_fer(folder / "fer2013")
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, str(root / "tests/support/networks.py"), str(folder)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
    )
    (folder / "small.toml").write_text(RECIPE)
    names = ["browDownLeft", "jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeWideLeft"]
    channels = {"blendshapes": names, "pose": False, "log_floor": None}
    channels |= {"mean": [0.1] * 5, "std": [0.2] * 5}
    (folder / "lstm_a.json").write_text(json.dumps({"channels": channels, "step_s": 0.1}))
    rng = np.random.default_rng(8)
    some = np.clip(rng.normal(0, 1, (30, 40, 5)).cumsum(axis=1) / 3, -4, 4).astype(np.float32)
    write_sequences(
        folder / "lstm_a.npz",
        ChannelSequences(
            calibration=some,
            held_out=some[:, ::-1],
            stills=some[:, 0],
            still_rows=np.arange(30) + 160,
            report=some[:, 1],
            report_rows=np.arange(30) + 240,
            origin="noise",
        ),
    )
    return folder


def convert(sources: Path, out: Path, *args: str) -> Result:
    return CliRunner().invoke(
        main,
        [
            *("--recipe", str(sources / "small.toml"), "--out", str(out)),
            *("--calibration", str(sources / "fer2013"), "--cache", str(sources / "cache")),
            *args,
        ],
    )


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        pytest.param("nan", "cnn", "ferplus/kernel holds NaN or infinity", id="nan"),
        pytest.param("dynamic", "cnn", r"pictures of \?x\?x1, expected 48x48x1", id="dynamic"),
        pytest.param("seven", "cnn", "7 outputs, but .* 8 labels", id="labels"),
        pytest.param("unsupported", "cnn", "unsupported.keras: ", id="unsupported operator"),
        pytest.param("crashing", "cnn", "crashing.keras: ", id="converter dies"),
        pytest.param("two_layers", "lstm", "expected one LSTM, then one Dense", id="two layers"),
        pytest.param("absent", "cnn", "no such file", id="missing"),
        pytest.param("notes", "cnn", "not a network Keras", id="no network"),
    ],
)
def test_bad_networks(sources: Path, name: str, kind: str, words: str) -> None:
    """A network that cannot be converted is one line that names the file and the reason."""
    (sources / "notes.keras").write_text("buy milk")
    head = "ferplus" if name in {"nan", "dynamic", "seven"} else None
    job = ConversionJob(
        source=str(sources / f"{name}.keras"), kind=kind, head=head, classes=8, precision="int8"
    )
    rng = np.random.default_rng(1)
    samples = rng.integers(0, 256, (20, 48, 48)).astype(np.uint8)
    if kind == "lstm":
        samples = rng.normal(size=(4, 10, 5)).astype(np.float32)
    with pytest.raises(InputError, match=words) as refused:
        convert_network(job, samples)
    message = str(refused.value)
    assert message.startswith(job.source)
    assert "\n" not in message
    assert len(message) < 600


def test_pooling_over_the_edge(sources: Path) -> None:
    """Where windows reach over the edge, XNNPACK takes the network and its answers stay."""
    job = ConversionJob(
        source=str(sources / "odd_sides.keras"),
        kind="cnn",
        head="ferplus",
        classes=8,
        precision="int8",
    )
    samples = np.random.default_rng(1).integers(0, 256, (64, 48, 48)).astype(np.uint8)
    converted = convert_network(job, samples)
    assert look_inside(converted.model).delegated == 1.0
    model, reference = TFLiteModel(converted.model), TFLiteModel(converted.reference)
    pixels = samples[:1, ..., None]
    [said] = model.run({0: (pixels.astype(np.int16) - 128).astype(np.int8)})
    [expected] = reference.run({0: (pixels.astype(np.float32) - 128) / 64})
    info = model.outputs[0]
    assert info.scale is not None
    real = (said.astype(np.float32) - (info.zero_point or 0)) * info.scale
    assert np.abs(real - expected).max() < 0.1 * np.ptp(expected)


def test_whole_way(sources: Path, tmp_path: Path) -> None:
    """A bundle is built, passes its gate and the device's checks, and is the same when rebuilt."""
    first = convert(sources, tmp_path / "a", "--quantize", "int8")
    assert first.exit_code == 0, first.output + first.stderr
    loaded = load_bundle(tmp_path / "a")
    assert {m.quantisation for m in loaded.manifest.members} == {"int8"}
    assert {t.dtype for m in loaded.manifest.members for t in (*m.inputs, *m.outputs)} == {"int8"}
    second = convert(sources, tmp_path / "b")
    assert second.exit_code == 0, second.output + second.stderr
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
def test_other_precisions(sources: Path, tmp_path: Path, precision: str) -> None:
    """The other precisions give bundles that the device loads, too."""
    result = convert(sources, tmp_path / "b", "--quantize", precision)
    assert result.exit_code == 0, result.output + result.stderr
    members = load_bundle(tmp_path / "b").manifest.members
    assert [m.quantisation for m in members] == [
        precision,
        precision if precision == "float32" else "float32",
    ]


def test_failing_gate(sources: Path, tmp_path: Path) -> None:
    """A gate that fails writes nothing; with leave to, a bundle that is marked and warns."""
    strict = sources / "strict.toml"
    strict.write_text(RECIPE.replace("usual_error = 0.5", "usual_error = 0.0"))
    args = ["--recipe", str(strict)]
    refused = convert(sources, tmp_path / "b", *args)
    assert refused.exit_code == 66
    assert "the verify gate fails" in refused.stderr
    assert not (tmp_path / "b").exists()
    allowed = convert(sources, tmp_path / "b", *args, "--allow-failing")
    assert allowed.exit_code == 0
    assert "marked" in allowed.stderr
    assert load_bundle(tmp_path / "b").warnings


@pytest.mark.data
def test_default_bundle_is_rebuilt(tmp_path: Path) -> None:
    """The committed bundle comes out of its float sources again, byte for byte."""
    data = Path(os.environ.get("EMOSHIFT_DATA") or "../shared/data") / "fer2013"
    if not (data / "fer2013new.csv").exists():
        pytest.skip(f"{data} is not there; set EMOSHIFT_DATA")
    if not (default_bundle_path() / MANIFEST_NAME).exists():
        pytest.skip("models/default is not built")
    made_with = load_bundle(default_bundle_path()).manifest.software
    if f"tensorflow {version('tensorflow')}, keras {version('keras')}" not in made_with:
        pytest.skip(f"the bundle was built with {made_with}")
    result = CliRunner().invoke(
        main, ["--out", str(tmp_path / "b"), "--quantize", "int8", "--calibration", str(data)]
    )
    assert result.exit_code == 0, result.output + result.stderr
    for path in sorted(default_bundle_path().iterdir()):
        if path.name != SIGNATURE_NAME:  # which only the owner of the key can make
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name

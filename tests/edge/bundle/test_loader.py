"""A bundle is loaded whole and unaltered, or refused in one line that says which file."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bundle.loader import bundle_id, default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from emoshift.errors import BundleError
from tests.support.handmade_bundle import (
    adding_model,
    cnn_member,
    lstm_member,
    spec,
    two_headed_member,
    write_bundle,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def edit(folder: Path, change: Callable[[dict[str, Any]], object], *, sign: bool = True) -> None:
    """Change the manifest's data, and its id so that only the change is wrong."""
    data = json.loads((folder / MANIFEST_NAME).read_text())
    change(data)
    if sign:
        write_manifest(folder, data)
    else:
        (folder / MANIFEST_NAME).write_text(json.dumps(data))


def test_loads(bundle: Path) -> None:
    """A whole bundle loads, with the bytes that were checked and nothing to warn of."""
    loaded = load_bundle(bundle)
    assert [m.name for m in loaded.manifest.members] == ["cnn_a", "lstm_a"]
    assert loaded.contents["lstm_a"] == adding_model()
    assert loaded.warnings == ()


def test_failing_bundle_warns(tmp_path: Path) -> None:
    """A bundle that was written although its gate failed loads with a warning that says so."""
    gate = {"member": "cnn_a", "check": "agreement", "value": 0.9, "limit": 0.99}
    gate |= {"n": 100, "data": "hand", "passed": False}
    loaded = load_bundle(write_bundle(tmp_path / "b", failing=True, gate=[gate]))
    (warning,) = loaded.warnings
    assert "cnn_a agreement" in warning
    assert "--allow-failing" in warning


def truncate(folder: Path) -> None:
    path = folder / "cnn_a.tflite"
    path.write_bytes(path.read_bytes()[:-100])


def flip_bit(folder: Path) -> None:
    path = folder / "cnn_a.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_noise(folder: Path) -> None:
    content = b"not a model" * 100
    (folder / "cnn_a.tflite").write_bytes(content)

    def sign(data: dict[str, Any]) -> None:
        member = data["members"][0]
        member["sha256"] = hashlib.sha256(content).hexdigest()
        member["size_bytes"] = len(content)

    edit(folder, sign)


def link_outside(folder: Path) -> None:
    outside = folder.parent / "elsewhere.tflite"
    (folder / "cnn_a.tflite").rename(outside)
    (folder / "cnn_a.tflite").symlink_to(outside)


def first(data: dict[str, Any]) -> Any:
    return data["members"][0]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda f: (f / MANIFEST_NAME).unlink(), "manifest.json: missing", id="none"),
        pytest.param(
            lambda f: (f / MANIFEST_NAME).write_bytes(b'{"schema": "emo'), "not JSON", id="cut"
        ),
        pytest.param(
            lambda f: (f / MANIFEST_NAME).write_bytes(b"\xff\xfe"), "not JSON", id="no text"
        ),
        pytest.param(
            lambda f: (f / MANIFEST_NAME).write_bytes(b"[]"), "no JSON object", id="a list"
        ),
        pytest.param(
            lambda f: edit(f, lambda d: d.update(schema="emoshift.bundle/3")),
            "update emoshift",
            id="newer schema",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: d.update(schema="frigate/1")),
            "schema is 'frigate/1', expected emoshift.bundle/2",
            id="other schema",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: d.pop("schema")), "schema is None", id="no schema"
        ),
        pytest.param(
            lambda f: edit(f, lambda d: first(d).pop("labels")),
            "members.0.labels: Field required",
            id="no labels",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: first(d).update(labels=first(d)["labels"][:7])),
            "7 labels for 8 logits",
            id="labels too few",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: first(d).update(file="../cnn_a.tflite")),
            "members.0.file",
            id="path escapes",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: first(d).update(temperature=2.0), sign=False),
            "manifest.json: altered",
            id="manifest edited",
        ),
        pytest.param(
            lambda f: (f / "lstm_a.tflite").unlink(), "lstm_a.tflite: missing", id="file missing"
        ),
        pytest.param(
            truncate, "cnn_a.tflite: 19092 bytes, the manifest says 19192", id="truncated"
        ),
        pytest.param(flip_bit, "cnn_a.tflite: sha256", id="one bit"),
        pytest.param(replace_by_noise, "cnn_a.tflite: model: not a model", id="no model"),
        pytest.param(link_outside, "outside the bundle", id="link outside"),
        pytest.param(
            lambda f: edit(f, lambda d: first(d)["inputs"][0].update(scale=0.02)),
            "input picture is int8 1x48x48x1, scale 0.015625, zero point 0; the manifest says"
            " int8 1x48x48x1, scale 0.02",
            id="other scale",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: first(d)["outputs"][0].update(name="probabilities")),
            "outputs are logits; the manifest says probabilities",
            id="other name",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: d["members"][1]["channels"].update(pose=True)),
            "makes 4 channels with 1 means and 1 deviations, the model reads 1",
            id="channels and means",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: d["members"][1]["channels"].update(blendshapes=["grin"])),
            "'grin', which is no blendshape",
            id="unknown blendshape",
        ),
        pytest.param(
            lambda f: edit(f, lambda d: d["members"][1]["channels"].update(std=[0.0])),
            "not above zero",
            id="flat channel",
        ),
    ],
)
def test_refused(bundle: Path, damage: Callable[[Path], object], words: str) -> None:
    """Whatever is wrong is reported in one line that names the file, with exit code 66."""
    damage(bundle)
    with pytest.raises(BundleError) as refused:
        load_bundle(bundle)
    message = str(refused.value)
    assert words in message
    assert str(bundle) in message
    assert "\n" not in message
    assert refused.value.exit_code == 66


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is reported with what to do about it."""
    with pytest.raises(BundleError, match=r"no such bundle folder; set models\.bundle"):
        load_bundle(tmp_path / "absent")


def test_folder_may_be_a_link(bundle: Path) -> None:
    """The folder itself may be a link: that is how bundles are swapped."""
    link = bundle.parent / "current"
    link.symlink_to(bundle)
    assert load_bundle(link).manifest.name == "handmade"


def test_id_covers_the_manifest(bundle: Path) -> None:
    """The id changes with any content, and not with the order of keys."""
    data = json.loads((bundle / MANIFEST_NAME).read_text())
    assert bundle_id(dict(reversed(list(data.items())))) == data["bundle_id"]
    assert bundle_id({**data, "licence": "other"}) != data["bundle_id"]


@pytest.mark.parametrize(
    ("member", "words"),
    [
        pytest.param(cnn_member(kind="lstm"), "channels and step_s", id="lstm without channels"),
        pytest.param(
            lstm_member(outputs=[spec("logits", "logits", (1, 8), 1 / 16)]),
            "outputs of lstm members are logits, state_h, state_c",
            id="state not returned",
        ),
        pytest.param(
            lstm_member(
                outputs=[
                    spec("logits", "logits", (1, 8), 1 / 16),
                    spec("state_h", "new_h", (1, 1), 1 / 16),
                    spec("state_c", "new_c", (1, 1), 1 / 8),
                ]
            ),
            "state_c goes in and comes out in different encodings",
            id="state scale",
        ),
        pytest.param(
            cnn_member(labels=["joy", *cnn_member()["labels"][1:]]), "unknown labels", id="joy"
        ),
        pytest.param(cnn_member(weight=0.0), "no member has a weight", id="no weight"),
    ],
)
def test_impossible_members(tmp_path: Path, member: dict[str, Any], words: str) -> None:
    """A manifest that contradicts itself is refused with the reason."""
    with pytest.raises(BundleError, match=words):
        load_bundle(write_bundle(tmp_path / "b", member))


@pytest.mark.parametrize(
    ("name", "words"),
    [("mouthSmileLeft", ""), ("jawOpen", "the baseline counts other channels")],
)
def test_baseline(tmp_path: Path, name: str, words: str) -> None:
    """A baseline is not needed; one that counts something else is refused."""
    histogram = {"name": name, "edges": [0.0], "shares": [0.5, 0.5]}
    baseline = {"blendshapes": [histogram], "confidence": histogram, "described": "by hand"}
    folder = write_bundle(tmp_path / "b", baseline=baseline)
    if words:
        with pytest.raises(BundleError, match=words):
            load_bundle(folder)
    else:
        assert load_bundle(folder).manifest.baseline is not None


def test_default_bundle() -> None:
    """The bundle that comes with the package passes every check."""
    if not (default_bundle_path() / MANIFEST_NAME).exists():
        pytest.skip("models/default is not built yet; run 'convert --quantize int8'")
    assert load_bundle(default_bundle_path()).warnings == ()


def test_a_second_head_is_declared_and_checked(tmp_path: Path) -> None:
    """A member may give the labels of FER2013 too; half a declaration is refused."""
    whole = load_bundle(write_bundle(tmp_path / "whole", two_headed_member()))
    assert whole.manifest.members[0].fer2013_temperature == 1.0
    half = write_bundle(tmp_path / "half", {**two_headed_member(), "fer2013_temperature": None})
    with pytest.raises(BundleError, match="outputs of cnn members are logits"):
        load_bundle(half)


def test_a_bundle_of_before_is_refused_in_one_line(bundle: Path) -> None:
    """Bundles with one head, written by an earlier version, say what to do."""
    edit(bundle, lambda data: data.update(schema="emoshift.bundle/1"))
    with pytest.raises(BundleError, match=r"expected emoshift.bundle/2; build the bundle again"):
        load_bundle(bundle)

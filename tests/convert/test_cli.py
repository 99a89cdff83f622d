"""The command reports errors in one line with their exit code, and explains itself."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from convert.cli import main
from convert.model_card import CARD_NAME, END, START, update_document, write_card
from edge.bundle.loader import default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from tests.support.handmade_bundle import cnn_member, write_bundle

PASSED = {
    "member": "cnn_a",
    "check": "arg-max agreement, at least",
    "value": 0.99,
    "limit": 0.97,
    "n": 10,
    "data": "by hand",
    "passed": True,
}


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.mark.parametrize("command", [None, *sorted(main.commands)])
def test_help(command: str | None) -> None:
    """Every command has a help with an example."""
    result = run(*([command] if command else []), "-h")
    assert result.exit_code == 0
    assert "Example:" in result.output


def test_builds_by_default(tmp_path: Path) -> None:
    """Without a command it builds: options of the build are understood at once."""
    result = run("--quantize", "int8", "--recipe", tmp_path / "none.toml")
    assert result.exit_code == 78
    assert result.stderr.startswith(f"Error: {tmp_path}/none.toml: 1 problem")


def test_without_the_networks_one_line_says_where_they_are(tmp_path: Path) -> None:
    """As where only the package is installed: its recipe is there, its networks are not."""
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "x"\nlicence = "x"\ntraining_data = ["x"]\nsources = "gone"\n'
        '[[members]]\nname = "a"\nkind = "cnn"\nsource = "a.keras"\n'
    )
    result = run("--recipe", recipe, "--out", tmp_path / "b", "--calibration", tmp_path)
    assert result.exit_code == 66
    assert "gone: no such folder; the default recipe's networks lie in a checkout" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_data_folder_one_line_says_how_to_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder is guessed."""
    monkeypatch.delenv("EMOSHIFT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    result = run("--out", tmp_path / "b")
    assert result.exit_code == 66
    assert "give --calibration FOLDER" in result.stderr


def test_missing_data(tmp_path: Path) -> None:
    """Missing calibration data are reported before anything is converted."""
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "x"\nlicence = "x"\ntraining_data = ["x"]\nsources = "."\n'
        '[[members]]\nname = "a"\nkind = "cnn"\nsource = "a.keras"\n'
    )
    result = run(
        *("--recipe", recipe, "--out", tmp_path / "b", "--calibration", tmp_path / "none"),
        *("--cache", tmp_path),
    )
    assert result.exit_code == 66
    assert "none: No such file or directory; expected fer2013.csv in it" in result.stderr
    assert not (tmp_path / "b").exists()


def test_existing_bundle(tmp_path: Path) -> None:
    """An existing bundle is kept unless told otherwise, with exit code 73."""
    result = run("--out", write_bundle(tmp_path / "b"), "--calibration", tmp_path)
    assert result.exit_code == 73
    assert "--overwrite" in result.stderr


def test_unknown_precision() -> None:
    """A precision that does not exist is a usage error that names those that do."""
    result = run("--quantize", "int4")
    assert result.exit_code == 2
    assert "'float16'" in result.stderr


def test_models_in_several_folders(tmp_path: Path) -> None:
    """Networks from several folders are refused with what to do."""
    result = run(tmp_path / "a" / "x.keras", tmp_path / "b" / "y.keras")
    assert result.exit_code == 2
    assert "several folders" in result.stderr


def test_verify(tmp_path: Path) -> None:
    """A whole bundle with a passed report is confirmed."""
    result = run("verify", write_bundle(tmp_path / "b", cnn_member(), gate=[PASSED]))
    assert result.exit_code == 0, result.stderr
    assert "ok   cnn_a: arg-max agreement, at least 0.97, found 0.99 (n = 10" in result.output
    assert "whole and unaltered, 1 checks passed" in result.output


def cut(folder: Path) -> None:
    path = folder / "cnn_a.tflite"
    path.write_bytes(path.read_bytes()[:-1])


def alter(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(path.read_text().replace("Apache", "Epache"))


def renew(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(path.read_text().replace("emoshift.bundle/2", "emoshift.bundle/3"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(cut, "truncated or altered", id="truncated"),
        pytest.param(alter, "altered", id="altered"),
        pytest.param(renew, "newer than", id="newer schema"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_damaged(tmp_path: Path, command: str, damage: object, words: str) -> None:
    """A damaged bundle is refused in one line with exit code 66."""
    folder = write_bundle(tmp_path / "b", gate=[PASSED])
    assert callable(damage)
    damage(folder)
    result = run(command, folder)
    assert result.exit_code == 66
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, "no report of a gate", id="none"),
        pytest.param(
            {"gate": [{**PASSED, "passed": False}], "failing": True}, "1 of 1 checks", id="failed"
        ),
    ],
)
def test_unproven(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    """A bundle whose gate failed, or never ran, is not confirmed."""
    result = run("verify", write_bundle(tmp_path / "b", **changes))
    assert result.exit_code == 66
    assert words in result.stderr


def test_diff(tmp_path: Path) -> None:
    """Equal bundles give 0; others show what differs and give 1."""
    a, b = (write_bundle(tmp_path / name) for name in "ab")
    c = write_bundle(tmp_path / "c", licence="other")
    assert run("diff", a, b).output == "the bundles are the same\n"
    result = run("diff", a, c)
    assert result.exit_code == 1
    assert "licence: Apache-2.0 -> other" in result.output


def test_retune(tmp_path: Path) -> None:
    """Other detector parameters change the manifest and its id, and nothing else."""
    folder = write_bundle(tmp_path / "b", gate=[PASSED])
    before = load_bundle(folder)
    block = {"method": "m/1", "sensitivity": 0.5, "parameters": {"a": 1}, "fitted_on": "here"}
    path = tmp_path / "temporal.json"
    path.write_text(json.dumps(block))
    assert run("retune", folder, path).exit_code == 0
    after = load_bundle(folder)
    assert after.contents == before.contents
    assert after.manifest.temporal is not None
    assert after.manifest.temporal.method == "m/1"
    assert after.manifest.bundle_id != before.manifest.bundle_id
    assert run("retune", folder, tmp_path / "none.json").exit_code == 66
    path.write_text("{}")
    assert run("retune", folder, path).exit_code == 78


def test_document(tmp_path: Path) -> None:
    """Only what lies between the markers is written anew."""
    folder = write_bundle(tmp_path / "b", gate=[PASSED])
    path = tmp_path / "d.md"
    path.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    assert run("document", path, folder).exit_code == 0
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| cnn_a | arg-max agreement, at least | 0.97 | 0.99 | 10 |" in text
    path.write_text("nothing")
    assert run("document", path, folder).exit_code == 66


def test_documentation_is_fresh() -> None:
    """The figures in the document and on the card are those of the bundle of the package."""
    path = Path(__file__).parents[2] / "docs" / "research" / "quantisation.md"
    bundle = default_bundle_path()
    if not path.exists() or not (bundle / MANIFEST_NAME).exists():
        pytest.skip("docs/research/quantisation.md or models/default is not there")
    text = path.read_text(encoding="utf-8")
    manifest = load_bundle(bundle).manifest
    assert update_document(text, manifest) == text, (
        "stale; run: convert document docs/research/quantisation.md"
    )
    assert (bundle / CARD_NAME).read_text(encoding="utf-8") == write_card(manifest)


def test_every_command_is_a_click_command() -> None:
    """The group's commands are found by name."""
    assert isinstance(main, click.Group)
    assert set(main.commands) == {
        *("bundle", "verify", "inspect", "diff", "document", "retune"),
        "small-face",
    }

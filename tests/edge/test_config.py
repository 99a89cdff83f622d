"""The configuration: all problems at once, each with a way out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.config import Config, Models, load_config, parse_config
from emoshift.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    """Every table may be left out."""
    path = tmp_path / "edge.toml"
    path.write_text("")
    assert load_config(path) == Config()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Unknown tables and keys come with a suggestion, wrong values with what was found."""
    path = tmp_path / "edge.toml"
    path.write_text(
        "[camra]\nsource = 0\n[mqtt]\nhots = 'broker'\nport = 99999\n[camera]\nrotate = 45\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    said = str(caught.value)
    assert caught.value.exit_code == 78
    assert said.startswith(f"{path}: 4 problems")
    assert "unknown table [camra]; did you mean [camera]?" in said
    assert "unknown key mqtt.hots; did you mean host?" in said
    assert "mqtt.port" in said
    assert "found 99999" in said
    assert "camera.rotate" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[device\n", "not TOML", id="not toml"),
        pytest.param("a = " + "[" * 100_000, "not TOML: brackets too deep", id="too deep"),
        pytest.param(f"a = {'9' * 5000}", "not TOML", id="a number nobody can read"),
        pytest.param("#" * 300_000, "not TOML: more than 256 kB", id="too large"),
        pytest.param("[device]\nname = 'Room 7'\n", "device.name", id="bad identifier"),
        pytest.param(
            "[transitions.merge]\nfear = 'panic'\n", "unknown emotion 'panic'", id="emotion"
        ),
        pytest.param(
            "[transitions.merge]\nfear = 'sad'\nsad = 'fear'\n", "merged away itself", id="circle"
        ),
        pytest.param("[mqtt]\ncert_file = 'a.pem'\n", "belong together", id="half a key pair"),
        pytest.param("[zzzz]\n", "the tables are device, camera", id="no close name"),
        pytest.param("[camera]\nfps = nan\n", "camera.fps", id="not a number"),
    ],
)
def test_a_problem_is_reported(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert said in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """A password appears neither in the value's text nor in a complaint about it."""
    config = parse_config({"mqtt": {"password": "sesame"}}, where="test")
    assert "sesame" not in repr(config)
    with pytest.raises(ConfigError) as caught:
        parse_config({"mqtt": {"password": ["sesame"]}}, where="test")
    assert "sesame" not in str(caught.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("table", "port", "tls"),
    [
        pytest.param({}, 1883, False, id="plain"),
        pytest.param({"tls": True}, 8883, True, id="tls"),
        pytest.param({"ca_file": "ca.pem"}, 8883, True, id="implied by an authority"),
        pytest.param({"port": 2000, "tls": True}, 2000, True, id="stated"),
    ],
)
def test_the_port_follows_tls(table: dict[str, object], port: int, *, tls: bool) -> None:
    mqtt = parse_config({"mqtt": table}, where="test").mqtt
    assert (mqtt.broker_port, mqtt.uses_tls) == (port, tls)


def test_threads_follow_the_board() -> None:
    """``auto`` leaves one core to everything else; a number is obeyed."""
    cores = len(os.sched_getaffinity(0))
    assert Models().thread_count() == min(max(cores - 1, 1), 4)
    assert Models(threads=3).thread_count() == 3

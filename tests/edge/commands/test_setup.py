"""`edge init` and `edge service`: what a technician answers becomes a device that can start."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edge.cli import main
from edge.commands.service import (
    SERVICES,
    TARGET,
    demand_visible,
    install_service,
    remove_service,
    unit_texts,
)
from edge.commands.setup import Answers, cameras, to_identifier, toml_of, write_config
from edge.config import load_config
from emoshift.errors import UnavailableError
from tests.support.brokers import MOSQUITTO, BrokerProcess

ANSWERS = {
    "--country": "other",
    "--legal-basis": 'project 12/2026, "consent" of all guardians',
    "--site": "Hill School",
    "--name": "Room 7",
    "--source": "/dev/video97",
    "--broker": "mqtt.school.example:1884",
}


def init(path: Path, answers: dict[str, str], *more: str, typed: str = "") -> tuple[int, str]:
    arguments = [word for pair in answers.items() for word in pair]
    done = CliRunner().invoke(main, ["init", "-o", str(path), *arguments, *more], input=typed)
    return done.exit_code, done.output


def test_everything_from_options(tmp_path: Path) -> None:
    """With --yes nothing is asked, and the file holds what the options said, for few eyes."""
    path = tmp_path / "etc/edge.toml"
    code, said = init(path, ANSWERS, "--yes", "--dashboard", "https://emoshift.school.example")
    assert code == 0, said
    config = load_config(path)
    assert (config.device.site, config.device.name) == ("hill-school", "room-7")
    assert config.device.legal_basis == ANSWERS["--legal-basis"]
    assert config.camera.source == "/dev/video97"
    assert (config.mqtt.host, config.mqtt.port) == ("mqtt.school.example", 1884)
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert "https://emoshift.school.example" in said
    assert "edge aim" in said
    assert "edge doctor" in said


def test_what_no_option_gave_is_asked(tmp_path: Path) -> None:
    """Without --yes the missing answers are asked for, the law before the legal basis."""
    path = tmp_path / "edge.toml"
    some = {k: v for k, v in ANSWERS.items() if k not in ("--name", "--legal-basis", "--country")}
    code, said = init(
        path, some, typed="eu\nmedical reason, approved by the board\nRoom 12\n\nn\nclass\n\n"
    )
    assert code == 0, said
    assert said.index("AI Act") < said.index("By what right")
    assert load_config(path).device.name == "room-12"
    assert load_config(path).privacy.publish == "class"


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.parametrize(("password", "said"), [("right", "good"), ("wrong", "FAILS")])
def test_the_broker_is_logged_in_to(tmp_path: Path, password: str, said: str) -> None:
    """A real login is tried; the password is kept for root alone; the mode is written."""
    accounts = tmp_path / "accounts"
    accounts.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", accounts, "room-7", "right"], check=True)
    given = tmp_path / "given"
    given.write_text(f"{password}\n")
    path = tmp_path / "etc/edge.toml"
    with BrokerProcess(
        tmp_path / "broker", settings=f"password_file {accounts}", anonymous=False
    ) as broker:
        answers = {
            **ANSWERS,
            "--broker": f"127.0.0.1:{broker.port}",
            "--username": "room-7",
            "--password-file": str(given),
            "--publish": "class",
        }
        code, shown = init(path, answers, "--yes")
    assert code == 0, shown
    assert f"broker {said}: 127.0.0.1:{broker.port}" in shown
    config = load_config(path)
    assert config.privacy.publish == "class"
    kept = config.mqtt.password_file
    assert kept is not None
    assert kept.read_text() == f"{password}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_camera_is_looked_at(tmp_path: Path, counting_clip: Path) -> None:
    """Size, rate and brightness of the given camera are said; one that fails likewise."""
    _, said = init(tmp_path / "edge.toml", {**ANSWERS, "--source": str(counting_clip)}, "--yes")
    assert "64x48 mjpeg, 10 frames a second, brightness" in said
    _, said = init(tmp_path / "edge.toml", ANSWERS, "--yes")
    assert "camera FAILS: /dev/video97: no such device" in said


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        pytest.param({"--legal-basis": None}, 2, "--legal-basis is missing", id="no basis"),
        pytest.param({"--broker": None}, 2, "--broker is missing", id="no broker"),
        pytest.param({"--broker": "host:99999"}, 2, "HOST", id="no such port"),
        pytest.param({"--name": "!!"}, 78, "device.name", id="no name"),
    ],
)
def test_what_does_not_fit(
    tmp_path: Path, change: dict[str, str | None], code: int, message: str
) -> None:
    """A missing or wrong answer is one message, and no file is left behind."""
    answers = {k: v for k, v in {**ANSWERS, **change}.items() if v is not None}
    found, said = init(tmp_path / "edge.toml", answers, "--yes")
    assert (found, message in said) == (code, True), said
    assert list(tmp_path.iterdir()) == []


def test_the_law_is_one_that_is_known(tmp_path: Path) -> None:
    """Whoever types EU reads of its prohibition; whoever names a country is asked again."""
    some = {key: value for key, value in ANSWERS.items() if key != "--country"}
    wishes = {**some, "--publish": "class"}
    for typed in ("EU\n", "Germany\neu\n"):
        code, said = init(tmp_path / "edge.toml", wishes, typed=f"{typed}\nn\n\n")
        assert code == 0, said
        assert "AI Act" in said
        (tmp_path / "edge.toml").unlink()


def test_what_was_set_before_is_kept(tmp_path: Path) -> None:
    """A device is set up again without losing its other settings; whoever is asked may say no."""
    path = tmp_path / "edge.toml"
    init(path, ANSWERS, "--yes")
    mine = path.read_text() + "\n[transitions]\nsensitivity = 0.3\n"
    path.write_text(mine)
    code, said = init(path, ANSWERS, typed="n\n")
    assert (code, path.read_text()) == (1, mine), said
    code, said = init(path, {**ANSWERS, "--name": "room-8"}, "--yes")
    assert code == 0, said
    assert load_config(path).device.name == "room-8"
    kept = tmp_path / "edge.toml.before"
    assert kept.read_text() == mine
    assert str(kept) in said


def test_the_file_of_the_package_is_no_answer(tmp_path: Path) -> None:
    """On a new device nobody is asked whether a file may be replaced that no one has written."""
    path = tmp_path / "edge.toml"
    shutil.copy(Path(__file__).parents[3] / "packaging/debian/edge.toml", path)
    code, said = init(path, {**ANSWERS, "--publish": "class"}, typed="\nn\n\n")
    assert code == 0, said
    assert "exists" not in said
    assert load_config(path).device.name == "room-7"
    assert [file.name for file in tmp_path.iterdir()] == ["edge.toml"]


def test_nobody_to_ask(tmp_path: Path) -> None:
    """At the end of the input the option is named that would have answered."""
    code, said = init(tmp_path / "edge.toml", {"--country": "other"}, typed="")
    assert code == 2, said
    assert "--legal-basis is missing, and there is nobody to ask" in said


@given(st.text(min_size=1))
def test_names(text: str) -> None:
    """Whatever people call a room becomes lowercase letters, digits and inner hyphens."""
    found = to_identifier(text)
    assert found == to_identifier(found)
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not found.startswith("-")
    assert not found.endswith("-")


@given(st.text(alphabet=st.characters(exclude_categories=("C",)), min_size=1, max_size=200))
def test_any_legal_basis_is_kept_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Quotes, backslashes and other scripts survive the way into the file."""
    folder = tmp_path_factory.mktemp("basis")
    answers = Answers(
        legal_basis=f"a {text} z", site="s", name="n", source="0", host="h", port=1883
    )
    assert write_config(answers, folder / "edge.toml").device.legal_basis == f"a {text} z"
    assert toml_of(answers).startswith("# Written by")


def test_cameras_are_listed_once(tmp_path: Path) -> None:
    """A camera's second node, which gives metadata, is left out."""
    for node, index, name in (("video0", 0, "HD Camera"), ("video1", 1, "HD Camera")):
        folder = tmp_path / "sys/class/video4linux" / node
        folder.mkdir(parents=True)
        (folder / "index").write_text(f"{index}\n")
        (folder / "name").write_text(f"{name}\n")
    assert list(cameras(tmp_path)) == [("/dev/video0", "HD Camera")]


def test_units_come_and_go(tmp_path: Path) -> None:
    """The units name this interpreter, and are taken away again; what others wrote stays."""
    lines: list[str] = []
    install_service(lines.append, root=tmp_path)
    folder = tmp_path / "etc/systemd/system"
    assert {path.name for path in folder.iterdir()} == {*SERVICES, TARGET}
    assert f"ExecStart={sys.executable} -m edge.daemon.process vision" in (
        (folder / "emoshift-vision.service").read_text()
    )
    (folder / TARGET).write_text("[Unit]\nDescription=somebody else's\n")
    remove_service(lines.append, root=tmp_path)
    assert [path.name for path in folder.iterdir()] == [TARGET]
    assert any("not written by" in line for line in lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_units_are_understood(tmp_path: Path) -> None:
    """Systemd has nothing to say to the units that are written."""
    for name, text in unit_texts("/bin/sh").items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert [line for line in done.stderr.splitlines() if "emoshift" in line] == []


@pytest.mark.parametrize(
    ("environment", "base"),
    [
        pytest.param("/home/pi/emoshift/bin/python", "/usr", id="environment"),
        pytest.param("/opt/emoshift/bin/python", "/root/.pyenv/versions/3.11.7", id="its Python"),
    ],
)
def test_a_python_that_services_do_not_see(environment: str, base: str) -> None:
    """A service of it would end at each start; the command that makes a good one is named."""
    with pytest.raises(UnavailableError, match="/opt/emoshift"):
        demand_visible(Path(environment), Path(base))
    demand_visible(Path("/opt/emoshift/bin/python"), Path("/usr"))

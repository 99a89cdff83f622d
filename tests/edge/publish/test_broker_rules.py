"""What a real broker demands and what it keeps: credentials, access lists, TLS, retained words."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from typing import TYPE_CHECKING

import jsonschema
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.config import Privacy
from edge.publish.publisher import run_publisher
from emoshift.emotions import Emotion
from emoshift.errors import ConfigError
from emoshift.messages import Info, Presence, Status, format_date, read_schema, summarise_class
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import StatusFilter
from tests.support.brokers import BadWire, BrokerProcess
from tests.support.events import CHANGE, changes
from tests.support.publishing import Listening, Running, make_config
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.outbox.store import Outbox

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        BrokerProcess.__init__.__kwdefaults__["kind"] != "mosquitto",
        reason="needs Mosquitto: sudo apt install mosquitto",
    ),
]
BASE = "emoshift/v1/school/room-12"


class Watcher:
    """A plain client that keeps all it sees, with what was retained."""

    def __init__(self, port: int) -> None:
        self.seen: list[tuple[str, str, bool]] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _keep(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.seen.append((message.topic, message.payload.decode(), message.retain))

    def last(self, kind: str) -> str | None:
        """The newest payload of a kind of message."""
        found = [payload for topic, payload, _ in list(self.seen) if topic == f"{BASE}/{kind}"]
        return found[-1] if found else None

    def publish(self, kind: str, payload: str, *, retain: bool) -> None:
        """Say something in the device's name."""
        self._client.publish(f"{BASE}/{kind}", payload, qos=1, retain=retain)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def watcher(broker: BrokerProcess) -> Iterator[Watcher]:
    """A client that sees everything on the broker."""
    client = Watcher(broker.port)
    yield client
    client.close()


def state_of(watcher: Watcher) -> str | None:
    """What the device's status says now."""
    raw = watcher.last("status")
    return None if raw is None else str(json.loads(raw)["state"])


def test_every_message_fits_its_schema_and_is_retained_as_agreed(
    tmp_path: Path, broker: BrokerProcess, outbox: Outbox, watcher: Watcher
) -> None:
    """On the wire: events never retained, class, info and status retained, all fit their schema."""
    summary = summarise_class(
        {Emotion.HAPPY: 6}, device="room-12", camera="front", at=CHANGE.onset, min_faces=5
    )
    info = Info(
        device="room-12",
        camera="front",
        software="0.1.0",
        model="default-1",
        isolation="namespace",
        min_faces=5,
        face_finder="direct (yunet)",
        face_finder_reason="runs on every board",
    )
    outbox.put_snapshot("info", info.to_json())
    outbox.put_snapshot("class", summary.to_json())
    outbox.append(changes(2))
    with Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: outbox.stats().depth == 0 and watcher.last("class"))
        late = Watcher(broker.port)
        wait_until(lambda: all(late.last(kind) for kind in ("class", "info", "status", "ledger")))
        late.close()
        for topic, payload, _ in watcher.seen:
            jsonschema.validate(json.loads(payload), read_schema(topic.rpartition("/")[2]))
        assert {topic for topic, _, retained in late.seen if retained} == {
            f"{BASE}/{kind}" for kind in ("status", "info", "class", "ledger")
        }
    wait_until(lambda: watcher.last("class") == "")
    wait_until(lambda: state_of(watcher) == "stopped")


def test_events_of_an_earlier_setting_stay_here(
    tmp_path: Path, broker: BrokerProcess, outbox: Outbox, watcher: Watcher
) -> None:
    """With ``privacy.publish = "class"`` no event is sent, stored before or not."""
    outbox.append(changes(5))
    config = make_config(tmp_path, broker.port)
    config = config.model_copy(update={"privacy": Privacy(publish="class")})
    with Running(config):
        wait_until(lambda: state_of(watcher) == "online")
        outbox.append(changes(5, start=5))
        outbox.put_snapshot("health", "{}")
        wait_until(lambda: watcher.last("health") == "{}")
    wait_until(lambda: state_of(watcher) == "stopped")
    assert not [topic for topic, _, _ in watcher.seen if topic.endswith("/transition")]
    assert outbox.stats().depth == 10


def test_a_lost_link_is_told_by_the_last_will(
    tmp_path: Path, broker: BrokerProcess, outbox: Outbox, watcher: Watcher
) -> None:
    """A cut connection shows as offline, then online again with a larger session number."""
    outbox.append(changes(0))
    with BadWire(broker.port) as wire, Running(make_config(tmp_path, wire.port)):
        wait_until(lambda: state_of(watcher) == "online")
        wire.cut()
        wait_until(lambda: [p for t, p, _ in watcher.seen if '"offline"' in p])
        wait_until(lambda: state_of(watcher) == "online")
    sessions = [
        json.loads(payload)["session"]
        for topic, payload, _ in watcher.seen
        if topic.endswith("status") and '"online"' in payload
    ]
    assert sessions == sorted(set(sessions))
    assert len(sessions) == 2


def test_a_late_last_will_is_overruled(
    tmp_path: Path, broker: BrokerProcess, watcher: Watcher, outbox: Outbox
) -> None:
    """A last will of an earlier session that arrives late does not stay the last word."""
    outbox.append(changes(0))
    with Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: state_of(watcher) == "online")
        online = json.loads(str(watcher.last("status")))
        late = Status(
            device="room-12",
            state=Presence.OFFLINE,
            session=online["session"] - 1,
            instance=online["instance"],
            run=online["run"],
            protocol="5",
        )
        watcher.publish("status", late.to_json(), retain=True)
        wait_until(lambda: state_of(watcher) == "offline")
        wait_until(lambda: state_of(watcher) == "online")


@pytest.mark.parametrize("retain", [True, False])
def test_a_forged_status_is_outnumbered(
    tmp_path: Path, broker: BrokerProcess, watcher: Watcher, outbox: Outbox, retain: bool
) -> None:
    """A forged `offline` with a larger session does not stay: the device outbids it."""
    outbox.append(changes(0))
    reported = StatusFilter()
    with Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: state_of(watcher) == "online")
        online = Status.from_json(str(watcher.last("status")))
        forged = online.model_copy(
            update={"state": Presence.OFFLINE, "session": online.session + 5000}
        )
        watcher.publish("status", forged.to_json(), retain=retain)
        wait_until(lambda: [p for t, p, _ in watcher.seen if str(forged.session) in p])
        wait_until(lambda: state_of(watcher) == "online")
        believed = [
            status.state
            for topic, payload, _ in watcher.seen
            if topic.endswith("/status")
            and (status := Status.from_json(payload))
            and reported.accept(topic, status.instance, status.session, status.state)
        ]
    assert believed[-1] is Presence.ONLINE


def test_a_status_that_somebody_clears_is_said_again(
    tmp_path: Path, broker: BrokerProcess, watcher: Watcher, outbox: Outbox
) -> None:
    """Whoever subscribes later finds the device there, though a stranger cleared its status."""
    outbox.append(changes(0))
    with Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: state_of(watcher) == "online")
        before = len([1 for topic, _, _ in watcher.seen if topic.endswith("/status")])
        watcher.publish("status", "", retain=True)
        wait_until(
            lambda: (
                len([1 for topic, _, _ in watcher.seen if topic.endswith("/status")]) >= before + 2
            )
        )
        assert state_of(watcher) == "online"


def test_two_devices_of_one_name_are_noticed(
    tmp_path: Path,
    broker: BrokerProcess,
    watcher: Watcher,
    outbox: Outbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another device that speaks under our name is told to the operator, once."""
    outbox.append(changes(0))
    with Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: state_of(watcher) == "online")
        other = Status(
            device="room-12",
            state=Presence.ONLINE,
            session=1,
            instance="f" * 12,
            run="f" * 12,
            protocol="5",
        )
        for _ in range(3):
            watcher.publish("status", other.to_json(), retain=False)
        wait_until(lambda: "give each device its own device.name" in caplog.text)
    assert caplog.text.count("give each device its own device.name") == 1


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 50_000, id="huge"),
        pytest.param("[" * 3000, id="deep"),
        pytest.param('{"session": "many", "instance": 3}', id="wrong types"),
        pytest.param('{"cmd": "reboot"}', id="a command"),
    ],
)
def test_there_are_no_commands(
    tmp_path: Path, broker: BrokerProcess, watcher: Watcher, outbox: Outbox, payload: str
) -> None:
    """Whatever is sent to the device, retained or not, changes nothing; events flow on."""
    outbox.append(changes(0))
    watcher.publish("status", payload, retain=True)
    with Running(make_config(tmp_path, broker.port)) as publisher, Listening(broker.port) as ear:
        wait_until(lambda: publisher.state == "online")
        for kind in ("status", "command", "set", "transition/set"):
            watcher.publish(kind, payload, retain=False)
        outbox.append(changes(3))
        wait_until(lambda: len(ear.tracks) == 3)
    assert publisher.failure is None


def test_the_class_is_cleared_when_nobody_watches(
    tmp_path: Path, broker: BrokerProcess, watcher: Watcher, outbox: Outbox
) -> None:
    """A class summary of an earlier run of the kernel is not sent, and an old one is removed."""
    import sqlite3

    watcher.publish("class", '{"left": "by an earlier run"}', retain=True)
    outbox.put_snapshot("class", '{"of": "yesterday"}')
    raw = sqlite3.connect(tmp_path / "outbox.db")
    raw.execute("UPDATE snapshot SET kernel = 'another'")
    raw.commit()
    raw.close()
    with Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: watcher.last("class") == "")


def test_refused_credentials_are_said_once(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password is one warning that names the setting; events wait."""
    caplog.set_level(logging.INFO)
    users = tmp_path / "users"
    users.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", users, "school", "right"], check=True)
    password = tmp_path / "password"
    password.write_text("wrong\n")
    outbox.append(changes(3))
    settings = f"password_file {users}"
    with BrokerProcess(tmp_path / "b", settings=settings, anonymous=False) as broker:
        config = make_config(tmp_path, broker.port, username="school", password_file=str(password))
        with Running(config):
            wait_until(lambda: "check username and password_file" in caplog.text)
        assert caplog.text.count("next attempt") == 1
        assert "wrong" not in caplog.text
        assert outbox.stats().depth == 3
        password.write_text("right\n")
        with Running(config):
            wait_until(lambda: outbox.stats().depth == 0)


def test_an_access_list_that_refuses_events(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Events the broker refuses to take stay in the outbox, and it is said why."""
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite emoshift/v1/+/+/status\n")
    outbox.append(changes(3))
    with BrokerProcess(tmp_path / "b", settings=f"acl_file {rules}") as broker:
        with Running(make_config(tmp_path, broker.port)):
            wait_until(lambda: "check its access list" in caplog.text)
        assert outbox.stats().depth == 3


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates of a broker and a device signed by it."""
    folder = tmp_path_factory.mktemp("certificates")

    def run(*command: str) -> None:
        subprocess.run(["openssl", *command], check=True, cwd=folder, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes", "-keyout")
    for name in ("ca", "other"):
        run("req", "-x509", *key, f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
    for name in ("broker", "device"):
        run("req", *key, f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        sign = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        run("x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.crt")
    return folder


def tls_settings(certificates: Path, *, mutual: bool) -> str:
    """Mosquitto's settings for TLS."""
    return (
        f"cafile {certificates}/ca.crt\ncertfile {certificates}/broker.crt\n"
        f"keyfile {certificates}/broker.key\nrequire_certificate {str(mutual).lower()}\n"
    )


@pytest.mark.parametrize("mutual", [False, True])
def test_tls(tmp_path: Path, outbox: Outbox, certificates: Path, mutual: bool) -> None:
    """Events travel over TLS, with a certificate of the device's own where the broker asks."""
    files = {"ca_file": str(certificates / "ca.crt")}
    if mutual:
        files["cert_file"] = str(certificates / "device.crt")
        files["key_file"] = str(certificates / "device.key")
    outbox.append(changes(3))
    with (
        BrokerProcess(tmp_path / "b", settings=tls_settings(certificates, mutual=mutual)) as broker,
        Running(make_config(tmp_path, broker.port, **files)),
    ):
        wait_until(lambda: outbox.stats().depth == 0)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(("other", False), id="unknown authority"),
        pytest.param(("ca", True), id="no certificate of its own"),
    ],
)
@pytest.mark.filterwarnings(
    # paho leaves the socket of a failed handshake to the garbage collector
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_tls_refused(
    tmp_path: Path,
    outbox: Outbox,
    certificates: Path,
    caplog: pytest.LogCaptureFixture,
    case: tuple[str, bool],
) -> None:
    """A broker we do not trust, or that does not trust us, gets nothing; it is said why."""
    authority, mutual = case
    outbox.append(changes(3))
    with (
        BrokerProcess(tmp_path / "b", settings=tls_settings(certificates, mutual=mutual)) as broker,
        Running(make_config(tmp_path, broker.port, ca_file=str(certificates / f"{authority}.crt"))),
    ):
        wait_until(lambda: "next attempt" in caplog.text)
    assert outbox.stats().depth == 3


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param({"ca_file": "/nowhere/ca.crt"}, "ca_file", id="authority"),
        pytest.param({"cert_file": "/nowhere/c", "key_file": "/nowhere/k"}, "cert_file", id="own"),
        pytest.param({"password_file": "/nowhere/password"}, "cannot be read", id="password"),
    ],
)
def test_missing_files_are_configuration_errors(
    tmp_path: Path, settings: dict[str, str], complaint: str
) -> None:
    """A file that is not there is reported at once, with the setting that names it."""
    with pytest.raises(ConfigError, match=complaint) as caught:
        run_publisher(make_config(tmp_path, 1, **settings), threading.Event())
    assert caught.value.exit_code == 78


def test_the_password_comes_from_the_credentials_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password file may lie in systemd's folder of credentials."""
    (tmp_path / "mqtt-password").write_text("a secret\nsecond line\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = make_config(
        tmp_path,
        1,
        username="u",
        password_file="$CREDENTIALS_DIRECTORY/mqtt-password",
    )
    assert Broker.from_settings(config.mqtt, client_id="c").read_password() == "a secret"


def test_dates_of_the_wire() -> None:
    """Dates are written in UTC to the millisecond."""
    assert format_date(CHANGE.onset) == "2026-11-21T09:30:00.000Z"

"""What is fuzzed: each target takes bytes made from a seed and must refuse them as it says."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from edge.bundle.loader import bundle_id, default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.classifier.ensemble import Ensemble
from edge.config import Config, demand_legal_basis, load_config, parse_config
from edge.daemon.process import _peek_source
from edge.daemon.supervisor import config_json
from edge.outbox.store import Outbox
from edge.publish.publisher import Publisher
from edge.transitions import TransitionDetector, TransitionParameters
from edge.values import Features
from emoshift.errors import EmoshiftError
from emoshift.messages import Presence, Status
from emoshift.mqtt.connection import Connected, ConnectionEvent, Lost, OutgoingMessage, Received
from emoshift.mqtt.paho import Broker, PahoConnection
from emoshift.subscriber import Interpreter
from tests.fuzz.media import PictureFolder, Table, Video
from tests.fuzz.mutate import mutate_bytes, mutate_json
from tests.support.events import CHANGE

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator


class Target(Protocol):
    """One reader under test, living in a process of its own."""

    def make(self, chance: random.Random) -> bytes:
        """Make an input."""
        ...

    def run(self, data: bytes) -> None:
        """Read it; anything it raises is a finding."""
        ...


class Configuration:
    """The configuration file: read, shown, and handed to the processes."""

    _EXAMPLE = Path(__file__).resolve().parents[2] / "packaging/debian/edge.toml"
    _TOKENS = (
        b"[", b"{a=", b"[[", b"]", b'"""', b"'''", b"\n[mqtt]\n", b"\n[camera]\nsource = ", b"1_0",
        b"9" * 5000, b"inf", b"nan", b"0x", b"1979-05-27T07:32:00Z", b"\\u0000", b"\\uD800", b".",
        b"a.b.c = 1\n", b"\xef\xbb\xbf", b"\r", b"true", b"#",
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._path = folder / "edge.toml"
        plain = self._EXAMPLE.read_text()
        live = "\n".join(line.removeprefix("# ").removeprefix("#") for line in plain.splitlines())
        whole = "".join(
            f"[{table}]\n"
            + "".join(
                f"{key} = {json.dumps(value)}\n"
                for key, value in values.items()
                if value is not None
            )
            for table, values in Config().model_dump(mode="json").items()
        )
        self._seeds = [text.encode() for text in (plain, live, whole, "")]

    def make(self, chance: random.Random) -> bytes:
        return mutate_bytes(chance.choice(self._seeds), chance, self._TOKENS)

    def run(self, data: bytes) -> None:
        self._path.write_bytes(data)
        _peek_source(self._path, None)
        try:
            config = load_config(self._path)
            demand_legal_basis(config, where="fuzz")
        except EmoshiftError:
            return
        for secrets in (False, True):
            parse_config(json.loads(config_json(config, secrets=secrets)), where="fuzz")


class Manifest:
    """A bundle whose manifest was changed, its id made good again or not; run if it loads."""

    def __init__(self, folder: Path) -> None:
        source = default_bundle_path()
        self._folder = folder / "bundle"
        shutil.copytree(source, self._folder)
        self._path = self._folder / MANIFEST_NAME
        self._text = self._path.read_bytes()
        self._data = json.loads(self._text)
        rng = np.random.default_rng(0)
        self._faces = tuple(
            Features(
                track=number,
                label=str(number),
                captured_s=1.0,
                crop=rng.integers(0, 256, (48, 48), dtype=np.uint8),
                blendshapes=rng.random(52, dtype=np.float32),
                pose=np.zeros(3, np.float32),
            )
            for number in range(2)
        )

    def make(self, chance: random.Random) -> bytes:
        if chance.random() < 0.2:
            return mutate_bytes(self._text, chance)
        data = mutate_json(self._data, chance)
        if isinstance(data, dict) and chance.random() < 0.8:
            with contextlib.suppress(KeyError, ValueError, RecursionError):
                data["bundle_id"] = bundle_id(data)
        return json.dumps(data).encode("utf-8", "surrogatepass")

    def run(self, data: bytes) -> None:
        self._path.write_bytes(data)
        try:
            bundle = load_bundle(self._folder)
            parameters = TransitionParameters.from_temporal(
                bundle.manifest.temporal, sensitivity=None, merge={}, where="fuzz"
            )
        except EmoshiftError:
            return
        detector = TransitionDetector(parameters)
        with np.errstate(all="ignore"):
            detector.update(Ensemble(bundle).classify(self._faces))


class Messages:
    """What anybody may publish: on the topics the publisher and the subscriber's helper hear."""

    _TOPICS = ("emoshift/v1/school/room-12/", "homeassistant/", "emoshift/v1/", "")
    _KINDS = ("status", "transition", "class", "health", "info", "command", "", "x/y")

    def __init__(self, folder: Path) -> None:
        status = Status(
            device="room-12",
            state=Presence.OFFLINE,
            session=3,
            instance="0" * 12,
            run="1" * 12,
            protocol="5",
        )
        self._outbox = Outbox.open(folder / "outbox.db", writer=True)
        (event,) = self._outbox.append([CHANGE])
        self._seeds = [json.loads(status.to_json()), json.loads(event.to_json())]
        config = parse_config(
            {"device": {"name": "room-12"}, "homeassistant": {"enabled": True}}, where="fuzz"
        )
        self._link = _Memory()
        self._publisher = Publisher(
            config,
            self._outbox,
            instance="0" * 12,
            connect=lambda _protocol, _will: self._link,
            address="memory",
        )
        self._helper = Interpreter()

    def make(self, chance: random.Random) -> bytes:
        seed = chance.choice(self._seeds)
        if chance.random() < 0.3:
            payload = mutate_bytes(json.dumps(seed).encode(), chance, (b"[", b'{"a":', b"Infinity"))
        else:
            payload = json.dumps(mutate_json(seed, chance)).encode("utf-8", "surrogatepass")
        topic = chance.choice(self._TOPICS) + chance.choice(self._KINDS)
        return bytes([chance.randrange(2)]) + topic.encode() + b"\n" + payload

    def run(self, data: bytes) -> None:
        topic, _, payload = data[1:].partition(b"\n")
        message = Received(
            topic=topic.decode("utf-8", "replace"), payload=payload, retained=bool(data[0])
        )
        self._link.arrive(message)
        self._publisher.turn()
        self._helper.read(message.topic, message.payload, retained=message.retained)


class _Memory:
    """A link whose other end is this process."""

    def __init__(self) -> None:
        self._events: list[ConnectionEvent] = []
        self._tokens = itertools.count(1)

    def arrive(self, event: ConnectionEvent) -> None:
        self._events.append(event)

    def open(self) -> None:
        self._events.insert(0, Connected(protocol="5", window=20))

    def turn(self, _timeout_s: float) -> list[ConnectionEvent]:
        events, self._events = self._events, []
        return events

    def send(self, _message: OutgoingMessage) -> int:
        return next(self._tokens)

    def subscribe(self, *_topics: str) -> None:
        pass

    unsubscribe = subscribe

    def acknowledge(self, _token: int) -> None:
        pass

    def close(self) -> None:
        pass

    drop = close


class Wire:
    """A broker, or whatever listens on its port, that answers with anything at all."""

    _SEEDS = (
        b"\x20\x03\x00\x00\x00",  # CONNACK of MQTT 5
        b"\x20\x02\x00\x00",  # and of 3.1.1
        b"\x20\x06\x00\x00\x03\x21\x00\x14",
        b"\x40\x02\x00\x01",  # PUBACK
        b"\x40\x04\x00\x01\x10\x00",
        b"\x90\x04\x00\x01\x00\x01",  # SUBACK
        b"\x31\x12\x00\x0aemoshift/x\x00{}{}{}",  # PUBLISH, QoS 0, retained
        b"\x32\x11\x00\x08a/status\x00\x07\x00{}{}",  # QoS 1
        b"\xd0\x00",  # PINGRESP
        b"\xe0\x02\x8e\x00",  # DISCONNECT of MQTT 5
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    )

    def __init__(self, _folder: Path) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._data = b""
        self._broker = Broker(
            host="127.0.0.1",
            port=int(self._server.getsockname()[1]),
            username=None,
            password_file=None,
            password=None,
            tls=None,
            keepalive_s=60,
            client_id="fuzz",
        )
        threading.Thread(target=self._serve, daemon=True).start()

    def make(self, chance: random.Random) -> bytes:
        five = chance.random() < 0.5
        good = self._SEEDS[0 if five else 1]
        head = good if chance.random() < 0.7 else mutate_bytes(good, chance)
        rest = b"".join(chance.choice(self._SEEDS) for _ in range(chance.randrange(6)))
        return bytes([five]) + head + mutate_bytes(rest, chance)

    def run(self, data: bytes) -> None:
        self._data = data[1:]
        link = PahoConnection(self._broker, protocol="5" if data[0] else "3.1.1")
        link.open()
        link.send(OutgoingMessage(topic="a", payload="{}", qos=1, retain=False))
        link.subscribe("a/status")
        for _ in range(200):
            if any(isinstance(event, Lost) for event in link.turn(0.02)):
                break
        link.drop()

    def _serve(self) -> None:
        while True:
            end, _ = self._server.accept()
            with contextlib.suppress(OSError), end:
                end.settimeout(1.0)
                end.recv(4096)
                end.sendall(self._data)
                end.shutdown(socket.SHUT_WR)
                while end.recv(4096):
                    pass


class Broken:
    """A reader that does what no reader may, to see that the harness notices."""

    def __init__(self, how: str) -> None:
        self._how = how

    def make(self, _chance: random.Random) -> bytes:
        return b"input"

    def run(self, _data: bytes) -> None:
        match self._how:
            case "raises":
                raise KeyError(self._how)
            case "dies":
                os.abort()
            case _:
                threading.Event().wait()


BROKEN: Final = "broken: "
TARGETS: Final[dict[str, Callable[[Path], Target]]] = {
    "configuration": Configuration,
    "manifest": Manifest,
    "messages": Messages,
    "wire": Wire,
    "video": Video,
    "table": Table,
    "pictures": PictureFolder,
}


@contextlib.contextmanager
def open_target(name: str) -> Iterator[Target]:
    """Set a target up in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        if name.startswith(BROKEN):
            yield Broken(name.removeprefix(BROKEN))
        else:
            yield TARGETS[name](Path(folder))

"""What the README says of Python works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.assets import SAMPLE_CLIP, find_asset
from tests.support.brokers import BrokerProcess
from tests.support.events import CHANGE

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).resolve().parent.parent / "README.md"


def example(names: str) -> str:
    """The README's example that uses a name."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    [block] = [block for block in blocks if names in block]
    return str(block)


@pytest.fixture
def publishing(tmp_path: Path) -> Iterator[int]:
    """The port of a broker to which an event is published again and again."""
    stop = threading.Event()
    with BrokerProcess(tmp_path) as broker:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        event = CHANGE.numbered("a" * 32, 1).to_json()

        def publish() -> None:
            while not stop.wait(0.1):
                client.publish("emoshift/v1/school/room-12/transition", event, qos=1)

        thread = threading.Thread(target=publish)
        thread.start()
        yield broker.port
        stop.set()
        thread.join()
        client.disconnect()
        client.loop_stop()


def test_listen(publishing: int) -> None:
    """The subscriber's example prints an event of a real broker, once."""
    code = example("listen(").replace(
        'listen("mqtt.school.example")',
        f'listen(Broker(host="127.0.0.1", port={publishing}), keep_s=0)',
    )
    code = f"from emoshift.mqtt.paho import Broker\n{code}"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
    assert line == "room-12 kx3q neutral -> happy 0.9\n"


@pytest.mark.clip
def test_replay(tmp_path: Path) -> None:
    """The clip's example prints what `edge replay` decides."""
    clip = find_asset(SAMPLE_CLIP)
    if clip is None:
        pytest.skip(f"{SAMPLE_CLIP.name} is missing; run: edge assets fetch")
    code = example("emoshift.replay(").replace('"lesson.mp4"', repr(str(clip)))

    def run(*command: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        return done.stdout.splitlines()

    printed = run("-c", code)
    assert len(printed) == len(run("-m", "edge", "replay", str(clip)))
    assert printed
    assert re.fullmatch(r"\d+\.\d s [a-z]+ 0\.\d+", printed[0])


def test_importing_loads_nothing() -> None:
    """A subscriber needs neither OpenCV nor a model runtime."""
    code = (
        "import sys, emoshift, emoshift.subscriber\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"cv2", "numpy", "edge", "av"} & set(done.stdout.split())

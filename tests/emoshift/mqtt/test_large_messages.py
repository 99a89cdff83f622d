"""A message of any size takes no memory to speak of, and those behind it are received."""

from __future__ import annotations

import subprocess
import sys

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.brokers import BrokerProcess

pytestmark = pytest.mark.broker

LARGE = 60_000_000
READER = """
import resource, sys
from emoshift.mqtt.connection import Connected, Received
from emoshift.mqtt.paho import Broker, PahoConnection
protocol, port, receive = sys.argv[1], int(sys.argv[2]), sys.argv[3]
connection = PahoConnection(
    Broker(host="127.0.0.1", port=port, client_id="reader"),
    protocol=protocol,
    receive_maximum=None if receive == "0" else int(receive),
)
connection.open()
seen = []
while len(seen) < 2 or seen[-1][0] != "after":
    for event in connection.turn(0.1):
        if isinstance(event, Connected):
            connection.subscribe("#")
        if isinstance(event, Received):
            seen.append((event.topic, len(event.payload)))
            connection.acknowledge(event.token)
            if event.topic == "before":
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                print("ready", flush=True)
print(seen, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, flush=True)
connection.close()
"""


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("receive", ["0", "20"], ids=["at once", "by hand"])
def test_a_large_message(tmp_path, protocol, receive):
    """Sixty megabytes, then a small message: a megabyte or two of memory, and the small one."""
    with BrokerProcess(tmp_path / "broker") as broker:
        writer = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        writer.connect("127.0.0.1", broker.port)
        writer.loop_start()
        writer.publish("before", b"x", qos=1, retain=True).wait_for_publish(10)
        with subprocess.Popen(
            [sys.executable, "-c", READER, protocol, str(broker.port), receive],
            stdout=subprocess.PIPE,
            text=True,
        ) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
            writer.publish("large", bytes(LARGE), qos=1).wait_for_publish(60)
            writer.publish("after", b"small", qos=1).wait_for_publish(60)
            seen, _, grown_mb = reader.stdout.readline().rpartition(" ")
            reader.wait(timeout=60)
        writer.disconnect()
        writer.loop_stop()
    assert seen.endswith("('after', 5)]")
    assert str(LARGE) not in seen
    assert int(grown_mb) < 8

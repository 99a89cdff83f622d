"""Device and dashboard tell Prometheus the same, and Grafana's dashboards read either."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dashboard.live.hub import Hub
from dashboard.live.state import DeviceState, fold
from dashboard.live.steady_clock import steady_ms
from dashboard.simulate.classroom import Classroom
from dashboard.web.metrics import DashboardMetrics
from edge.publish.metrics import Metrics
from emoshift.local_broker import free_port
from emoshift.messages import read_message
from emoshift.settings import BrokerSettings
from emoshift.topics import Address
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dashboard.simulate.classroom import Outgoing

HERE = Address("school", "room-1")
GRAFANA = resources.files("dashboard") / "grafana"
SOURCES = ["device", "dashboard"]


def room() -> Classroom:
    return Classroom(HERE, seed=1, faces=24)


def told(room: Classroom) -> dict[str, Outgoing]:
    """What a device says of itself, by kind."""
    now_ms = time.time_ns() // 1_000_000
    summary = room.summary(now_ms, min_faces=5)
    return {"info": room.info(), "health": room.health(now_ms), "class": summary}


def exposed(collector: object) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def device_text() -> str:
    """What a device answers a scrape with."""
    metrics = Metrics(HERE)
    metrics.update({k: one.payload.decode() for k, one in told(room()).items()}, online=True)
    return exposed(metrics)


def online_device() -> DeviceState:
    """A device as the dashboard knows it right after its messages."""
    simulated = room()
    state = DeviceState(address=HERE)
    for message in (simulated.status("online"), *told(simulated).values()):
        received_ms = time.time_ns() // 1_000_000
        found = read_message(message.topic, message.payload, received_ms=received_ms)
        state = fold(state, found, arrived_ms=steady_ms())
    return state


def dashboard_text(*states: DeviceState) -> str:
    """What the dashboard answers a scrape with."""
    hub = Hub(BrokerSettings())
    hub.devices.update({state.address: state for state in states})
    return exposed(DashboardMetrics(hub, min_faces=5, stored={"worker-1": 7}))


def text_of(source: str) -> str:
    return device_text() if source == "device" else dashboard_text(online_device())


def families(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of every metric."""
    return {
        one.name: (one.type, frozenset(label for sample in one.samples for label in sample.labels))
        for one in text_string_to_metric_families(text)
        if one.samples
    }


def test_both_use_the_same_words():
    """Whatever the dashboard tells of a device has the name, type and labels it has there."""
    device, dashboard = families(device_text()), families(dashboard_text(online_device()))
    own = {name for name in dashboard if name.startswith("emoshift_dashboard_")}
    assert {name: dashboard[name] for name in dashboard.keys() - own} == device
    assert own


@pytest.mark.parametrize("source", SOURCES)
def test_names_follow_the_rules(source):
    """Prometheus' own linter has nothing to say."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("needs promtool (apt install prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=text_of(source),
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("late_s", "left"),
    [
        pytest.param(60, True, id="two intervals"),
        pytest.param(91, False, id="more than three"),
    ],
)
def test_health_grows_old(late_s, left):
    """What vision said last disappears when it says no more, and its device stays."""
    state = online_device()
    state = replace(state, health_ms=state.health_ms - late_s * 1000)
    found = families(dashboard_text(state))
    assert "emoshift_online" in found
    assert ("emoshift_frames_per_second" in found) is left


def test_silent_and_forgotten_devices_disappear():
    """Of a silent device nothing but that is told; of a forgotten one nothing at all."""
    state = online_device()
    silent = families(dashboard_text(replace(state, seen_ms=state.seen_ms - 91_000)))
    assert {name for name, (_, labels) in silent.items() if "device" in labels} == {
        "emoshift_online",
        "emoshift_vision_reporting",
        "emoshift_dashboard_messages_refused",
    }
    assert "room-1" not in dashboard_text()


def panels() -> Iterator[tuple[str, str, str]]:
    """Every query of every Grafana dashboard, with its variables filled in."""
    for file in sorted(GRAFANA.iterdir(), key=lambda one: one.name):
        board = json.loads(file.read_text(encoding="utf-8"))
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                query = variable["query"].removeprefix("label_values(").rpartition(",")[0]
                yield file.name, variable["name"], filled(query)
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield file.name, panel["title"], filled(target["expr"])


def filled(query: str) -> str:
    return query.replace("$site", ".*").replace("$device", ".*")


@contextlib.contextmanager
def prometheus(text: str, folder: Path) -> Iterator[int]:
    """A Prometheus that scrapes a text every second; yields its port."""

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "- job_name: emoshift\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{exporter.server_port}']}}]\n"
    )
    port = free_port()
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        server.terminate()
        server.wait(20)
        exporter.shutdown()
        exporter.server_close()


def ask(port: int, query: str) -> list[object]:
    words = urllib.parse.urlencode({"query": query})
    url = f"http://127.0.0.1:{port}/api/v1/query?{words}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: list[object] = json.load(answer)["data"]["result"]
    except (ConnectionError, urllib.error.URLError):
        return []
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_every_panel_shows_something(source, tmp_path):
    """Each query of Grafana's dashboards is answered by a Prometheus that scrapes either."""
    if shutil.which("prometheus") is None:
        pytest.skip("needs Prometheus (apt install prometheus)")
    with prometheus(text_of(source), tmp_path) as port:
        wait_until(lambda: ask(port, "rate(emoshift_frames_total[1m])"), 60)
        empty = [
            (file, title)
            for file, title, query in panels()
            if (source == "dashboard" or "emoshift_dashboard_" not in query)
            and not ask(port, query)
        ]
    assert empty == []

"""``edge demo``: the real daemon on the sample clip, a broker of its own, a real subscriber."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.assets import SAMPLE_CLIP, find_asset
from edge.capture.clip import Clip
from edge.commands.subscribe import other_line
from edge.commands.terminal import event_line, health_lines
from edge.config import parse_config
from edge.outbox.store import Outbox
from emoshift.errors import InputError, UnavailableError
from emoshift.local_broker import HOST, local_broker
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import LinkChange, NewEvent, Unreadable, listen, subscriber_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINGER_S: Final = 1.0
"""After the daemon has ended, for what is still on its way."""
_STOP_S: Final = 45.0
"""Longer than the daemon needs to stop both of its processes."""


def run_demo(clip: Path | None, say: Callable[[str], None]) -> None:
    """Play a clip through the daemon and tell every transition the broker delivers.

    Args:
        clip: The clip; ``None`` is the sample clip.
        say: Told each line.

    Raises:
        InputError: The clip is missing or is none.
        UnavailableError: There is no broker, or the daemon failed; its own words are passed on.
    """
    clip = clip or find_asset(SAMPLE_CLIP)
    if clip is None:
        raise InputError(f"{SAMPLE_CLIP.name} is missing; run: edge assets fetch")
    Clip(clip)  # what is no clip is told now, not by the daemon
    with tempfile.TemporaryDirectory(prefix="emoshift-demo-") as scratch, local_broker() as broker:
        folder = Path(scratch)
        say(f"broker    {broker.name} on {HOST}:{broker.port}")
        say(f"clip      {clip.name}, played at its own speed")
        config: dict[str, dict[str, object]] = {
            "device": {"name": "demo", "legal_basis": "demonstration on a supplied clip"},
            "camera": {"source": str(clip.resolve())},
            "outbox": {"path": str(folder / "outbox.db")},
            "mqtt": {"host": HOST, "port": broker.port},
        }
        received = _play(config, folder, say)
        say("")
        say(f"received  {received} transition{'' if received == 1 else 's'} through the broker")
        for line in _summary(folder / "outbox.db"):
            say(line)


def _play(config: dict[str, dict[str, object]], folder: Path, say: Callable[[str], None]) -> int:
    """Subscribe, run the daemon to the end of the clip, and count what came."""
    file = folder / "edge.toml"
    file.write_text(_toml(config), encoding="utf-8")
    settings = Broker.from_config(
        parse_config(config, where="demo").mqtt, client_id=subscriber_id()
    )
    stop, received = threading.Event(), 0
    log = folder / "daemon.log"
    with _daemon(file, log) as start:
        for news in listen(settings, stop, keep_s=0):
            if isinstance(news, NewEvent):
                received += 1
                say(event_line(news.event))
            elif isinstance(news, LinkChange) and news.online:
                say(f"listener  {news.text}")
                start(stop)
            elif isinstance(news, Unreadable):
                raise UnavailableError(other_line(news))
    return received


@contextmanager
def _daemon(file: Path, log: Path) -> Iterator[Callable[[threading.Event], None]]:
    """Hand out a function that starts the daemon; see it end, by itself or on the way out."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(ended: threading.Event) -> None:
        if processes:
            return
        with log.open("wb") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "edge", "run", "--config", str(file)], stderr=output
                )
            )

        def wait() -> None:
            processes[0].wait()
            ended.wait(_LINGER_S)
            ended.set()

        threading.Thread(target=wait, daemon=True).start()

    try:
        yield start
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    if processes and (code := processes[0].returncode):
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in said if line.startswith("ERROR")]
        reason = (errors or said or ["no reason given"])[-1]
        raise UnavailableError(f"the daemon ended with code {code}: {reason}")


def _summary(outbox_path: Path) -> list[str]:
    """What the daemon's last health message says."""
    with Outbox.open(outbox_path, writer=False) as outbox:
        bodies = [s.body for s in outbox.snapshots() if s.kind == "health"]
    return health_lines(json.loads(bodies[0])) if bodies else ["no health message"]


def _toml(config: dict[str, dict[str, object]]) -> str:
    """Write plain tables of texts and numbers; JSON's form of both is TOML too."""
    return "\n".join(
        f"[{table}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        for table, values in config.items()
    )

"""``edge demo``: the real daemon on a clip or camera, a broker of its own, a real subscriber."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.assets import CLASSROOM_CLIP, DEMO_CLIP, SMILE_CLIP, fetch_asset, find_asset
from edge.capture.clip import Clip
from edge.capture.devices import is_clip
from edge.commands.subscribe import other_line
from edge.commands.terminal import event_line, health_lines
from edge.config import parse_config
from edge.outbox.store import Outbox
from emoshift.errors import UnavailableError, UsageError
from emoshift.local_broker import HOST, local_broker
from emoshift.mqtt.paho import Broker
from emoshift.subscriber import ConnectionChange, NewEvent, Unreadable, listen, subscriber_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from emoshift.downloads import Download

_ARRIVE_S: Final = 5.0
"""How long after the daemon's end an event may still be on its way."""
_STOP_S: Final = 45.0
"""Longer than the daemon needs to stop both of its processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoClip:
    """A clip that the demonstration knows by name.

    Attributes:
        asset: The file.
        shows: What a person sees in it.
        remark: How to read the changes reported in it, right and wrong ones.
    """

    asset: Download
    shows: str
    remark: str


WOMAN: Final = DemoClip(
    asset=DEMO_CLIP,
    shows="a woman who is sad, looks up, and smiles",
    remark=(
        "A person calls the woman sad until second 6, hopeful until 9 and happy after it; the man"
        " neutral, then happy. What else is reported above is wrong."
    ),
)
SMILE: Final = DemoClip(asset=SMILE_CLIP, shows="a man who begins to smile", remark="")
CLASSROOM: Final = DemoClip(
    asset=CLASSROOM_CLIP,
    shows="four people in a room, small faces against a window",
    remark=(
        "One of them smiles at times. Angry, sad, fear and disgust are wrong here: faces this small"
        " and this dark are read badly."
    ),
)
CLIPS: Final = {None: (WOMAN, SMILE), "classroom": (CLASSROOM,)}
"""What is played without a name, and by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """One thing to show: its title, the source for the configuration, and what to know of it."""

    title: str
    source: str
    remark: str = ""


def run_demo(
    source: str | None, say: Callable[[str], None], *, legal_basis: str = "", program: str = "edge"
) -> None:
    """Play clips or a camera through the daemon; print every transition the broker delivers.

    Args:
        source: Name of a known clip, path of one, or a camera; ``None`` plays two known clips.
        say: Called with each line.
        legal_basis: By what right a camera is watched; a supplied clip needs none.
        program: How the user calls ``edge``, for the commands to go on with.

    Raises:
        InputError: The clip is missing or is none.
        UnavailableError: There is no clip or broker, the daemon failed, or a transition that it
            decided did not arrive.
        UsageError: A camera is to be watched without a legal basis.
    """
    camera = source is not None and source not in CLIPS and not is_clip(source)
    if camera and not legal_basis.strip():
        raise UsageError(
            "a camera shows people: say by what right you watch them, such as"
            f' {program} demo {source} --legal-basis "my own face"'
        )
    plays = _plays(source, camera=camera)
    runs: list[_Run] = []
    with tempfile.TemporaryDirectory(prefix="emoshift-demo-") as scratch, local_broker() as broker:
        say(f"broker    {broker.name} on {HOST}:{broker.port}")
        for number, play in enumerate(plays):
            say(play.title)
            folder = Path(scratch) / str(number)
            folder.mkdir()
            device = {"name": "demo", "legal_basis": legal_basis or "demonstration on a clip"}
            config: dict[str, dict[str, object]] = {
                "device": dict(device),
                "camera": {"source": play.source},
                "outbox": {"path": str(folder / "outbox.db")},
                "mqtt": {"host": HOST, "port": broker.port},
            }
            runs.append(_Run(folder=folder, config=config, show_log=camera))
            runs[-1].play(say)
            say("")
        decided, received = sum(r.decided for r in runs), sum(r.received for r in runs)
        transitions = f"{decided} transition{'' if decided == 1 else 's'}"
        say(f"decided   {transitions}; {received} of them came through the broker")
        for line in runs[0].summary():
            say(line)
        for play in plays:
            for line in textwrap.wrap(play.remark, 86):
                say(f"          {line}")
        for run in runs:
            if run.received < run.decided:
                raise UnavailableError(
                    f"{run.decided - run.received} of {run.decided} transitions did not arrive"
                    f" through the broker; the daemon said: {run.last_words()}"
                )
    say("")
    for line in _next_steps(program):
        say(line)


def _plays(source: str | None, *, camera: bool) -> list[_Play]:
    """What to show, one after the other; what is no clip is refused now, not by the daemon."""
    if camera:
        return [_Play(title=f"camera    {source}; Ctrl-C ends it", source=str(source))]
    if source in CLIPS:
        found = [
            (find_asset(c.asset) or fetch_asset(c.asset), f": {c.shows}", c.remark)
            for c in CLIPS[source]
        ]
    else:
        found = [(Path(str(source)), "", "")]
    plays = []
    for path, shows, remark in found:
        clip = Clip(path)
        title = f"clip      {path.name}, {len(clip) / clip.fps:.0f} s{shows}"
        plays.append(_Play(title=title, source=str(path.resolve()), remark=remark))
    return plays


class _Run:
    """One run of the daemon with a subscriber beside it.

    Attributes:
        received: Transitions that came through the broker.
    """

    def __init__(
        self, *, folder: Path, config: Mapping[str, Mapping[str, object]], show_log: bool
    ) -> None:
        self.received = 0
        self._outbox = folder / "outbox.db"
        self._log = folder / "daemon.log"
        self._file = folder / "edge.toml"
        self._file.write_text(_toml(config), encoding="utf-8")
        self._show_log = show_log
        mqtt = parse_config({k: dict(v) for k, v in config.items()}, where="demo").mqtt
        self._broker = Broker.from_settings(mqtt, client_id=subscriber_id())

    @property
    def decided(self) -> int:
        """Transitions that the vision process has put into the outbox."""
        with Outbox.open(self._outbox, writer=False) as outbox:
            return outbox.stats().stored

    def play(self, say: Callable[[str], None]) -> None:
        """Subscribe, run the daemon to its end (a camera's is Ctrl-C), and say what comes."""
        stop = threading.Event()
        with self._daemon() as start:
            try:
                for news in listen(self._broker, stop, keep_s=0):
                    if isinstance(news, NewEvent):
                        self.received += 1
                        say(event_line(news.event))
                    elif isinstance(news, ConnectionChange) and news.online:
                        start(stop)
                    elif isinstance(news, Unreadable):
                        raise UnavailableError(other_line(news))
            except KeyboardInterrupt:
                if not self._show_log:
                    raise

    def summary(self) -> list[str]:
        """What the daemon's last health message says, and which detector found the faces."""
        with Outbox.open(self._outbox, writer=False) as outbox:
            bodies = {s.kind: json.loads(s.body) for s in outbox.snapshots()}
        return [
            *(health_lines(bodies["health"]) if "health" in bodies else []),
            *([f"faces by  {bodies['info']['face_finder']}"] if "info" in bodies else []),
        ]

    def last_words(self) -> str:
        """The daemon's last error, or else its last line."""
        if self._show_log:
            return "see above"
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line.partition(": ")[2] for line in said if line.startswith("ERROR")]
        return (errors or said or ["nothing"])[-1]

    @contextmanager
    def _daemon(self) -> Iterator[Callable[[threading.Event], None]]:
        """Hand out a function that starts the daemon; see it end, by itself or on the way out."""
        processes: list[subprocess.Popen[bytes]] = []

        def start(ended: threading.Event) -> None:
            if processes:
                return
            with self._log.open("wb") as output:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "edge", "run", "--config", str(self._file)],
                        stderr=None if self._show_log else output,
                        start_new_session=True,  # Ctrl-C is for us: the daemon is stopped below
                    )
                )

            def wait() -> None:
                processes[0].wait()
                until_s = time.monotonic() + _ARRIVE_S
                while self.received < self.decided and time.monotonic() < until_s:
                    ended.wait(0.05)
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
            raise UnavailableError(f"the daemon ended with code {code}: {self.last_words()}")


def _next_steps(program: str) -> list[str]:
    dashboard = "edge-dashboard demo" if program == "edge" else "make dashboard-demo"
    return [
        f'next      your camera     {program} demo 0 --legal-basis "my own face"',
        f"          the dashboard   {dashboard}",
        f"          a device        {program} run --source 0 --config edge.toml   (see README.md)",
    ]


def _toml(config: Mapping[str, Mapping[str, object]]) -> str:
    """Write plain tables of texts and numbers; JSON's form of both is TOML too."""
    return "\n".join(
        f"[{table}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        for table, values in config.items()
    )

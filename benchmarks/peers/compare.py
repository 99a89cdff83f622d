"""Starts every program, lets them run in turns, and compares what they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from benchmarks.host import how_measured, read_device, software
from benchmarks.peers.registry import OURS, PROGRAMS, Program
from benchmarks.reports.schema import Accuracy, Interval, Peer, PeersReport
from benchmarks.reports.statistics import bootstrap_ratio, percentile, summarise, thin, wilson
from benchmarks.workload import Request, Synthetic
from edge.capture.clip import Clip
from emoshift.emotions import Emotion
from emoshift.errors import InputError, UnavailableError
from train.data.fer2013 import fer2013_source, read_fer2013

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FRAMES: Final = 120
"""Made-up pictures that every program gets: a clip that is played there and back."""
MOST_FRAMES: Final = 450
"""Of a real clip in place of them, from its beginning."""
SIZE: Final = (640, 480)
"""Width and height of all pictures."""
_SPLIT: Final = "PrivateTest"
_WARM: Final = 10
_MOST_WARM_UPS: Final = 20
_WARM_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """What the frames of one turn took: by the clock, and of processor time on all threads.

    On a machine that does other work too, only the second is the program's own doing.
    """

    ms: NDArray[np.float64]
    cpu_ms: NDArray[np.float64]


@dataclass(slots=True, eq=False)
class _Runner:
    """A program's process."""

    program: Program
    process: subprocess.Popen[str]
    version: str = ""
    first: int = 0
    found: int = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one line and wait for the answer; raises `UnavailableError` when it has died."""
        stdin, stdout = _pipes(self.process)
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # what it said on its way out is read below
        return _answer(self.process, stdout)

    def run(self, frames: int) -> Turn:
        """Run so many frames."""
        answer = self.ask({"run": [self.first, frames]})
        self.first += frames
        self.found += answer["found"]
        return Turn(ms=np.array(answer["ms"]), cpu_ms=np.array(answer["cpu_ms"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerComparison:
    """What the command line asks for.

    Attributes:
        rounds: Turns of every program.
        frames: Frames in each turn.
        only: Names to run; all when empty.
        bundle: Our model bundle.
        environment: Folder of the environment with foreign packages.
        pictures: Where FER2013 lies, ``None`` for nowhere.
        most_pictures: How many of them to classify, evenly spread over the split.
        clip: In place of the made-up pictures; ``None`` for these.
        command: What the user called.
    """

    rounds: int
    frames: int
    only: tuple[str, ...]
    bundle: str
    environment: Path
    pictures: Path | None
    most_pictures: int
    clip: Path | None = None
    command: str


def compare_programs(
    wish: PeerComparison, *, progress: Callable[[str], None] = lambda _: None
) -> PeersReport:
    """Run every program in turns on the same pictures and one processor.

    Whoever cannot be started is reported as absent, with the reason. Ctrl-C ends the race; the
    report holds the rounds that were finished and is marked incomplete.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    wanted = [c for c in PROGRAMS if not wish.only or c.name in {*wish.only, OURS}]
    absent: dict[str, str] = {}
    spent: dict[str, list[Turn]] = {}
    runners: list[_Runner] = []
    scores: dict[str, Accuracy] = {}
    incomplete = False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-peers-")))
        shown = _write_frames(folder / "frames.npy", wish.clip)
        order = {
            "frames": str(folder / "frames.npy"),
            "cpu": max(os.sched_getaffinity(0)),
            "bundle": wish.bundle,
        }
        try:
            for program in wanted:
                progress(f"starting {program.name}")
                try:
                    runner = _start(stack, program, order, wish.environment)
                    _warm_up(runner)
                except UnavailableError as why:
                    absent[program.name] = str(why)
                    continue
                runner.found = 0
                runners.append(runner)
                spent[program.name] = []
            scores = _classify(wish, runners, folder, progress)
            for number in range(wish.rounds):
                # Another one begins each time, so that nobody always follows the same neighbour.
                turn = number % max(len(runners), 1)
                took = {r.program.name: r.run(wish.frames) for r in runners[turn:] + runners[:turn]}
                for name, values in took.items():
                    spent[name].append(values)
                progress(f"round {number + 1} of {wish.rounds}")
        except KeyboardInterrupt:
            incomplete = True
    return PeersReport(
        mode=how_measured(),
        incomplete=incomplete,
        started=started,
        command=wish.command,
        device=read_device(),
        software=software(),
        pictures=shown,
        rounds=min((len(rounds) for rounds in spent.values()), default=0),
        frames_per_round=wish.frames,
        peers=tuple(
            Peer(name=c.name, what=c.what, absent=absent.get(c.name, "interrupted"))
            if c.name not in spent or not spent[c.name]
            else _peer(c, runners, spent, scores)
            for c in wanted
        ),
    )


def _peer(
    program: Program,
    runners: Sequence[_Runner],
    spent: dict[str, list[Turn]],
    scores: dict[str, Accuracy],
) -> Peer:
    runner = next(r for r in runners if r.program is program)
    rounds = spent[program.name]
    values = np.concatenate([turn.ms for turn in rounds])
    ratio = cpu_ratio = None
    if spent.get(OURS):
        ratio = _ratio([t.ms for t in rounds], [t.ms for t in spent[OURS]])
        cpu_ratio = _ratio([t.cpu_ms for t in rounds], [t.cpu_ms for t in spent[OURS]])
    return Peer(
        name=program.name,
        what=program.what,
        version=runner.version,
        latency=summarise(values),
        cpu=summarise(np.concatenate([turn.cpu_ms for turn in rounds])),
        ratio=ratio,
        cpu_ratio=cpu_ratio,
        found=round(min(1.0, runner.found / len(values)), 4),
        accuracy=scores.get(program.name),
        samples_ms=thin(values),
    )


def _ratio(theirs: Sequence[NDArray[np.float64]], ours: Sequence[NDArray[np.float64]]) -> Interval:
    """Median over the rounds of the ratio's parts, each the median of its turn."""
    count = min(len(theirs), len(ours))
    over, under = (
        np.array([np.median(turn) for turn in turns[:count]]) for turns in (theirs, ours)
    )
    return bootstrap_ratio(over, under, percentile(50), paired=True)


def _write_frames(path: Path, clip: Path | None) -> str:
    """Write the pictures that every program gets, and say what they are."""
    if clip is not None:
        real = [cv2.resize(frame.image, SIZE) for frame in islice(Clip(clip).frames(), MOST_FRAMES)]
        if not real:
            raise InputError(f"{clip}: no picture in it")
        np.save(path, np.stack(real))
        return f"the first {len(real)} pictures of {clip.name} at {SIZE[0]}x{SIZE[1]}"
    pictures = Synthetic(Request())
    frames: list[NDArray[np.uint8]] = []
    for _ in range(FRAMES // 2):
        picture = pictures.read()
        if picture is not None:
            frames.append(picture.image)
    np.save(path, np.stack(frames + frames[::-1]))
    return f"{FRAMES} pictures of 640x480 with one moving face of about 150 pixels"


def _start(stack: ExitStack, program: Program, order: dict[str, Any], environment: Path) -> _Runner:
    python = environment / "bin" / "python" if program.own else Path(sys.executable)
    if not python.exists():
        raise UnavailableError(f"no environment in {environment}; run: edge-bench peers --install")
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [
            str(python),
            str(Path(__file__).with_name("worker.py")),
            program.name,
            json.dumps(order),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "" if program.own else root},
    )
    stack.callback(_stop, process)
    runner = _Runner(program, process)
    runner.version = str(_answer(process, _pipes(process)[1])["ready"])
    return runner


def _warm_up(runner: _Runner) -> None:
    """Run until the face is followed: some search beside the frames, and must have found it."""
    for _ in range(_MOST_WARM_UPS):
        before = runner.found
        runner.run(_WARM)
        if runner.found - before == _WARM:
            return
        time.sleep(_WARM_PAUSE_S)


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:  # they were asked for
        raise UnavailableError("no pipes to the worker")
    return process.stdin, process.stdout


def _answer(process: subprocess.Popen[str], stdout: IO[str]) -> dict[str, Any]:
    line = stdout.readline()
    if not line:
        _, said = process.communicate()
        last = (said.strip().splitlines() or ["it died without a word"])[-1]
        raise UnavailableError(last[:300])
    answer: dict[str, Any] = json.loads(line)
    return answer


def _classify(
    wish: PeerComparison,
    runners: Sequence[_Runner],
    folder: Path,
    progress: Callable[[str], None],
) -> dict[str, Accuracy]:
    """Let every program that can classify the same pictures; none where these are absent."""
    if wish.pictures is None:
        return {}
    try:
        source = fer2013_source(wish.pictures)
    except InputError:
        return {}
    images, emotions = _test_images(source, wish.most_pictures)
    np.save(folder / "pictures.npy", images)
    found = {}
    for runner in runners:
        if not runner.program.classifies:
            continue
        progress(f"{runner.program.name} classifies {len(emotions)} pictures")
        labels = runner.ask({"classify": str(folder / "pictures.npy")})["labels"]
        right = sum(one == true for one, true in zip(labels, emotions, strict=True))
        found[runner.program.name] = Accuracy(
            data="FER2013 PrivateTest, FER2013's own seven labels",
            protocol="each 48x48 picture given as the face, with the views the model itself"
            " takes and its head for these labels, where it has several; evenly spread over the"
            " split where n is not 3,589",
            n=len(labels),
            right=right,
            share=wilson(right, len(labels)),
        )
    return found


def _test_images(source: Path, most: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Up to ``most`` images of PrivateTest ``(n, 48, 48)``, evenly spread, with their labels."""
    fer2013 = read_fer2013(source)
    rows = fer2013.rows(_SPLIT)
    if not len(rows):
        raise InputError(f"{source}: holds no row of {_SPLIT}")
    if most < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]
    return fer2013.pixels[rows], tuple(Emotion(int(label)).label for label in fer2013.labels[rows])

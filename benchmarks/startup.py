"""How long a fresh process takes until a frame has gone through with a prediction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from benchmarks.workload import Request
    from edge.config import Config

_LONGEST_S: Final = 120.0


def measure_startup(request: Request, config: Config, tries: int) -> tuple[float, ...]:
    """Start the vision path in new processes, one after the other.

    Returns:
        Milliseconds from starting the process to its first frame with a prediction, each try.

    Raises:
        UnavailableError: A process failed.
    """
    order = json.dumps({"request": asdict(request), "config": config.model_dump(mode="json")})
    found = []
    for _ in range(tries):
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.startup", order],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UnavailableError(f"the start could not be measured: {reason}")
        found.append(round((float(done.stdout.split()[-1]) - began_s) * 1e3, 1))
    return tuple(found)


def _first_prediction_s(order: str) -> float:
    """Do what the vision process does, until the first prediction; the monotonic clock then."""
    from contextlib import ExitStack

    from benchmarks.workload import Request, open_source, outbox_folder
    from edge.bundle.installed import configured_bundle
    from edge.config import Config
    from edge.daemon.vision import process_frame
    from edge.outbox.event import EventSource
    from edge.outbox.store import Outbox
    from edge.pipeline import open_pipeline

    data = json.loads(order)
    config = Config.model_validate(data["config"])
    bundle = configured_bundle(config.models)
    facts = EventSource(device="bench", camera="bench", model=bundle.manifest.bundle_id)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(outbox_folder()))
        outbox = stack.enter_context(Outbox.open(folder / "outbox.db", writer=True))
        pipeline = stack.enter_context(open_pipeline(config, bundle))
        source = open_source(Request(**data["request"]), config)
        stack.callback(source.close)
        while not process_frame(source.next_frame(), pipeline, outbox, facts).predictions:
            pass
        return time.monotonic()


if __name__ == "__main__":
    sys.stdout.write(f"{_first_prediction_s(sys.argv[1])}\n")

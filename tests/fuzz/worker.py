"""One fuzzing process: makes inputs and runs them until it is ended, counting as it goes.

``python -m tests.fuzz.worker TARGET SEED FOLDER EXECUTIONS``. What it is about to run lies in
``FOLDER/input``, so that whoever watches it can tell what killed it.
"""

from __future__ import annotations

import json
import logging
import mmap
import random
import resource
import struct
import sys
import traceback
import warnings
from pathlib import Path

from tests.fuzz.targets import open_target

MOST_BYTES = 4 * 1024**3
"""Address space; an input that makes a reader ask for more is a finding."""


def main(name: str, seed: int, folder: Path, executions: int) -> None:
    """Run so many inputs; -1 is for ever."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    logging.disable()
    warnings.simplefilter("ignore")
    chance = random.Random(seed)
    seen: set[str] = set()
    with (
        (folder / "count").open("r+b") as file,
        mmap.mmap(file.fileno(), 16) as count,
        (folder / "input").open("r+b", buffering=0) as input_file,
        open_target(name) as target,
    ):
        done = 0
        while done != executions:
            data = target.make(chance)
            input_file.seek(0)
            input_file.truncate()
            input_file.write(data)
            try:
                target.run(data)
            except Exception as why:  # noqa: BLE001 - whatever comes is what is looked for
                frame = traceback.extract_tb(why.__traceback__)[-1]
                key = f"{type(why).__name__} in {Path(frame.filename).name}:{frame.lineno}"
                if key not in seen:
                    seen.add(key)
                    _note(folder, key, data, traceback.format_exc())
                struct.pack_into("<Q", count, 8, struct.unpack_from("<Q", count, 8)[0] + 1)
            done += 1
            struct.pack_into("<Q", count, 0, struct.unpack_from("<Q", count, 0)[0] + 1)


def _note(folder: Path, key: str, data: bytes, trace: str) -> None:
    number = len(list(folder.glob("finding-*.json")))
    (folder / f"finding-{number}.bin").write_bytes(data)
    (folder / f"finding-{number}.json").write_text(
        json.dumps({"what": key, "trace": trace.splitlines()[-12:]}, indent=2)
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))

"""``python -m tests.fuzz [--minutes 12] [TARGET ...]``: fuzz each target, report, keep findings.

Exits with 1 where anything was found; the inputs lie in ``out/fuzz/<target>``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.campaign import run_campaign
from tests.fuzz.targets import TARGETS

OUT = Path("out/fuzz")


def main() -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=12.0, help="for each target")
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock")
    options = parser.parse_args()
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    clean = True
    for target in options.targets or TARGETS:
        outcome = run_campaign(target, OUT / target, seconds=60 * options.minutes, seed=seed)
        report = {"target": target, "minutes": options.minutes, "seed": seed, **asdict(outcome)}
        print(json.dumps(report), flush=True)
        clean = clean and outcome.clean
    return int(not clean)


if __name__ == "__main__":
    sys.exit(main())

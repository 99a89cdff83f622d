"""``python -m benchmarks`` is ``edge-bench``."""

from benchmarks.cli import main

main(prog_name="edge-bench")

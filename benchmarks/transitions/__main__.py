"""``python -m benchmarks.transitions``: the benchmark, and ``fit``."""

import click

from benchmarks.transitions.command import fit, transitions

main = click.Group(
    commands={"fit": fit, "run": transitions},
    help="Score or fit the change detector.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.transitions")

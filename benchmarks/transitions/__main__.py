"""``python -m benchmarks.transitions``: the benchmark, ``fit``, ``learn`` and ``crowd``."""

import click

from benchmarks.transitions.command import crowd, fit, learn, transitions

main = click.Group(
    commands={"crowd": crowd, "fit": fit, "learn": learn, "run": transitions},
    help="Score or fit the change detector, or train the learned one.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.transitions")

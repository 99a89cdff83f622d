"""``python -m benchmarks.transitions``: the benchmark, and ``crowd``."""

from benchmarks.transitions.command import crowd, transitions
from emoshift.command_line import CommandGroup

main = CommandGroup(
    commands={"crowd": crowd, "run": transitions},
    help="Measure how well changes of emotion are decided.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.transitions")

"""Put what the demonstration prints into README.md: ``make readme-demo``.

Run it after anything that changes what is found in the clip: the networks, the detector of faces,
the detector of changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[1] / "README.md"
BLOCK: Final = re.compile(
    r"(<!-- make readme-demo: begin -->\n```\n).*?(```\n<!-- end -->)", re.DOTALL
)


def main() -> None:
    """Run the demonstration once and replace the block."""
    done = subprocess.run(
        [sys.argv[1], "demo"], stdout=subprocess.PIPE, text=True, check=True, cwd=README.parent
    )
    # A container has nobody to set its clock; a computer has.
    said = done.stdout.replace("  (clock not set)", "").replace(", clock not set)", ")")
    text, found = BLOCK.subn(lambda m: m[1] + said + m[2], README.read_text(encoding="utf-8"))
    if found != 1:
        sys.exit(f"Error: {README} does not hold the one block that is to be replaced")
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Random damage to the files of an outbox, as failing cards and torn writes do it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

PAGE: Final = 4096
KINDS: Final = ("bit", "bit", "bit", "zeroed page", "noise", "cut", "torn log", "removed log")


def damage_files(outbox: Path, chance: random.Random) -> str:
    """Damage the database or its log once; returns what was done."""
    kind = chance.choice(KINDS)
    log = Path(f"{outbox}-wal")
    file = log if kind in {"torn log", "removed log"} or chance.random() < 0.4 else outbox
    if kind == "removed log":
        file.unlink()
        return kind
    data = bytearray(file.read_bytes())
    if not data:
        return "nothing"
    at = chance.randrange(len(data))
    match kind:
        case "bit":
            data[at] ^= 1 << chance.randrange(8)
        case "zeroed page":
            start = at // PAGE * PAGE
            length = min(PAGE, len(data) - start)
            data[start : start + length] = bytes(length)
        case "noise":
            length = min(chance.randrange(1, 3 * PAGE), len(data) - at)
            data[at : at + length] = chance.randbytes(length)
        case "cut" | "torn log":
            del data[at:]
    file.write_bytes(data)
    return f"{kind}, {'log' if file is log else 'database'}"

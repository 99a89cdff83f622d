"""Collects what is to be translated: ``python -m dashboard.translations`` lists what is missing."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(str(resources.files("dashboard")))
LOCALES: Final = ROOT / "locale"
_METHODS: Final = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
_OPTIONS: Final = {"**/templates/**.html": {"extensions": "jinja2.ext.i18n"}}


def collect() -> set[str]:
    """Return every message of the programs and the templates; of plurals the singular."""
    found = extract_from_dir(str(ROOT), _METHODS, _OPTIONS)
    return {singular(message) for _, _, message, _, _ in found}


def singular(message: str | Sequence[str]) -> str:
    """Return a message, or the first form of one that depends on a number."""
    return message if isinstance(message, str) else message[0]


def missing(path: Path) -> set[str]:
    """Return what a catalogue does not translate."""
    with path.open("rb") as file:
        entries = [message for message in read_po(file) if message.id]
    done = {singular(m.id) for m in entries if all(_forms(m.string))}
    return collect() - done


def _forms(translated: str | Sequence[str] | None) -> Sequence[str]:
    return [translated or ""] if translated is None or isinstance(translated, str) else translated


def main() -> None:
    """List what is missing, ready to be pasted into a catalogue."""
    for path in sorted(LOCALES.glob("*/LC_MESSAGES/*.po")):
        for text in sorted(missing(path)):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            sys.stdout.write(f'msgid "{escaped}"\nmsgstr ""\n\n')


if __name__ == "__main__":
    main()

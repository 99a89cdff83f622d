"""Collects what is to be translated: ``python -m dashboard.translations`` lists what is missing."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Final

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

ROOT: Final = Path(str(resources.files("dashboard")))
LOCALES: Final = ROOT / "locale"
_METHODS: Final = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
_OPTIONS: Final = {"**/templates/**.html": {"extensions": "jinja2.ext.i18n"}}


def collect() -> set[str]:
    """Return every message of the programs and the templates."""
    found = extract_from_dir(str(ROOT), _METHODS, _OPTIONS)
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


def missing(path: Path) -> set[str]:
    """Return what a catalogue does not translate."""
    with path.open("rb") as file:
        done = {str(message.id) for message in read_po(file) if message.id and message.string}
    return collect() - done


def main() -> None:
    """List what is missing, ready to be pasted into a catalogue."""
    for path in sorted(LOCALES.glob("*/LC_MESSAGES/*.po")):
        for text in sorted(missing(path)):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            sys.stdout.write(f'msgid "{escaped}"\nmsgstr ""\n\n')


if __name__ == "__main__":
    main()

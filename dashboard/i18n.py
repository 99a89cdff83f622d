"""Languages: gettext catalogues, read from the ``.po`` files translators edit."""

from __future__ import annotations

import gettext
import io
from functools import cache
from importlib import resources
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español"}
DEFAULT: Final = "en"


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Return the messages of a language; English is the source and needs none."""
    if language == DEFAULT or language not in LANGUAGES:
        return gettext.NullTranslations()
    source = resources.files("dashboard").joinpath(
        "locale", language, "LC_MESSAGES", "dashboard.po"
    )
    compiled = io.BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def choose_language(cookie: str | None, accepted: str) -> str:
    """Choose by the viewer's own choice, else by what the browser accepts."""
    if cookie in LANGUAGES:
        return cookie
    wishes = []
    for part in accepted.split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), tag.split("-")[0].lower()))
        except ValueError:
            continue
    return next((tag for _, tag in sorted(wishes, key=lambda w: w[0]) if tag in LANGUAGES), DEFAULT)

"""Masks passwords in addresses, wherever an address may be shown."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

# A password may hold a slash or an "@" that nobody escaped, so everything up to the last "@" goes.
_USER_INFO: Final = re.compile(r"(?<=://)[^\s\"'<>]*@")
_NAMED: Final = re.compile(
    r"(?P<name>\b[\w-]*(?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|user-pw|user_pw|api-?key))"
    r"(?P<is>\s*=\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s&;!,\"'<>]+)",
    re.IGNORECASE,
)


def mask_credentials(text: str) -> str:
    """Replace user names and passwords of every address in a text.

    Both forms are known: ``scheme://user:password@host``, whatever the scheme, and parameters such
    as ``?password=...`` or GStreamer's ``user-pw=...``.

    Args:
        text: An address, or a message that may hold some.
    """
    return _NAMED.sub(rf"\g<name>\g<is>{MASK}", _USER_INFO.sub(f"{MASK}@", text))

"""The errors an operator can meet, with their exit codes.

```
EmoshiftError                 1
├── UsageError                2   the command line
├── InputError               66   a clip or file cannot be read        (EX_NOINPUT)
│   └── BundleError          66   a bundle is missing, altered, or of another schema
├── UnavailableError         69   a service or library is not there    (EX_UNAVAILABLE)
├── OutputError              73   something cannot be written          (EX_CANTCREAT)
│   ├── OutboxError          73   the event store
│   └── StoreError           73   the dashboard's database
├── CameraError              74   a camera cannot be opened or read    (EX_IOERR)
└── ConfigError              78   the configuration                    (EX_CONFIG)
```

A message says where, what was found, what was expected and what to do. A lost connection is a
state, not an error: the program waits and goes on.
"""

from __future__ import annotations

from typing import ClassVar


class EmoshiftError(Exception):
    """Anything that the operator reads in one line."""

    exit_code: ClassVar[int] = 1


class UsageError(EmoshiftError):
    """The command line cannot be understood."""

    exit_code = 2


class InputError(EmoshiftError):
    """A clip or file is missing, cut short, or not of the expected kind."""

    exit_code = 66


class BundleError(InputError):
    """A model bundle is missing, incomplete, altered, or of another schema."""


class UnavailableError(EmoshiftError):
    """A library, service or device feature that is needed is not there."""

    exit_code = 69


class OutputError(EmoshiftError):
    """A file or folder cannot be written."""

    exit_code = 73


class OutboxError(OutputError):
    """The event store cannot be opened or written."""


class StoreError(OutputError):
    """The database cannot be opened, or is of a version that this program does not know."""


class CameraError(EmoshiftError):
    """A camera or stream cannot be opened or read."""

    exit_code = 74


class ConfigError(EmoshiftError):
    """The configuration does not validate.

    Attributes:
        problems: One line for each problem found.
    """

    exit_code = 78

    def __init__(self, where: str, problems: list[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__("\n  - ".join([f"{where}: {count}", *problems]))

"""The errors an operator of the dashboard can meet, with their exit codes.

```
DashboardError                1
├── UsageError                2   the command line
├── UnavailableError         69   a broker, database or library is not there  (EX_UNAVAILABLE)
├── StoreError               73   the database cannot be opened or is of a newer version
├── RefusedError             77   the broker or the database refuses          (EX_NOPERM)
└── ConfigError              78   the configuration                           (EX_CONFIG)
```

The codes are those of the device. A lost link is a state, not an error.
"""

from __future__ import annotations

from typing import ClassVar


class DashboardError(Exception):
    """Anything that is told to the operator in one line."""

    exit_code: ClassVar[int] = 1


class UsageError(DashboardError):
    """The command line cannot be understood."""

    exit_code = 2


class UnavailableError(DashboardError):
    """A broker, database or library that is needed is not there."""

    exit_code = 69


class StoreError(DashboardError):
    """The database cannot be opened, or is of a version that this program does not know."""

    exit_code = 73


class RefusedError(DashboardError):
    """The broker or the database refuses what was asked."""

    exit_code = 77


class ConfigError(DashboardError):
    """The configuration does not validate."""

    exit_code = 78

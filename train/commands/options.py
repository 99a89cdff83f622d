"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

PATH: Final = click.Path(path_type=Path)

data_option = click.option(
    "--data",
    type=PATH,
    default=lambda: Path(os.environ.get("EMOSHIFT_DATA", "../shared/data")),
    show_default="$EMOSHIFT_DATA or ../shared/data",
    help="Folder that holds fer2013/ and ckplus48/.",
)
cache_option = click.option(
    "--cache", type=PATH, default=Path(".cache"), show_default=True, help="What is kept."
)
runs_option = click.option(
    "--runs", type=PATH, default=Path("runs"), show_default=True, help="Folder of all runs."
)
name_option = click.option(
    "--name", required=True, help="Lower-case name; the folder is <time>-<name>."
)

"""Published times of known networks on boards, read from the files in this folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["float32", "int8", "opencv"]
"""Networks that are comparable: float and int8 ones in the TFLite runtime, float ones in OpenCV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSet:
    """Times that were published together.

    Attributes:
        runtime: What ran the networks.
        threads: How many threads it had.
        source: Key of the source.
        ms: Milliseconds of each network.
    """

    runtime: str
    kind: Kind
    threads: int
    source: str
    ms: Mapping[str, float]

    @property
    def fast_kernels(self) -> bool:
        """Whether XNNPACK ran it, as it runs this project's networks, or OpenCV its own."""
        return "XNNPACK" in self.runtime or self.kind == "opencv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board and what is published of it.

    Attributes:
        key: Name of its file.
        cores: Processors.
        models: How it calls itself, as far as all its revisions agree.
        target: Whether enough is published to project onto it.
        related: Key of the board by which it is known where nothing direct is published.
    """

    key: str
    name: str
    cores: int
    models: tuple[str, ...]
    target: bool
    related: str | None
    figures: tuple[FigureSet, ...]

    def is_called(self, model: str) -> bool:
        """Whether a device that calls itself so is this board."""
        return any(model.startswith(own) for own in self.models)


def read_boards() -> dict[str, Board]:
    """Read every board, by key."""
    folder = resources.files("benchmarks") / "published" / "boards"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name[:-5]: _board(f.name[:-5], tomllib.loads(f.read_text("utf-8"))) for f in files}


def read_sources() -> dict[str, str]:
    """Read where the figures stand, by key."""
    file = resources.files("benchmarks") / "published" / "sources.toml"
    return tomllib.loads(file.read_text("utf-8"))


def known_targets() -> tuple[str, ...]:
    """Keys of the boards that can be projected onto."""
    return tuple(key for key, board in read_boards().items() if board.target)


def _board(key: str, data: dict[str, Any]) -> Board:
    return Board(
        key=key,
        name=data["name"],
        cores=data["cores"],
        models=tuple(data["models"]),
        target=data.get("target", False),
        related=data.get("related"),
        figures=tuple(FigureSet(**figures) for figures in data["figures"]),
    )

"""What is shown when: the prompts of a calibration, and the script of a clip."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, get_args

from emoshift.emotions import Emotion
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

Shows = Literal[
    "rest", "talk", "anything", "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"
]
"""``rest``, ``talk`` and ``neutral`` show no emotion; of ``anything`` nothing is expected."""
_QUIET: Final = {"rest", "talk", "neutral"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A span of a recording and what the person shows in it.

    Attributes:
        from_s, to_s: Of the recording.
        shows: What.
    """

    from_s: float
    to_s: float
    shows: Shows

    @property
    def emotion(self) -> Emotion | None:
        """The emotion to be found; ``None`` where nothing is expected."""
        if self.shows == "anything":
            return None
        return Emotion.NEUTRAL if self.shows in _QUIET else Emotion.from_label(self.shows)

    @property
    def quiet(self) -> bool:
        """Whether every change to an emotion is wrong here."""
        return self.shows in _QUIET


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request on the screen.

    Attributes:
        shows: What is asked for.
        seconds: For how long.
        text: The words.
    """

    shows: Shows
    seconds: float
    text: str


TEXT_TO_READ: Final = (
    "The north wind and the sun were disputing which was the stronger, when a traveller came along"
    " wrapped in a warm cloak. They agreed that the one who first made the traveller take the cloak"
    " off should be considered stronger than the other."
)
_REST: Final = Prompt(shows="rest", seconds=5.0, text="Look at the camera and rest your face.")
_TALK: Final = Prompt(shows="talk", seconds=18.0, text=f"Read this aloud:\n  {TEXT_TO_READ}")
_EXPRESSIONS: Final = (
    Prompt(shows="happy", seconds=4.0, text="Smile."),
    Prompt(shows="surprise", seconds=4.0, text="Be surprised: brows up, mouth open."),
    Prompt(shows="angry", seconds=4.0, text="Frown, as if somebody annoyed you."),
    Prompt(shows="sad", seconds=4.0, text="Look sad, as well as you can."),
)
_ROUND: Final = (_REST, _TALK, *(p for shown in _EXPRESSIONS for p in (shown, _REST)))
PROMPTS: Final = _ROUND + _ROUND
"""Everything twice: one round is fitted to, the other held back. A little over two minutes."""
PIECE_S: Final = 8.0
"""Longer rest or talk is divided between the two halves in parts of about this length."""
REACTION_S: Final = 1.0
"""A person needs so long to do what a prompt asks for; what is decided meanwhile is not judged."""


def segments_of(prompts: tuple[Prompt, ...], starts_s: list[float]) -> tuple[Segment, ...]:
    """What was shown when, of prompts that appeared at these moments."""
    found: list[Segment] = []
    for prompt, start_s in zip(prompts, starts_s, strict=True):
        end_s = start_s + prompt.seconds
        if prompt.shows in _QUIET:
            ready_s = start_s + REACTION_S
            found.append(Segment(from_s=start_s, to_s=ready_s, shows="anything"))
            found.append(Segment(from_s=ready_s, to_s=end_s, shows=prompt.shows))
        else:  # the moment somebody smiles is within the span, whenever it is
            found.append(Segment(from_s=start_s, to_s=end_s, shows=prompt.shows))
    return tuple(found)


def halves(segments: tuple[Segment, ...]) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Divide a recording into what is fitted to and what is held back.

    What is shown twice goes to each once; what is shown once, to the half that has less so far.
    """
    parts: tuple[list[Segment], list[Segment]] = ([], [])
    shown_s: dict[tuple[str, int], float] = {}
    for segment in (piece for whole in segments for piece in _pieces(whole)):
        kind = "quiet" if segment.quiet else "expression"
        loads = [
            (shown_s.get((segment.shows, part), 0.0), shown_s.get((kind, part), 0.0))
            for part in (0, 1)
        ]
        part = int(loads[1] < loads[0])
        for name in (segment.shows, kind):
            shown_s[name, part] = shown_s.get((name, part), 0.0) + segment.to_s - segment.from_s
        parts[part].append(segment)
    return tuple(parts[0]), tuple(parts[1])


def _pieces(segment: Segment) -> list[Segment]:
    """A long quiet span in parts; an expression stays whole."""
    length_s = segment.to_s - segment.from_s
    count = max(1, round(length_s / PIECE_S)) if segment.quiet else 1
    edges = [segment.from_s + length_s * i / count for i in range(count + 1)]
    return [replace(segment, from_s=a, to_s=b) for a, b in pairwise(edges)]


def read_script(path: Path) -> tuple[Segment, ...]:
    """Read what a clip shows when.

    The file is a JSON list such as ``[{"from_s": 0, "to_s": 20, "shows": "talk"}]``.

    Raises:
        InputError: It cannot be read, or says something else; the message says which entry.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise InputError(f"{path}: cannot be read: {why.strerror}") from why
    except ValueError as why:
        raise InputError(f"{path}: not JSON: {why}") from why
    if not isinstance(data, list) or not data:
        raise InputError(f"{path}: expected a list of spans with from_s, to_s and shows")
    return tuple(segment_of(entry, f"{path}: entry {n}") for n, entry in enumerate(data, start=1))


def segment_of(entry: object, where: str) -> Segment:
    """Read one span.

    Raises:
        InputError: It is none.
    """
    known = get_args(Shows)
    match entry:
        case {"from_s": int() | float() as begin, "to_s": int() | float() as end, "shows": shows}:
            if shows not in known:
                raise InputError(f"{where}: shows {shows!r}; expected one of {', '.join(known)}")
            if not 0 <= begin < end:
                raise InputError(f"{where}: from_s {begin} and to_s {end} are no span")
            return Segment(from_s=float(begin), to_s=float(end), shows=shows)
    raise InputError(f"{where}: expected from_s, to_s and shows")

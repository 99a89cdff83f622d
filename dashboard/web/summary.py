"""One sentence about a class: how lively it is beside its own earlier lessons, and what stood out.

It speaks of the class, never of a person: it is made of sums over minutes in which the class was
large enough to be shown, and says nothing where too few such minutes or earlier lessons are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboard.web.strings import looked_names
from emoshift.emotions import EMOTIONS

if TYPE_CHECKING:
    import gettext
    from collections.abc import Sequence

    from dashboard.store.read import Bucket

MIN_MINUTES: Final = 10
"""Fewer minutes say too little about a lesson."""
MIN_LESSONS: Final = 2
"""A comparison with one earlier lesson would describe that one."""
MAX_LESSONS: Final = 3
CLEARLY: Final = 1.25
"""Factor beyond the range of the earlier lessons from which it is called calmer or livelier."""
_HARDLY: Final = 12
"""From one face in so many on, a number would sound surer than it is."""
STOOD_OUT: Final = 0.08
"""Share of faces by which an emotion must differ from earlier lessons to be mentioned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonFigures:
    """Sums over one lesson.

    Attributes:
        minutes: Minutes that may be shown.
        faces: Faces in view, mean of those minutes.
        changes: Transitions a face and minute.
        shares: Share of the faces in each state, in the order of the contract.
    """

    minutes: int
    faces: float
    changes: float
    shares: tuple[float, ...]


def figures(buckets: Sequence[Bucket]) -> LessonFigures | None:
    """Sum up buckets; ``None`` where they hold too few minutes that may be shown."""
    shown = [bucket for bucket in buckets if bucket.states is not None]
    minutes = sum(bucket.minutes for bucket in shown)
    if minutes < MIN_MINUTES:
        return None
    faces = sum(bucket.faces * bucket.minutes for bucket in shown) / minutes
    changes = sum(sum(bucket.changes or ()) for bucket in shown)
    columns = zip(*(bucket.states or () for bucket in shown), strict=True)
    weights = [bucket.minutes for bucket in shown]
    shares = tuple(
        sum(share * weight for share, weight in zip(column, weights, strict=True)) / minutes
        for column in columns
    )
    return LessonFigures(
        minutes=minutes, faces=faces, changes=changes / (faces * minutes), shares=shares
    )


def summarise(
    now: LessonFigures | None,
    earlier: Sequence[LessonFigures],
    *,
    title: str,
    words: gettext.NullTranslations,
) -> dict[str, Any] | None:
    """Return the sentence and what it rests on; ``None`` where nothing can be said.

    Args:
        now: The lesson on the page.
        earlier: Earlier lessons of the same title, newest first.
        title: What the lessons are called.
        words: The viewer's language.
    """
    earlier = list(earlier)[:MAX_LESSONS]
    if now is None or len(earlier) < MIN_LESSONS:
        return None
    _ = words.gettext
    rates = [one.changes for one in earlier]
    asked = {"n": len(earlier), "title": title}
    if now.changes * CLEARLY < min(rates):
        text = _("Calmer than your last %(n)s lessons of %(title)s: fewer changes of expression.")
    elif now.changes > max(rates) * CLEARLY:
        text = _("Livelier than your last %(n)s lessons of %(title)s: more changes of expression.")
    else:
        text = _("About as lively as your last %(n)s lessons of %(title)s.")
    sentence = text % asked
    if (stood_out := _stood_out(now, earlier, words)) is not None:
        sentence = f"{sentence} {stood_out}"
    usual = sum(rates) / len(rates)
    return {
        "text": sentence,
        "minutes": now.minutes,
        "faces": round(now.faces, 1),
        "changes": round(10 * now.changes, 2),
        "usualChanges": round(10 * usual, 2),
        "lessons": len(earlier),
    }


def _stood_out(
    now: LessonFigures, earlier: Sequence[LessonFigures], words: gettext.NullTranslations
) -> str | None:
    """Describe the emotion whose share differs most from what is usual, if it differs enough."""
    _ = words.gettext
    columns = zip(*(one.shares for one in earlier), strict=True)
    usual = [sum(column) / len(earlier) for column in columns]
    feelings = [i for i, name in enumerate(EMOTIONS) if name != "neutral"]
    most = max(feelings, key=lambda i: abs(now.shares[i] - usual[i]))
    share, before = now.shares[most], usual[most]
    if abs(share - before) < STOOD_OUT or max(share, before) <= 0:
        return None
    looked = looked_names(words)[EMOTIONS[most]]
    one_in = max(1, round(1 / max(share, 0.01)))
    asked = {"k": one_in, "looked": looked}
    if one_in > _HARDLY:
        return _("Hardly any face %(looked)s, less than usual.") % asked
    if share > before:
        return _("At any moment about one face in %(k)s %(looked)s, more than usual.") % asked
    return _("At any moment about one face in %(k)s %(looked)s, less than usual.") % asked

"""Outline pictures: edges, no faces, not before it is known where faces are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.aim.outline import DELAY_S, OutlineDelay
from edge.aim.report import OUTLINE_S, Outline, Report, read_message
from edge.aim.vision import ShapeReporter
from edge.values import Box, Frame, frozen

WIDTH, HEIGHT = 640, 360
NOISE = np.random.default_rng(3).integers(0, 256, (45, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)


def dots(outline: Outline) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(outline.bits, np.uint8))
    return bits[: outline.rows * outline.columns].reshape(outline.rows, outline.columns)


@given(
    x=st.floats(-80, WIDTH), y=st.floats(-80, HEIGHT), width=st.floats(8, 300), late=st.booleans()
)
def test_faces_are_left_out(x: float, y: float, width: float, late: bool) -> None:
    """No dot lies on a face or its margin, also when the face is found after the picture."""
    delay = OutlineDelay()
    face = Box(x=x, y=y, width=width, height=1.3 * width)
    delay.add_faces([] if late else [face], at_s=10.0, size=(WIDTH, HEIGHT))
    delay.add_picture(NOISE, at_s=10.0)
    delay.add_faces([face], at_s=10.0 + DELAY_S, size=(WIDTH, HEIGHT))
    outline = delay.take(now_s=10.0 + DELAY_S, seconds_left=9)
    assert outline is not None
    across = (np.arange(outline.columns) + 0.5) * WIDTH / outline.columns
    down = (np.arange(outline.rows) + 0.5) * HEIGHT / outline.rows
    wide = (x - width / 2 < across) & (across < x + 1.5 * width)
    high = (y - 0.65 * width < down) & (down < y + 1.95 * width)
    assert not dots(outline)[np.ix_(high, wide)].any()


def test_edges_are_shown() -> None:
    """What is no face is there: the picture would be of no use otherwise."""
    delay = OutlineDelay()
    delay.add_faces([], at_s=0.0, size=(WIDTH, HEIGHT))
    delay.add_picture(NOISE, at_s=0.0)
    outline = delay.take(now_s=DELAY_S, seconds_left=9)
    assert outline is not None
    assert dots(outline).mean() > 0.05


def test_none_goes_out_before_its_time() -> None:
    """A picture waits until the detector has had time to look at all of it."""
    delay = OutlineDelay()
    delay.add_faces([], at_s=0.0, size=(WIDTH, HEIGHT))
    delay.add_picture(NOISE, at_s=0.0)
    assert delay.take(now_s=DELAY_S - 0.01, seconds_left=9) is None


def outlines_between(reporter: ShapeReporter, start_s: float, end_s: float, **how: bool) -> int:
    """Let frames come at ten a second; count the outlines that go out."""
    import io

    pipe = io.BytesIO()
    for tenth in range(round(10 * start_s), round(10 * end_s)):
        frame = Frame(image=frozen(NOISE.copy()), seq=tenth, captured_s=tenth / 10)
        pipe.write(reporter.look(frame, (), **how))
    pipe.seek(0)
    found = 0
    while (message := read_message(pipe)) is not None:
        found += isinstance(message, Outline)
        assert isinstance(message, Report) or message.seconds_left <= OUTLINE_S
    return found


def test_five_minutes_at_most() -> None:
    """Outlines end after five minutes, also when they are asked for again and again meanwhile."""
    reporter = ShapeReporter()
    assert outlines_between(reporter, 0, 5, searched=True) == 0
    reporter.ask_outline(5.0)
    assert outlines_between(reporter, 5, 10, searched=True) > 0
    reporter.ask_outline(10.0)
    assert outlines_between(reporter, 303, 305, searched=True) > 0
    assert outlines_between(reporter, 305, 310, searched=True) == 0


def test_they_can_be_ended() -> None:
    """They end at once when somebody says so."""
    reporter = ShapeReporter()
    reporter.ask_outline(0.0)
    assert outlines_between(reporter, 0, 5, searched=True) > 0
    reporter.end_outline()
    assert outlines_between(reporter, 5, 10, searched=True) == 0


@pytest.mark.parametrize("searched_before", [False, True])
def test_nobody_looks_for_faces(searched_before: bool) -> None:
    """While the detector does not answer, nothing goes out."""
    reporter = ShapeReporter()
    reporter.ask_outline(0.0)
    if searched_before:
        outlines_between(reporter, 0, 5, searched=True)
    assert outlines_between(reporter, 5 + DELAY_S, 15, searched=False) == 0

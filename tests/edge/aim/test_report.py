"""What crosses the pipe is of one form: nothing else gets in, and nothing is lost on the way."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.aim.report import (
    CAMERA_STATES,
    CELLS_ACROSS,
    CELLS_DOWN,
    LONGER_SIDE,
    MOST_FACES,
    FaceShape,
    NotOfThisForm,
    Outline,
    Report,
    read_message,
)

percent = st.integers(0, 100)
shapes = st.builds(
    FaceShape,
    number=st.integers(0, 0xFFFF),
    x=st.integers(-500, 9000),
    y=st.integers(-500, 9000),
    width=st.integers(0, 9000),
    height=st.integers(0, 9000),
    score=percent,
)
cells = CELLS_ACROSS * CELLS_DOWN
reports = st.builds(
    Report,
    state=st.sampled_from(CAMERA_STATES),
    width=st.integers(0, 9000),
    height=st.integers(0, 9000),
    brightness=percent,
    sharpness=st.integers(0, 0xFFFF),
    fps=st.integers(0, 3000).map(lambda tenths: tenths / 10),
    searched=st.booleans(),
    outline_s=st.integers(0, 300),
    faces=st.lists(shapes, max_size=MOST_FACES).map(tuple),
    seen=st.lists(percent, min_size=cells, max_size=cells).map(tuple),
)


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    shorter = draw(st.integers(1, LONGER_SIDE))
    columns, rows = draw(st.permutations([LONGER_SIDE, shorter]))
    size = -(-columns * rows // 8)
    return Outline(
        seconds_left=draw(st.integers(0, 300)),
        columns=columns,
        rows=rows,
        bits=draw(st.binary(min_size=size, max_size=size)),
    )


@given(st.lists(st.one_of(reports, outlines()), max_size=4))
def test_what_is_written_is_read(messages: list[Report | Outline]) -> None:
    """Messages come out of the pipe one after the other as they went in."""
    pipe = io.BytesIO(b"".join(message.encode() for message in messages))
    found = []
    while (message := read_message(pipe)) is not None:
        found.append(message)
    assert found == messages


@given(st.binary(min_size=1, max_size=400))
def test_anything_else_is_refused(data: bytes) -> None:
    """Bytes that are not one of the two messages are refused, whatever they are."""
    try:
        message = read_message(io.BytesIO(data))
    except NotOfThisForm:
        return
    assert message is not None
    assert data.startswith(message.encode())


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Report(state="running").encode()[:-1], id="cut short"),
        pytest.param(Report(state="running", brightness=101).encode(), id="brighter than white"),
        pytest.param(Report(state="running", outline_s=301).encode(), id="outline for too long"),
        pytest.param(
            Outline(seconds_left=9, columns=161, rows=1, bits=bytes(21)).encode(), id="too fine"
        ),
        pytest.param(
            Outline(seconds_left=301, columns=160, rows=1, bits=bytes(20)).encode(), id="too long"
        ),
        pytest.param(b"\xff\xd8\xff\xe0", id="a JPEG picture"),
    ],
)
def test_out_of_range(message: bytes) -> None:
    """A number outside its range is refused."""
    with pytest.raises(NotOfThisForm):
        read_message(io.BytesIO(message))

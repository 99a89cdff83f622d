"""Where the detector looks."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.faces.detector import Region
from edge.faces.search_regions import INPUT_PX, SearchRegionPlanner
from edge.values import Box


def face(x: float, y: float, width: float) -> Box:
    return Box(x=x, y=y, width=width, height=1.2 * width)


def rounds(
    planner: SearchRegionPlanner, count: int, size: tuple[int, int], known: list[Box]
) -> list[Region]:
    return [planner.next_region(*size, known) for _ in range(count)]


@pytest.mark.parametrize(
    ("size", "known", "near", "tiles"),
    [
        pytest.param((1280, 720), [], 0, 2, id="nobody yet: the whole room and its tiles"),
        pytest.param((1280, 720), [face(500, 300, 200)], 4, 2, id="one near face"),
        pytest.param((1280, 720), [face(500, 300, 24)], 0, 2, id="a classroom"),
        pytest.param((1280, 720), [face(500, 300, 15)], 0, 4, id="far faces"),
        pytest.param((640, 480), [face(300, 200, 150)], 6, 0, id="a small picture has no tiles"),
    ],
)
def test_kinds_of_rounds(size: tuple[int, int], known: list[Box], near: int, tiles: int) -> None:
    """Near looks where they suffice, tiles where only they show the faces."""
    planner = SearchRegionPlanner(smallest_px=10, wanted_px=14)
    regions = rounds(planner, 8, size, known)
    whole = max(r.scale for r in regions if (r.width, r.height) == size)
    assert sum(r.scale < whole for r in regions) == near
    assert sum((r.width, r.height) != size for r in regions) == tiles


@settings(max_examples=80, deadline=None)
@given(
    st.integers(64, 3840),
    st.integers(64, 2160),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(8, 300)), max_size=5),
    st.sampled_from([1.0, 0.7, 0.5]),
)
@example(3410, 1798, [], 1.0)
def test_laws(
    width: int, height: int, places: list[tuple[float, float, float]], scale: float
) -> None:
    """Every look lies in the frame, costs about the same at most, and tiles leave no gap."""
    planner = SearchRegionPlanner(smallest_px=10, wanted_px=14)
    known = [face(x * width, y * height, w) for x, y, w in places]
    seen = set()
    for _ in range(128):  # one in four is a tile, of which the largest pictures have two dozen
        region = planner.next_region(width, height, known, scale)
        assert 0 <= region.x < region.x + region.width <= width
        assert 0 <= region.y < region.y + region.height <= height
        assert 0 < region.scale <= 1
        assert region.width * region.height * region.scale**2 <= INPUT_PX * 1.3
        if (region.width, region.height) != (width, height):
            seen.add((region.x, region.y, region.width, region.height))
    if seen:
        for x in (0, width // 2, width - 1):
            for y in (0, height // 2, height - 1):
                assert any(a <= x < a + w and b <= y < b + h for a, b, w, h in seen)


def test_a_cut_face_is_reported() -> None:
    """A face at an inner edge of a tile is cut; one at the edge of the picture is not."""
    planner = SearchRegionPlanner(smallest_px=10, wanted_px=14)
    tile = Region(x=0, y=0, width=700, height=720, scale=0.7)
    assert planner.cuts(tile, face(690, 300, 30), (1280, 720))
    assert not planner.cuts(tile, face(-5, 300, 30), (1280, 720))
    assert not planner.cuts(tile, face(300, 300, 30), (1280, 720))


def test_what_a_look_could_have_found() -> None:
    """A face too small for the look, or outside it, is no miss; one that left the frame is."""
    planner = SearchRegionPlanner(smallest_px=10, wanted_px=14)
    look = Region(x=0, y=0, width=640, height=720, scale=0.5)
    size = (1280, 720)
    assert planner.could_find(look, face(100, 100, 24), size)
    assert planner.could_find(look, face(-60, 100, 24), size)
    assert not planner.could_find(look, face(100, 100, 16), size)
    assert not planner.could_find(look, face(900, 100, 24), size)

"""The wish to stop, as a signal handler may say it."""

from __future__ import annotations

import time
from functools import partial

import pytest

from emoshift.stop_flag import StopFlag
from tests.support.interrupting import interrupt


@pytest.mark.parametrize("moment", range(30))
def test_it_can_be_set_at_any_moment_of_a_wait(moment):
    """A handler runs in the midst of it, and ends it."""
    flag = StopFlag()
    began_s = time.monotonic()
    assert interrupt(partial(flag.wait, 60), after=moment, handler=flag.set)
    assert flag.is_set()
    assert time.monotonic() - began_s < 30


def test_it_can_be_set_while_it_is_set():
    """Two signals at once are as good as one."""
    moment = 0
    while interrupt((flag := StopFlag()).set, after=moment, handler=flag.set):
        assert flag.is_set()
        moment += 1
    assert moment > 1


def test_a_wait_ends_by_itself():
    """As that of `threading.Event` does."""
    flag = StopFlag()
    assert not flag.wait(0)
    assert not flag.wait(0.01)
    flag.set()
    assert flag.wait()
    flag.clear()
    assert not flag.is_set()

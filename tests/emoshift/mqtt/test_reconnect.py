"""The reconnect plan: when, with which protocol, and how loudly."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoshift.mqtt.connection import Failure
from emoshift.mqtt.reconnect import (
    ANSWER_S,
    FIRST_ANSWER_S,
    LONGEST_DELAY_S,
    SLOW_DELAY_S,
    ConnectionState,
    Reconnect,
)


def plan(jitter: float = 1.0) -> Reconnect:
    """A plan whose chance always falls the same way."""
    return Reconnect(("5", "3.1.1"), lambda: jitter)


def fail(link: Reconnect, failure: Failure, at_s: float) -> tuple[int, float]:
    """Fail an attempt; the log level and the delay."""
    link.start(at_s)
    return link.fail(failure, "said", at_s).level, link.due_s - at_s


def accept(link: Reconnect) -> None:
    """Let an attempt succeed."""
    link.start(0.0)
    link.succeed(0.0)


def test_delays_double_up_to_a_limit() -> None:
    """A broker that is away is looked for again, ever more rarely, but within four seconds."""
    link = plan()
    assert [fail(link, Failure.UNREACHABLE, 0.0)[1] for _ in range(6)] == [0.5, 1, 2, 4, 4, 4]


def test_the_first_failure_is_loud() -> None:
    """The first of its kind is a warning, the rest are for debugging."""
    link = plan()
    levels = [
        fail(link, failure, 0.0)[0]
        for failure in (Failure.UNREACHABLE, Failure.UNREACHABLE, Failure.TLS, Failure.TLS)
    ]
    assert levels == [logging.WARNING, logging.DEBUG] * 2


@pytest.mark.parametrize("failure", [Failure.CREDENTIALS, Failure.IDENTITY, Failure.TAKEN_OVER])
def test_what_a_person_must_mend_is_tried_slowly(failure: Failure) -> None:
    """Refused credentials are said once and tried once a minute."""
    link = plan()
    assert fail(link, failure, 0.0) == (logging.WARNING, SLOW_DELAY_S)
    assert fail(link, failure, 60.0) == (logging.DEBUG, SLOW_DELAY_S)


@pytest.mark.parametrize("failure", [Failure.PROTOCOL, Failure.SILENT])
def test_the_older_protocol_is_tried_at_once(failure: Failure) -> None:
    """A broker that does not like MQTT 5, and shows it, is asked in 3.1.1 at once."""
    link = plan()
    assert link.protocol == "5"
    assert fail(link, failure, 0.0) == (logging.DEBUG, 0.0)
    assert link.protocol == "3.1.1"
    accept(link)
    assert link.protocol == "3.1.1"


def test_the_first_answer_is_not_waited_for_long() -> None:
    """Until MQTT 5 was accepted its silence is short: a 3.1.1 broker may misread it for ever."""
    link = plan()
    assert link.answer_s == FIRST_ANSWER_S
    fail(link, Failure.SILENT, 0.0)
    assert (link.protocol, link.answer_s) == ("3.1.1", ANSWER_S)
    accept(link)
    link.fail(Failure.LOST, "said", 5.0)
    assert (link.protocol, link.answer_s) == ("5", FIRST_ANSWER_S)
    accept(link)
    link.fail(Failure.LOST, "said", 5.0)
    assert (link.protocol, link.answer_s) == ("5", ANSWER_S)


def test_one_hang_up_is_no_refusal_of_the_protocol() -> None:
    """A wire that was cut while connecting looks like it; the second hang-up in a row counts."""
    link = plan()
    assert fail(link, Failure.HUNG_UP, 0.0) == (logging.WARNING, 0.5)
    assert link.protocol == "5"
    assert fail(link, Failure.HUNG_UP, 0.5) == (logging.DEBUG, 0.0)
    assert link.protocol == "3.1.1"


@pytest.mark.parametrize("failure", [Failure.HUNG_UP, Failure.SILENT])
def test_a_protocol_once_accepted_is_not_given_up_for_a_cut_wire(failure: Failure) -> None:
    """3.1.1 does not say whether anybody listens, so events would be lost on subscribers."""
    link = plan()
    accept(link)
    link.fail(Failure.LOST, "said", 1.0)
    for _ in range(3):
        fail(link, failure, 1.0)
        assert link.protocol == "5"
    fail(link, failure, 1.0)
    assert link.protocol == "3.1.1", "in the end it may be another broker"


def test_an_old_broker_is_found_again_without_delay() -> None:
    """Where 3.1.1 was accepted, the first hang-up at 5 is refusal enough."""
    link = plan()
    fail(link, Failure.PROTOCOL, 0.0)
    accept(link)
    link.fail(Failure.LOST, "said", 5.0)
    assert link.protocol == "5"
    assert fail(link, Failure.HUNG_UP, 6.0) == (logging.DEBUG, 0.0)
    assert link.protocol == "3.1.1"


def test_both_protocols_refused() -> None:
    """When neither is liked, it is said, and 5 is tried first the next time."""
    link = plan()
    fail(link, Failure.PROTOCOL, 0.0)
    assert fail(link, Failure.PROTOCOL, 0.0) == (logging.WARNING, SLOW_DELAY_S)
    assert link.protocol == "5"


def test_a_lost_connection_prefers_the_newer_protocol_again() -> None:
    """A hang-up during a restart does not bind us to the older protocol for ever."""
    link = plan()
    fail(link, Failure.SILENT, 0.0)
    accept(link)
    link.fail(Failure.LOST, "said", 5.0)
    assert link.protocol == "5"


def test_a_settled_connection_starts_the_delays_anew() -> None:
    """After half a minute online the next failure counts as the first."""
    link = plan()
    for _ in range(5):
        fail(link, Failure.UNREACHABLE, 0.0)
    accept(link)
    assert link.state is ConnectionState.ONLINE
    link.fail(Failure.LOST, "said", 30.0)
    assert link.due_s == 30.5


def test_a_link_that_flaps_is_said_once() -> None:
    """A link that comes and goes every few seconds does not fill the log."""
    link, levels = plan(), []
    for round_s in (0.0, 10.0, 20.0):
        link.start(round_s)
        levels.append(link.succeed(round_s))
        levels.append(link.fail(Failure.LOST, "said", round_s + 5.0).level)
    assert levels == [
        logging.INFO,
        logging.WARNING,
        *(logging.INFO, logging.DEBUG),
        *(logging.DEBUG, logging.DEBUG),
    ]


@settings(deadline=None)
@given(st.lists(st.sampled_from(Failure), min_size=1, max_size=30), st.floats(0, 1))
def test_there_is_always_a_next_attempt(failures: list[Failure], jitter: float) -> None:
    """Whatever fails, the next attempt is planned, never sooner than now, within a minute."""
    link, now_s = plan(jitter), 0.0
    for failure in failures:
        level, delay_s = fail(link, failure, now_s)
        assert link.state is ConnectionState.WAITING
        assert 0 <= delay_s <= SLOW_DELAY_S
        assert level in {logging.DEBUG, logging.WARNING}
        if failure in {Failure.UNREACHABLE, Failure.LOST}:
            assert delay_s <= LONGEST_DELAY_S
        now_s = link.due_s

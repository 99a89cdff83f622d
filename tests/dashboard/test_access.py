"""Signing in under attack, classes for some viewers alone, the audit log, unfriendly forms."""

from __future__ import annotations

import csv
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("httpx2")  # the test client needs it; a running dashboard does not

from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from dashboard.simulate.classroom import make_school
from dashboard.simulate.history import write_past
from dashboard.store.accounts import Account, People, Role
from dashboard.store.audit import AuditLog
from dashboard.store.database import open_store
from dashboard.web.app import make_app
from dashboard.web.exports import _plain
from dashboard.web.rate_limit import FREE_TRIES, Throttle, login_keys
from emoshift.errors import UsageError
from emoshift.topics import Address
from tests.support.dashboard import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

HTML = {"accept": "text/html"}
PASSWORD = "a password of the school"
ONE, OTHER = "school-1/room-101", "school-1/room-102"


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> str:
    """Two classrooms; anna is admin, ben sees one class, cleo a group, dan nothing."""
    database = str(tmp_path_factory.mktemp("access") / "history.db")
    engine = open_store(database)
    write_past(engine, make_school(2, seed=1), now_ms=time.time_ns() // 1_000_000, seed=1)
    people = People(engine)
    people.put_group("year-7", [OTHER])
    people.put("anna", PASSWORD, Role.ADMIN)
    people.put("ben", PASSWORD, Role.VIEWER, places=[ONE])
    people.put("cleo", PASSWORD, Role.VIEWER, places=["@year-7"])
    people.put("dan", PASSWORD, Role.VIEWER)
    engine.dispose()
    return database


@pytest.fixture
def app(filled) -> Iterator[object]:
    """The application on that history; the broker is away."""
    engine = open_store(filled)
    yield make_app(settings(1, filled), engine)
    engine.dispose()


@pytest.fixture
def client(app) -> Iterator[TestClient]:
    """A browser that has not signed in."""
    with browser(app) as found:
        app.state.context.hub.restore(app.state.context.archive.devices())
        yield found


def browser(app: object, address: str = "192.0.2.1") -> TestClient:
    return TestClient(
        app,  # type: ignore[arg-type]
        base_url="http://localhost",
        follow_redirects=False,
        client=(address, 50_000),
    )


def try_password(client: TestClient, name: str, password: str = PASSWORD) -> int:
    page = client.get("/login", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    form = {"csrf": token[1] if token else "", "name": name, "password": password}
    return client.post("/login", data=form).status_code


def csrf_of(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/about", headers=HTML).text)
    assert found is not None
    return found[1]


def test_guesses_at_once_are_counted_before_they_are_checked(client):
    """Of sixty simultaneous guesses five are checked; the right one among the others fails."""
    client.get("/login", headers=HTML)
    token = client.cookies["emoshift_login"]

    def guess(number: int) -> int:
        password = PASSWORD if number == 59 else f"guess {number}"
        form = {"csrf": token, "name": "anna", "password": password}
        return client.post("/login", data=form).status_code

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(guess, range(60)))
    assert answers.count(429) == 60 - FREE_TRIES["pair"]
    assert answers[59] == 429


def test_a_stranger_locks_nobody_out(app, client):
    """While strangers guess, the owner signs in: from elsewhere at first, then where known."""
    assert try_password(client, "anna") == 303
    for number in range(30):
        keys = login_keys(f"198.51.100.{number}", "anna", None)
        while app.state.context.throttle.begin(*keys, now_s=time.monotonic()) == 0:
            pass
    newcomer = browser(app, "192.0.2.77")
    assert try_password(newcomer, "anna") == 429  # guessed at from thirty addresses
    client.cookies.delete("emoshift_session")
    assert try_password(client, "anna") == 303
    for _ in range(FREE_TRIES["browser"]):
        client.cookies.delete("emoshift_session")
        try_password(client, "anna", "a wrong guess")
    assert try_password(client, "anna") == 429  # a stolen cookie is no way to guess either


def test_one_address_tries_few_passwords_over_all_accounts():
    """Guessing one password at many accounts ends as well."""
    throttle = Throttle()
    admitted = sum(
        throttle.begin(*login_keys("192.0.2.1", f"name {n}", None), now_s=0.0) == 0
        for n in range(1000)
    )
    assert admitted == FREE_TRIES["address"]


def test_many_addresses_try_few_passwords_at_one_account():
    """Two hundred households that guess for an hour have about a hundred and ten tries."""
    throttle = Throttle()
    admitted = 0
    for second in range(0, 3600, 30):
        for n in range(200):
            keys = login_keys(f"2001:db8:{n:x}::1", "anna", None)
            admitted += throttle.begin(*keys, now_s=float(second)) == 0
    assert admitted <= FREE_TRIES["account"] + 12


def test_ipv6_counts_by_household():
    """Addresses of one /64 count as one; IPv4 written as IPv6 counts as IPv4."""
    assert login_keys("2001:db8::1", "a", None) == login_keys("2001:db8::ffff:2", "a", None)
    assert login_keys("::ffff:192.0.2.1", "a", None) == login_keys("192.0.2.1", "a", None)
    assert login_keys("2001:db8:1::1", "a", None) != login_keys("2001:db8:2::1", "a", None)


def test_success_does_not_reset_what_others_share():
    """Signing in to an own account now and then gives no free guesses at another's."""
    throttle = Throttle()
    admitted = 0
    for n in range(200):
        own = login_keys("192.0.2.1", "mallory", None)
        if throttle.begin(*own, now_s=0.0) == 0:
            throttle.succeed(*own)
        admitted += throttle.begin(*login_keys("192.0.2.1", f"n {n}", None), now_s=0.0) == 0
    assert admitted <= FREE_TRIES["address"]


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("ben", f"/class/{ONE}", 200),
        ("ben", f"/class/{OTHER}", 404),
        ("ben", f"/class/{OTHER}/data", 404),
        ("ben", f"/class/{OTHER}/live", 404),
        ("ben", f"/class/{OTHER}/export.csv", 404),
        ("ben", f"/choose?room={OTHER}", 404),
        ("ben", "/audit", 403),
        ("cleo", f"/class/{ONE}", 404),
        ("cleo", f"/class/{OTHER}", 200),
        ("dan", f"/class/{ONE}", 404),
        ("dan", "/class", 200),
        ("anna", f"/class/{OTHER}", 200),
        ("anna", "/audit", 200),
    ],
)
def test_viewers_see_their_classes_alone(client, who, path, status):
    """A class of others is as if it did not exist, on every page and in every datum."""
    assert try_password(client, who) == 303
    assert client.get(path, headers=HTML).status_code == status


def test_lists_and_first_pages_keep_to_it_too(client):
    """The list of classes and the first page name none that may not be seen."""
    assert try_password(client, "cleo") == 303
    client.cookies.set("emoshift_room", ONE)
    assert client.get("/class", headers=HTML).headers["location"] == f"/class/{OTHER}"
    assert "room-101" not in client.get(f"/class/{OTHER}", headers=HTML).text


def test_nobody_ends_the_lesson_of_another(app, client):
    """A lesson is ended by whoever began it, or by an admin."""
    engine = app.state.context.engine
    People(engine).put("eve", PASSWORD, Role.VIEWER, places=[ONE])

    def mark(name: str, action: str, room: str = ONE) -> int:
        client.cookies.clear()
        assert try_password(client, name) == 303
        form = {"csrf": csrf_of(client), "action": action, "title": name}
        return client.post(f"/class/{room}/lesson", data=form).status_code

    assert mark("ben", "start") == 303
    assert mark("ben", "start", OTHER) == 404
    assert mark("eve", "end") == 403
    assert mark("ben", "end") == 303
    assert mark("eve", "start") == 303
    assert mark("anna", "end") == 303


def test_what_is_given_can_be_taken(app, client):
    """A change of what a viewer may see holds at once, also for who has signed in."""
    people = People(app.state.context.engine)
    people.put("fay", PASSWORD, Role.VIEWER, places=[ONE])
    assert try_password(client, "fay") == 303
    assert client.get(f"/class/{ONE}/data").status_code == 200
    people.allow("fay", [])
    assert client.get(f"/class/{ONE}/data").status_code == 404
    with pytest.raises(UsageError, match="no such group"):
        people.allow("fay", ["@nobody"])
    with pytest.raises(UsageError, match="expected site/device"):
        people.allow("fay", ["../etc"])


segments = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(segments, segments, segments, segments)
def test_a_place_opens_what_it_names_alone(site, device, other_site, other_device):
    """A class opens itself, a site its classes, nothing opens anything else."""
    address, other = Address(site, device), Address(other_site, other_device)
    viewer = Account(name="v", role=Role.VIEWER, places=frozenset({str(address)}))
    assert viewer.may_see(other) == (other == address)
    viewer = Account(name="v", role=Role.VIEWER, places=frozenset({f"{site}/*"}))
    assert viewer.may_see(other) == (other.site == site)
    assert not Account(name="v", role=Role.VIEWER).may_see(other)


def test_the_audit_log_names_who_did_what(app, client):
    """Signing in, views, exports, refusals and lessons are written down, with their address."""
    try_password(client, "ben", "a wrong guess")
    assert try_password(client, "ben") == 303
    for _ in range(3):  # a page that asks again and again is one view
        client.get(f"/class/{ONE}/data")
    client.get(f"/class/{OTHER}/data")
    client.get(f"/class/{ONE}/export.csv")
    client.post("/logout", data={"csrf": csrf_of(client)})
    log = AuditLog(app.state.context.engine).read(limit=6, account="ben")
    assert [(entry.action, entry.target) for entry in reversed(log)] == [
        ("wrong password", ""),
        ("signed in", ""),
        ("viewed", f"class {ONE}"),
        ("refused", f"/class/{OTHER}/data"),
        ("exported", f"class {ONE} as csv"),
        ("signed out", ""),
    ]
    assert {entry.address for entry in log} == {"192.0.2.1"}


@pytest.mark.parametrize("path", ["/login", "/prefer", f"/class/{ONE}/lesson"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_that_is_too_long(client, path, chunked):
    """A form over 16 kB is answered with 413, however it is sent."""
    assert try_password(client, "ben") == 303
    body = b"name=" + b"x" * 20_000
    content = iter([body[:9000], body[9000:]]) if chunked else body
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(path, content=content, headers=headers).status_code == 413


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\u00a0=1+1", "\t=1+1", "\r=1+1", "\uff1d1+1",
        "\uff0b1", "\uff0d1", "\uff20SUM(A1)", "\u3000=1", "a;=1+1", "a;\u00a0=1", "a\uff1b=1",
        'a,"=1+1', "a\t=1", "a\n=1", "\u200b=1", "'=1",
    ],
)  # fmt: skip
def test_cells_that_a_spreadsheet_would_compute(cell):
    """No cell, split at any separator, begins as a formula, whatever stands before the sign."""
    written = io.StringIO()
    csv.writer(written).writerow([_plain(cell)])
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(written.getvalue()), delimiter=separator):
            firsts = {part.strip(' "\u00a0\u3000\u200b')[:1] for part in row}
            assert not firsts & set("=+-@\uff1d\uff0b\uff0d\uff20")


@given(st.text())
def test_ordinary_cells_stay_as_they_are(cell):
    """Letters and digits are exported as they are."""
    word = "".join(one for one in cell if one.isalnum())
    assert _plain(word) == word

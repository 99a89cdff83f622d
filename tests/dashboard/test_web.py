"""The web application: who may see what, and what every answer carries."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("httpx2")  # the test client needs it; a running dashboard does not

from sqlalchemy import delete, insert, select, update
from starlette.testclient import TestClient

from dashboard.live.state import fold
from dashboard.live.steady_clock import steady_ms
from dashboard.simulate.classroom import Classroom, make_school
from dashboard.simulate.history import write_past
from dashboard.store import schema
from dashboard.store.accounts import People, Role
from dashboard.store.database import open_store
from dashboard.store.windows import WINDOW_MIN
from dashboard.web.app import make_app
from emoshift.emotions import STATES
from emoshift.messages import Info, read_message
from emoshift.topics import Address
from tests.support.dashboard import settings
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HTML = {"accept": "text/html"}
PASSWORDS = {"admin": "an admin's password", "viewer": "a viewer's password"}
ROOM = "school-1/room-101"
DEVICE_PAGES = [
    "/fleet",
    "/fleet/live",
    f"/device/{ROOM}",
    f"/device/{ROOM}/data",
    f"/device/{ROOM}/live",
    f"/device/{ROOM}/export.csv",
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> str:
    """A history of two simulated classrooms, and two accounts."""
    database = str(tmp_path_factory.mktemp("web") / "history.db")
    engine = open_store(database)
    rooms: list[Classroom] = make_school(2, seed=1)
    write_past(engine, rooms, now_ms=time.time_ns() // 1_000_000, seed=1)
    for name, password in PASSWORDS.items():
        People(engine).put(name, password, Role(name), places=["*"])
    engine.dispose()
    return database


@pytest.fixture
def client(filled) -> Iterator[TestClient]:
    """A browser that has not signed in; the broker is away."""
    config = settings(1, filled, web={"metrics_token": "scrape"})
    app = make_app(config, engine := open_store(filled))
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as found:
        for address in ("room-101", "room-102"):
            app.state.context.hub.restore(app.state.context.archive.devices())
            assert Address("school-1", address) in app.state.context.hub.devices
        yield found
    engine.dispose()


def sign_in(client: TestClient, name: str, password: str | None = None) -> int:
    page = client.get("/login", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    form = {"csrf": token[1] if token else "", "name": name, "next": "/"}
    answer = client.post("/login", data={**form, "password": password or PASSWORDS[name]})
    return answer.status_code


def csrf_of(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/about", headers=HTML).text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", ["/", "/class", f"/class/{ROOM}", "/about", *DEVICE_PAGES])
def test_nothing_without_signing_in(client, path):
    """Every page sends a stranger to the form, and every datum refuses one."""
    assert client.get(path, headers=HTML).headers["location"].startswith("/login")
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", DEVICE_PAGES)
def test_viewers_see_aggregates_only(client, path, caplog):
    """A viewer's request for a device is refused, and logged."""
    assert sign_in(client, "viewer") == 303
    assert client.get(path).status_code == 403
    assert "is no admin" in caplog.text
    assert client.get(f"/class/{ROOM}", headers=HTML).status_code == 200


def answers_of(client: TestClient, start_ms: int, end_ms: int) -> list[object]:
    """Ask everything that shows a class in a span of the past."""
    span = {"from": start_ms, "to": end_ms}
    data = client.get(f"/class/{ROOM}/data", params=span).json()
    past = {lesson["id"]: lesson for lesson in data["lessons"] if lesson["to"]}
    first, *_, last = sorted(past)
    return [
        *(data["buckets"], data["latest"], past),
        client.get(f"/class/{ROOM}/export.csv", params=span).text,
        client.get(f"/class/{ROOM}/compare?a=lesson-{first}&b=lesson-{last}").json(),
    ]


def test_what_a_viewer_gets_does_not_follow_single_faces(client):
    """Moments and events may be what they want: a viewer's every answer is made of windows."""
    sign_in(client, "viewer")
    now_ms = time.time_ns() // 1_000_000
    span = (now_ms - 3 * 24 * 3_600_000, now_ms - 1_800_000)
    before = answers_of(client, *span)
    assert before[0]
    assert before[1] == []
    page = client.get(f"/class/{ROOM}", headers=HTML).text
    assert "The last ten minutes" in page
    assert 'id="latest"' not in page
    engine = client.app.state.context.engine
    with engine.connect() as connection:
        kept = {
            table: connection.execute(select(table)).mappings().all()
            for table in (schema.CLASS, schema.EVENT, schema.TALLY)
        }
    try:
        with engine.begin() as connection:
            connection.execute(update(schema.CLASS).values(sad=schema.CLASS.c.sad + 1, hidden=1))
            connection.execute(delete(schema.EVENT))
            connection.execute(delete(schema.TALLY))
        assert answers_of(client, *span) == before
    finally:
        with engine.begin() as connection:
            for table, rows in kept.items():
                connection.execute(delete(table))
                connection.execute(insert(table), [dict(row) for row in rows])


def begin_in_mid_minute() -> None:
    """Marks are kept by the minute: what marks the same one twice must not begin at its end."""
    wait_until(lambda: time.time() % 60 < 30, 40.0)


def test_a_viewers_marks_hold_windows_alone(client):
    """A mark that a viewer exports holds a released window, and an admin's marks stay away."""
    begin_in_mid_minute()
    path = f"/class/{ROOM}"

    def as_account(name: str, **form: str) -> list[str]:
        client.cookies.clear()
        sign_in(client, name)
        client.post(f"{path}/mark", data={"csrf": csrf_of(client), **form})
        return client.get(f"{path}/marks.jsonl").text.splitlines()

    admins = as_account("admin", verdict="right", ago="20")
    (line,) = as_account("viewer", verdict="wrong", ago="20")
    mark = json.loads(line)
    assert mark["minutes"] % 10 == 0
    assert all(count == 0 or count >= 3 for count in mark["changes"].values())
    assert line not in admins
    numbers = [str(mark["id"]) for mark in marks_of(client)]
    assert len(as_account("admin", verdict="right", ago="20")) == len(admins) + 1
    as_account("admin", remove=str(marks_of(client)[0]["id"]))
    for number in numbers:
        as_account("viewer", remove=number)


def test_moments_where_the_settings_say_so(filled):
    """With ``viewers_see = "moments"`` a viewer sees what comes, and the page says what that is."""
    config = settings(1, filled, web={"viewers_see": "moments"})
    app = make_app(config, engine := open_store(filled))
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        app.state.context.hub.restore(app.state.context.archive.devices())
        sign_in(client, "viewer")
        assert client.get(f"/class/{ROOM}/data?span=week").json()["latest"]
        page = client.get(f"/class/{ROOM}", headers=HTML).text
        assert "can connect them with people" in page
        assert "The last ten minutes" not in page
    engine.dispose()


def test_admins_see_devices(client):
    """An admin sees the fleet and a device, with what needs attention."""
    sign_in(client, "admin")
    assert "room-102" in client.get("/fleet", headers=HTML).text
    assert client.get(f"/device/{ROOM}", headers=HTML).status_code == 200
    data = client.get(f"/device/{ROOM}/data").json()
    assert data["events"]
    assert "total" in data["latency"]["stages"]
    assert client.get("/device/school-9/room-1", headers=HTML).status_code == 404


def test_wrong_passwords_wait(client, caplog):
    """After a few wrong passwords even the right one must wait, in a browser that is not known."""
    assert [sign_in(client, "viewer", "wrong") for _ in range(5)] == [401] * 5
    assert sign_in(client, "viewer") == 429
    assert "refused" in caplog.text
    assert "wrong" not in caplog.text


def test_signing_out(client):
    """After signing out the cookie is worth nothing."""
    sign_in(client, "viewer")
    cookie = client.cookies["emoshift_session"]
    assert client.post("/logout", data={"csrf": csrf_of(client)}).status_code == 303
    client.cookies.set("emoshift_session", cookie)
    assert client.get(f"/class/{ROOM}/data").status_code == 401


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        pytest.param({}, {}, id="no token"),
        pytest.param({"csrf": "guessed"}, {}, id="a guess"),
        pytest.param({"csrf": "right"}, {"origin": "http://evil.example"}, id="elsewhere"),
        pytest.param({"csrf": "right"}, {"sec-fetch-site": "cross-site"}, id="cross-site"),
    ],
)
def test_forged_forms(client, form, headers):
    """A form that another site sends changes nothing."""
    sign_in(client, "viewer")
    form = {**form, "action": "start", "title": "forged"}
    if form.get("csrf") == "right":
        form["csrf"] = csrf_of(client)
    answer = client.post(f"/class/{ROOM}/lesson", data=form, headers=headers)
    assert answer.status_code == 403
    lessons = client.get(f"/class/{ROOM}/data").json()["lessons"]
    assert "forged" not in {lesson["title"] for lesson in lessons}


def test_lessons_are_marked_and_compared(client):
    """A started lesson is listed beside the earlier ones, with their shares."""
    sign_in(client, "viewer")
    form = {"csrf": csrf_of(client), "action": "start", "title": "<b>History</b>"}
    assert client.post(f"/class/{ROOM}/lesson", data=form).status_code == 303
    lessons = client.get(f"/class/{ROOM}/data").json()["lessons"]
    assert lessons[0]["title"] == "<b>History</b>"
    assert {"Mathematics", "Biology"} <= {lesson["title"] for lesson in lessons}
    assert sum(lessons[-1]["states"]) == pytest.approx(1, abs=0.001)
    assert lessons[-1]["perMinute"] > 0


@pytest.mark.parametrize("path", ["/login", "/about", "/static/style.css", "/nowhere", "/metrics"])
def test_headers_everywhere(client, path):
    """Every answer forbids other origins, inline scripts and frames."""
    sign_in(client, "viewer")
    headers = client.get(path, headers=HTML).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_nothing_inline_and_nothing_from_elsewhere(client):
    """Pages hold no inline script or style, and name no other host."""
    sign_in(client, "admin")
    for path in ("/about", f"/class/{ROOM}", "/fleet", f"/device/{ROOM}"):
        text = client.get(path, headers=HTML).text
        assert not re.search(r"<script(?![^>]*(src=|application/json))", text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
        assert "//" not in re.sub(r"</?[a-z]+>", "", text).replace("://localhost", "")


def test_class_export(client):
    """What is shown of a class is exported, the same in CSV and Parquet."""
    parquet = pytest.importorskip("pyarrow.parquet")
    sign_in(client, "viewer")
    answer = client.get(f"/class/{ROOM}/export.csv?span=week")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    table = parquet.read_table(
        io.BytesIO(client.get(f"/class/{ROOM}/export.parquet?span=week").content)
    )
    assert len(rows) == table.num_rows > 5
    assert set(rows[0]) == set(table.column_names)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert client.get(f"/class/{ROOM}/export.xls").status_code == 404


def test_event_export(client):
    """An admin exports single events."""
    sign_in(client, "admin")
    text = client.get(f"/device/{ROOM}/export.csv?span=week").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {"onset", "event_id", "before", "after", "confidence"} <= set(rows[0])
    assert len({row["event_id"] for row in rows}) == len(rows) > 100
    parquet = pytest.importorskip("pyarrow.parquet")
    answer = client.get(f"/device/{ROOM}/export.parquet?span=week")
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.column_names == list(rows[0])
    assert table["event_id"].to_pylist() == [row["event_id"] for row in rows]
    assert [at.timestamp() for at in table["onset"].to_pylist()] == [
        datetime.fromisoformat(row["onset"]).timestamp() for row in rows
    ]


@pytest.mark.parametrize("what", ["class", "device"])
def test_an_export_of_nothing_has_its_columns(client, what):
    """A span without anything is a table without rows, not an empty file."""
    parquet = pytest.importorskip("pyarrow.parquet")
    sign_in(client, "admin")
    some, none = "span=week", "from=1&to=2"
    header, _, _ = client.get(f"/{what}/{ROOM}/export.csv?{some}").text.partition("\n")
    assert client.get(f"/{what}/{ROOM}/export.csv?{none}").text == f"{header}\n"
    kinds = [
        parquet.read_table(io.BytesIO(answer.content)).schema.remove_metadata()
        for span in (some, none)
        if (answer := client.get(f"/{what}/{ROOM}/export.parquet?{span}")).status_code == 200
    ]
    assert kinds[0] == kinds[1]


def test_metrics_need_their_token(client):
    """A scrape with the token reads every device; one without is refused."""
    assert client.get("/metrics").status_code == 401
    scrape = {"authorization": "Bearer scrape"}
    fps = 'emoshift_frames_per_second{device="room-101",site="school-1"}'
    assert fps not in client.get("/metrics", headers=scrape).text  # nobody has heard from it yet
    devices, room = (
        client.app.state.context.hub.devices,
        Classroom(Address(*ROOM.split("/")), seed=1),
    )
    message = room.status("online")
    status = read_message(message.topic, message.payload, received_ms=time.time_ns() // 1_000_000)
    devices[room.address] = fold(devices[room.address], status, arrived_ms=steady_ms())
    answer = client.get("/metrics", headers=scrape)
    assert fps in answer.text
    assert "emoshift_dashboard_broker_up 0.0" in answer.text


def test_the_token_may_lie_in_a_file(filled, tmp_path, caplog):
    """It is read at every scrape; a file that is gone is logged, and nothing is served."""
    file = tmp_path / "token"
    file.write_text("from a file\n")
    config = settings(1, filled, web={"metrics_token_file": str(file)})
    app = make_app(config, engine := open_store(filled))
    scrape = {"authorization": "Bearer from a file"}
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/metrics", headers=scrape).status_code == 200
        file.unlink()
        assert client.get("/metrics", headers=scrape).status_code == 503
    engine.dispose()
    assert "web.metrics_token_file" in caplog.text


def test_languages(client):
    """The same page in both languages, chosen by the browser or by hand."""
    sign_in(client, "viewer")
    german = client.get("/about", headers={**HTML, "accept-language": "de"}).text
    assert "Was gemessen wird" in german
    assert '<html lang="de"' in german
    client.post("/prefer", data={"language": "de", "theme": "dark", "back": "/about"})
    text = client.get("/about", headers={**HTML, "accept-language": "en"}).text
    assert '<html lang="de" data-theme="dark"' in text


def test_no_open_redirect(client):
    """Signing in leads to pages of ours alone."""
    for target in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = client.post("/prefer", data={"back": target})
        assert answer.headers["location"] == "/"


def test_the_database_is_away(client, tmp_path):
    """With the database gone the pages say so, and nothing breaks."""
    sign_in(client, "viewer")
    context = client.app.state.context
    context.engine.dispose()
    path = context.engine.url.database
    away = tmp_path / "away.db"
    from pathlib import Path

    for ending in ("", "-wal", "-shm"):
        source = Path(path + ending)
        if source.exists():
            source.rename(str(away) + ending)
    Path(path).mkdir()
    try:
        assert client.get(f"/class/{ROOM}/data").status_code == 503
        assert client.get("/alive").json()["status"] == "failing"
    finally:
        context.engine.dispose()
        Path(path).rmdir()
        for ending in ("", "-wal", "-shm"):
            source = Path(str(away) + ending)
            if source.exists():
                source.rename(path + ending)


def test_catalogues_are_complete():
    """Every message of the pages is translated, with the same placeholders."""
    from babel.messages.pofile import read_po

    from dashboard.translations import LOCALES, collect, singular

    wanted = collect()
    for path in LOCALES.glob("*/LC_MESSAGES/dashboard.po"):
        with path.open("rb") as file:
            found = {m.id: m.string for m in read_po(file) if m.id}
        assert {singular(source) for source in found} == wanted
        for source, translated in found.items():
            forms = [translated] if isinstance(translated, str) else translated
            assert len(forms) == (1 if isinstance(source, str) else 2)
            names = re.findall(r"%\((\w+)\)s", singular(source))
            for form in forms:
                assert form
                assert names == re.findall(r"%\((\w+)\)s", form), json.dumps(source)


def lessons_of(client: TestClient) -> list[dict[str, object]]:
    return client.get(f"/class/{ROOM}/data").json()["lessons"]


def test_a_lesson_mark_can_be_taken_back(client):
    """Undoing a start lets the lesson before run on; undoing an end lets the lesson run on."""
    sign_in(client, "viewer")
    before = lessons_of(client)
    form = {"csrf": csrf_of(client)}
    path = f"/class/{ROOM}/lesson"
    answer = client.post(path, data={**form, "action": "start", "title": "By mistake"})
    page = client.get(answer.headers["location"], headers=HTML).text
    assert 'value="undo"' in page
    client.post(path, data={**form, "action": "undo"})
    assert [one["id"] for one in lessons_of(client)] == [one["id"] for one in before]
    assert lessons_of(client)[0]["to"] is None
    client.post(path, data={**form, "action": "end"})
    assert lessons_of(client)[0]["to"] is not None
    client.post(path, data={**form, "action": "undo"})
    assert lessons_of(client)[0]["to"] is None


def test_notes_are_private(client):
    """A note is seen by its author alone, and removed by nobody else."""
    sign_in(client, "viewer")
    form = {"csrf": csrf_of(client)}
    path = f"/class/{ROOM}/note"
    client.post(path, data={**form, "text": "  group   work "})
    (note,) = client.get(f"/class/{ROOM}/data").json()["notes"]
    assert note["text"] == "group work"
    client.cookies.clear()
    sign_in(client, "admin")
    assert client.get(f"/class/{ROOM}/data").json()["notes"] == []
    client.post(path, data={"csrf": csrf_of(client), "remove": str(note["id"])})
    client.cookies.clear()
    sign_in(client, "viewer")
    assert len(client.get(f"/class/{ROOM}/data").json()["notes"]) == 1
    client.post(path, data={"csrf": csrf_of(client), "remove": str(note["id"])})
    assert client.get(f"/class/{ROOM}/data").json()["notes"] == []


def marks_of(client) -> list[dict]:
    return client.get(f"/class/{ROOM}/data", params={"span": "day"}).json()["marks"]


def windows_between(client, start: int, end: int) -> list[dict]:
    """What was released of a class of windows that lie between two minutes."""
    table = schema.CLASS_WINDOW
    device = client.app.state.context.archive.device(Address(*ROOM.split("/")))
    wanted = select(table).where(
        table.c.device == device.id,
        table.c.shown,
        table.c.minute >= start,
        table.c.minute <= end - WINDOW_MIN,
    )
    with client.app.state.context.engine.connect() as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]


def test_marks_of_a_class(client):
    """A mark is kept with the counts around it, seen by its author alone, and told of no person."""
    sign_in(client, "viewer")
    path = f"/class/{ROOM}/mark"
    client.post(path, data={"csrf": csrf_of(client), "verdict": "wrong", "ago": "5"})
    client.post(path, data={"csrf": csrf_of(client), "verdict": "right", "ago": "0"})
    assert [mark["verdict"] for mark in marks_of(client)] == ["wrong", "right"]
    answer = client.get(f"/class/{ROOM}/marks.jsonl")
    assert answer.headers["content-disposition"].endswith('.jsonl"')
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["verdict"] for line in lines] == ["wrong", "right"]
    for line in lines:
        assert set(line) == {"schema", "at", "verdict", "faces", "minutes", "changes", "model"}
        assert set(line["changes"]) == {"angry", "disgust", "fear", "happy", "sad", "surprise"}
    end = round(datetime.fromisoformat(lines[0]["at"]).timestamp() / 60)
    windows = windows_between(client, end - 2 * WINDOW_MIN, end)
    assert windows
    for emotion, count in lines[0]["changes"].items():
        assert count == sum(window[f"to_{emotion}"] for window in windows)
    faces = sum(window[f"in_{state}"] for window in windows for state in STATES) / len(windows)
    assert lines[0]["faces"] == round(faces, 1)
    assert lines[0]["minutes"] == WINDOW_MIN * len(windows)
    client.cookies.clear()
    sign_in(client, "admin")
    assert marks_of(client) == []


def test_a_mark_is_changed_and_taken_back(client):
    """Marking the same minutes again replaces the mark; nobody else takes it back."""
    begin_in_mid_minute()
    sign_in(client, "viewer")
    path = f"/class/{ROOM}/mark"
    before = len(marks_of(client))
    for verdict in ("wrong", "right"):
        client.post(path, data={"csrf": csrf_of(client), "verdict": verdict, "ago": "20"})
    first, *rest = marks_of(client)
    assert first["verdict"] == "right"
    assert len(rest) == before
    client.cookies.clear()
    sign_in(client, "admin")
    client.post(path, data={"csrf": csrf_of(client), "remove": str(first["id"])})
    client.cookies.clear()
    sign_in(client, "viewer")
    assert first in marks_of(client)
    client.post(path, data={"csrf": csrf_of(client), "remove": str(first["id"])})
    assert first not in marks_of(client)


@pytest.mark.parametrize("form", [{}, {"verdict": "maybe"}, {"remove": "x"}])
def test_what_is_no_mark_is_refused(client, form):
    sign_in(client, "viewer")
    answer = client.post(f"/class/{ROOM}/mark", data={"csrf": csrf_of(client), **form})
    assert answer.status_code == 400


def test_latest_transitions_on_every_span(client):
    """Whatever the span, its newest transitions are shown, those of a past lesson included."""
    sign_in(client, "admin")
    for span in ("lesson", "day", "week", "term"):
        found = client.get(f"/class/{ROOM}/data", params={"span": span}).json()
        latest = found["latest"]
        assert latest, span
        assert found["to"] - latest[-1]["t"] < 12 * 60_000, span
    past = next(one for one in lessons_of(client) if one["to"] is not None)
    found = client.get(f"/class/{ROOM}/data", params={"lesson": past["id"]}).json()
    assert (found["from"], found["to"]) == (past["from"], past["to"])
    assert all(past["from"] <= one["t"] < past["to"] for one in found["latest"])
    assert found["latest"]


def test_a_day_is_chosen_in_the_viewers_zone(client):
    """Days begin at midnight of the viewer's zone; nonsense falls back to the last lesson."""
    sign_in(client, "viewer")
    day = {"first": "2026-11-02", "last": "2026-11-03", "zone": "-60"}
    found = client.get(f"/class/{ROOM}/data", params=day).json()
    assert found["to"] - found["from"] == 2 * 24 * 3600 * 1000
    assert found["from"] % (24 * 3600 * 1000) == 23 * 3600 * 1000
    for wrong in ({"first": "x"}, {"first": "2026-11-02", "zone": "y"}, {"lesson": "9" * 40}):
        assert client.get(f"/class/{ROOM}/data", params=wrong).json()["live"] is True


def test_two_lessons_side_by_side(client):
    """Lessons and weeks are compared by the same figures; what is not there is null."""
    sign_in(client, "viewer")
    first = lessons_of(client)[1]["id"]
    choice = {"a": f"lesson-{first}", "b": "this-week"}
    found = client.get(f"/class/{ROOM}/compare", params=choice).json()
    for side in found.values():
        assert sum(side["states"]) == pytest.approx(1, abs=0.001)
        assert side["minutes"] >= 10
        assert side["faces"] >= 5
    nothing = client.get(f"/class/{ROOM}/compare", params={"a": "lesson-x", "b": ""}).json()
    assert nothing == {"a": None, "b": None}


def test_numbers_without_scripts(client):
    """A browser without scripts says so; a class of nobody shows one reason and no axes."""
    sign_in(client, "viewer")
    page = client.get(f"/class/{ROOM}", headers=HTML).text
    assert "Scripts are switched off" in page
    assert "An expression is not a feeling" in page
    assert re.search(r'id="reason" class="hint" >[^<]+<', page)


def test_class_metrics_keep_the_rule(client):
    """Faces by state are exported for a class that may be shown, and for no other."""
    context = client.app.state.context
    now_ms = time.time_ns() // 1_000_000
    for name, faces in (("room-101", 24), ("room-102", 3)):
        room = Classroom(Address("school-1", name), seed=1, faces=faces)
        for message in (room.status("online"), room.info(), room.summary(now_ms, min_faces=1)):
            found = read_message(message.topic, message.payload, received_ms=now_ms)
            state = context.hub.devices[room.address]
            context.hub.devices[room.address] = fold(state, found, arrived_ms=steady_ms())
    answer = client.get("/metrics", headers={"authorization": "Bearer scrape"}).text
    shown = re.findall(r'emoshift_class_faces\{device="([^"]+)",.*\} (\S+)', answer)
    assert {device for device, _ in shown} == {"room-101"}
    assert sum(float(count) for _, count in shown) == 24


def test_a_model_card_is_shown(client):
    """What a device says of its bundle, of its site layer and of what ran before."""
    card = {
        "training_data": ["FER2013"],
        "fitted_on": "real clips",
        "licence": "Apache-2.0",
        "software": "emoshift",
        "figures": [{"name": "accuracy", "value": 0.875, "n": 3186, "data": "PublicTest, int8"}],
        "site": {
            "made": "2026-11-26T07:00:00Z",
            "seconds": 118.0,
            "shown": 4,
            "marks": 0,
            "found_before": 3,
            "found_after": 3,
            "false_before": 2,
            "false_after": 1,
        },
    }
    hub = client.app.state.context.hub
    address = Address("school-1", "room-101")
    info = {
        **json.loads(make_school(1, seed=1)[0].info().payload),
        "site_layer": "site-0123456789ab",
        "card": card,
        "history": [{"since": "2026-11-25T07:00:00Z", "model": "bundle-before"}],
    }
    state = hub.devices[address]
    hub.devices[address] = replace(state, info=Info.from_json(json.dumps(info).encode()))
    sign_in(client, "admin")
    page = client.get(f"/device/{ROOM}", headers=HTML).text
    for shown in ("site-0123456789ab", "accuracy", "3186", "bundle-before", "then 3 of 4"):
        assert shown in page


def test_odd_input_is_refused_without_a_fault(client):
    """A token in other letters, and days at the end of the calendar, are no fault of ours."""
    sign_in(client, "admin")
    assert client.post("/logout", data={"csrf": "é" * 32}).status_code == 403
    for first, last in (
        ("9999-12-31", ""),
        ("0001-01-01", "0001-01-01"),
        ("2026-01-01", "9999-12-31"),
    ):
        for zone in ("0", "-840", "720"):
            days = {"first": first, "last": last, "zone": zone}
            assert client.get(f"/class/{ROOM}/data", params=days).status_code == 200
            assert client.get(f"/device/{ROOM}/export.csv", params=days).status_code == 200


def test_text_that_no_database_takes(database):
    """A form with a zero byte is refused, and no device has one in its name."""
    engine = open_store(database)
    People(engine).put("admin", PASSWORDS["admin"], Role.ADMIN)
    write_past(engine, make_school(1, seed=1), now_ms=time.time_ns() // 1_000_000, seed=1)
    app = make_app(settings(1, database), engine)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        app.state.context.hub.restore(app.state.context.archive.devices())
        assert sign_in(client, "admin\0", PASSWORDS["admin"]) == 400
        assert client.post("/prefer", data={"back": "/\0"}).status_code == 400
        assert sign_in(client, "admin") == 303
        for path in ("/class/%00/room", "/device/%00/room", "/device/%00/room/export.csv"):
            assert client.get(path).status_code == 404, path
        for path, form in (
            ("lesson", {"action": "start", "title": "Ma\0ths"}),
            ("note", {"text": "group\0 work"}),
        ):
            answer = client.post(f"/class/{ROOM}/{path}", data={"csrf": csrf_of(client), **form})
            assert answer.status_code == 400
    engine.dispose()


def test_a_refused_path_is_logged_as_it_can_be_read(database):
    """A viewer's request for an odd path leaves a line in the audit log of either database."""
    engine = open_store(database)
    People(engine).put("viewer", PASSWORDS["viewer"], Role.VIEWER)
    with TestClient(
        make_app(settings(1, database), engine), base_url="http://localhost", follow_redirects=False
    ) as client:
        assert sign_in(client, "viewer") == 303
        assert client.get("/device/%00/%1broom").status_code == 403
        newest = client.app.state.context.audit.read(limit=1)[0]
        assert newest.target == r"/device/\x00/\x1broom"
    engine.dispose()


def test_a_database_without_a_free_connection_is_away(filled):
    """Where all connections are in use pages say so, and the dashboard looks again later."""
    engine = open_store(filled)
    app = make_app(settings(1, filled), engine)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        assert sign_in(client, "admin") == 303
        wait_until(lambda: client.get("/alive").json()["database"])
        engine.pool._timeout = 0.01  # noqa: SLF001 - seconds; nobody waits 30 for a test
        with contextlib.ExitStack() as taken:
            for _ in range(15):
                taken.enter_context(engine.connect().execution_options(reads_only=True))
            assert client.get("/fleet", headers=HTML).status_code == 503
            stranger = TestClient(app, base_url="http://localhost", follow_redirects=False)
            assert sign_in(stranger, "viewer") == 503
            wait_until(lambda: not client.get("/alive").json()["database"])
        wait_until(lambda: client.get("/alive").json()["database"])
    engine.dispose()

"""A real browser on a real broker: what is seen, how soon, and by whom."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.charts import find_charts
from dashboard.simulate.classroom import Classroom, make_school
from dashboard.simulate.history import write_past
from dashboard.simulate.publish import PublishingLoad, Simulator
from dashboard.store.accounts import People, Role
from dashboard.store.database import open_store
from dashboard.store.read import Archive
from emoshift.emotions import STATES
from emoshift.local_broker import (
    find_mosquitto,
    free_port,
    local_broker,
)
from emoshift.topics import Address
from tests.support.dashboard import settings
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; run: apt install chromium"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORDS = {"admin": "an admin's password", "viewer": "a viewer's password"}
IMAGES = Path(os.environ.get("EMOSHIFT_SCREENSHOTS", "docs/img"))
KEEP_IMAGES = "EMOSHIFT_SCREENSHOTS" in os.environ
ROOM = "school-1/room-101"


FOCUSED = """() => {
  const focused = document.activeElement;
  return focused.tagName + (focused.id || focused.dataset.key || "");
}"""
WATCH = """() => {
  window.seenAt = {};
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      const name = node.dataset?.event;
      const seen = () => { window.seenAt[name] = performance.timeOrigin + performance.now(); };
      if (name) requestAnimationFrame(seen);
    }
  }).observe(document.getElementById("latest"), { childList: true });
}"""


SMALL_TARGETS = """() => [...document.querySelectorAll(
    "main button, main select, main input:not([type=hidden]), nav a, summary")]
  .filter((one) => one.offsetParent !== null && one.getBoundingClientRect().height < 43.5)
  .map((one) => one.outerHTML.slice(0, 120))"""


class Site:
    """A whole dashboard: broker, worker, pages, and a device that speaks when told to."""

    def __init__(self, folder: Path, mqtt_port: int) -> None:
        self.port, self.mqtt_port = free_port(), mqtt_port
        self.database = str(folder / "history.db")
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = folder / "dashboard.toml"
        self.settings.write_text("[devices]\nautomatic = 2000\n", encoding="utf-8")
        engine = open_store(self.database)
        self.archive = Archive(engine)
        self.rooms = make_school(6, seed=1)
        write_past(engine, self.rooms, now_ms=time.time_ns() // 1_000_000, seed=1)
        for name, password in PASSWORDS.items():
            People(engine).put(name, password, Role(name), places=["*"])
        self.device = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self.device.connect("127.0.0.1", mqtt_port)
        self.device.loop_start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the pages with a worker, and wait until both are there."""
        options = ["--broker", f"127.0.0.1:{self.mqtt_port}"]
        options += ["--database", self.database, "--port", str(self.port)]
        options += ["--config", str(self.settings)]
        process = subprocess.Popen([sys.executable, "-m", "dashboard", "serve", *options])
        wait_until(lambda: any(w.connected for w in self.archive.workers()), timeout_s=150)
        return process

    def publish(self, message: Any) -> None:
        """Let a device publish something."""
        published = self.device.publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain
        )
        published.wait_for_publish(10)

    def introduce(self, room: Classroom) -> None:
        """Let a device come online and publish its class."""
        now_ms = time.time_ns() // 1_000_000
        for message in (
            room.info(),
            room.status("online"),
            room.health(now_ms),
            room.summary(now_ms),
        ):
            self.publish(message)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running dashboard."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed; run: apt install mosquitto")
    folder = tmp_path_factory.mktemp("site")
    port = free_port()
    with local_broker(folder, port=port):
        found = Site(folder, port)
        process = found.start()
        stop = threading.Event()
        simulator = Simulator(settings(port, found.database).broker, found.rooms[1:])
        thread = threading.Thread(
            target=simulator.run, args=(PublishingLoad(rate=2), stop), daemon=True
        )
        thread.start()
        for room in found.rooms[:1]:
            found.introduce(room)
        yield found
        stop.set()
        thread.join(timeout=30)
        found.device.disconnect()
        found.device.loop_stop()
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


def open_page(
    browser: Browser, site: Site, name: str, path: str = "/", **options: Any
) -> tuple[BrowserContext, Page]:
    """Sign in and open a page; complaints of the page fail the test that calls `no_complaints`."""
    options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
    context = browser.new_context(base_url=site.url, **options)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda why: page.complaints.append(str(why)))
    page.on(
        "request",
        lambda r: (
            None
            if r.url.startswith((site.url, "data:"))
            else page.complaints.append(f"request to {r.url}")
        ),
    )
    page.goto(f"/login?next={path}")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORDS[name])
    page.click("main button[type=submit]")
    page.wait_for_url(f"**{path if path != '/' else '/class/**'}")
    return context, page


def speak(site: Site, stop: threading.Event, rooms: list[Classroom]) -> None:
    """Keep classes fresh while a page is looked at."""
    while not stop.wait(1):
        for room in rooms:
            site.publish(room.summary(time.time_ns() // 1_000_000))


def no_complaints(page: Page) -> list[str]:
    """Return what a page complained of, but for the chart library where nobody has fetched it."""
    if find_charts() is not None:
        return page.complaints
    return [text for text in page.complaints if "404" not in text]


def clock_offset_ms(page: Page) -> float:
    """Return how far the browser's clock is ahead of ours: the quickest of many readings."""
    readings = []
    for _ in range(30):
        before_ms = time.time_ns() / 1e6
        theirs_ms = page.evaluate("performance.timeOrigin + performance.now()")
        after_ms = time.time_ns() / 1e6
        readings.append((after_ms - before_ms, theirs_ms - (before_ms + after_ms) / 2))
    return float(min(readings)[1])


def picture(page: Page, name: str) -> None:
    """Keep a screenshot for the documentation, when asked to."""
    if KEEP_IMAGES:
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=IMAGES / f"{name}.png")


def axe(page: Page) -> list[str]:
    """Return what the accessibility check objects to."""
    package = pytest.importorskip("axe_playwright_python")
    script = Path(package.__file__).parent / "axe.min.js"
    # Through the debugger, which the page's policy does not bind.
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    return [
        f"{v['id']}: {v['help']}: {[n['html'][:120] for n in v['nodes'][:3]]}"
        for v in found["violations"]
    ]


def test_class_page_is_live(site, browser):
    """Counts and transitions are seen as they come, copies once, and without a reload."""
    room = site.rooms[0]
    context, page = open_page(browser, site, "admin", f"/class/{ROOM}")
    summary = room.summary(time.time_ns() // 1_000_000)
    site.publish(summary)
    states = json.loads(summary.payload)["states"]
    for state, count in states.items():
        sync_api.expect(page.locator(f"[data-state={state}] .count")).to_have_text(str(count))
    event = room.change(time.time_ns() // 1_000_000)
    for _ in range(3):
        site.publish(event)
    name = json.loads(event.payload)["event_id"]
    sync_api.expect(page.locator(f"[data-event='{name}']")).to_have_count(1)
    if find_charts() is not None:
        sync_api.expect(page.locator("#river canvas")).to_be_visible()
    page.wait_for_timeout(1500)
    sync_api.expect(page.locator(f"[data-event='{name}']")).to_have_count(1)
    assert no_complaints(page) == []
    picture(page, "dashboard-class")
    context.close()


def test_a_viewer_sees_windows(site, browser):
    """A viewer sees the last ten minutes, and nothing that moves when a face changes."""
    room = site.rooms[0]
    context, page = open_page(browser, site, "viewer", f"/class/{ROOM}")
    sync_api.expect(page.locator("#now-title")).to_contain_text("The last ten minutes")
    device = site.archive.device(room.address)
    window = site.archive.newest_window(device.id, now_ms=time.time_ns() // 1_000_000)
    counts = dict(zip(STATES, window.states, strict=True))
    for state, count in counts.items():
        sync_api.expect(page.locator(f"[data-state={state}] .count")).to_have_text(str(count))
    sync_api.expect(page.locator("#faces")).to_contain_text(str(sum(window.states)))
    for table in ("#lessons tbody", "#compared", "#basis"):  # filled once the history is loaded
        sync_api.expect(page.locator(f"{table} tr").first).to_be_attached()
    before = page.locator("#class").inner_text()
    for _ in range(5):
        site.publish(room.change(time.time_ns() // 1_000_000))
        site.publish(room.summary(time.time_ns() // 1_000_000))
    page.wait_for_timeout(2500)
    assert page.locator("#class").inner_text() == before
    assert page.locator("[data-event]").count() == 0
    sync_api.expect(page.locator("#publish")).to_contain_text("no single face")
    assert no_complaints(page) == []
    page.set_viewport_size({"width": 1280, "height": 1400})
    picture(page, "dashboard-teacher")
    context.close()


def test_a_small_class_is_not_shown(site, browser):
    """Below five faces nothing is shown, and the page says why."""
    small = next(room for room in site.rooms if room.faces < 5)
    context, page = open_page(browser, site, "admin", f"/class/{small.address}")
    sync_api.expect(page.locator("#reason")).to_contain_text("Too few faces")
    assert set(page.locator(".count").all_text_contents()) == {"\u2013"}
    assert page.locator("#latest li").count() == 0
    context.close()


def test_history_goes_where_it_belongs(site, browser):
    """An event that comes late is no news: it is placed by its onset and announced to nobody."""
    room = site.rooms[0]
    context, page = open_page(browser, site, "admin", f"/class/{ROOM}")
    site.publish(room.summary(time.time_ns() // 1_000_000))
    late = room.change(time.time_ns() // 1_000_000 - 20 * 60_000)
    body = json.loads(late.payload) | {"historical": True}
    before = site.archive.count_events()
    published = site.device.publish(late.topic, json.dumps(body), qos=1)
    published.wait_for_publish(10)
    wait_until(lambda: site.archive.count_events() > before)
    page.wait_for_timeout(500)
    assert page.locator(f"[data-event='{body['event_id']}']").count() == 0
    context.close()


def test_lessons_are_marked(site, browser):
    """A viewer starts and ends a lesson, and sees it beside the earlier ones."""
    context, page = open_page(browser, site, "viewer", f"/class/{ROOM}")
    page.fill("input[name=title]", "Chemistry")
    page.click("button[value=start]")
    sync_api.expect(page.locator("#lessons tbody tr").first).to_contain_text("Chemistry")
    page.click("button[value=end]")
    sync_api.expect(page.locator("#lessons tbody tr").first).not_to_contain_text("now")
    page.click("button[value=undo]")
    sync_api.expect(page.locator("#lessons tbody tr").first).to_contain_text("now")
    context.close()


def test_fleet_page(site, browser):
    """The fleet is ordered by need, filtered by a word, and follows a device that goes away."""
    context, page = open_page(browser, site, "admin", "/fleet")
    sync_api.expect(page.locator("#fleet tbody tr")).to_have_count(6)
    weights = page.locator("#fleet tbody tr").evaluate_all(
        "rows => rows.map(r => +r.dataset.weight)"
    )
    assert weights == sorted(weights, reverse=True)
    page.fill("#filter", "room-101")
    sync_api.expect(page.locator("#fleet tbody tr:visible")).to_have_count(1)
    site.publish(site.rooms[0].status("offline"))
    sync_api.expect(page.locator("#fleet tbody tr:visible .pill")).to_have_text("offline")
    site.publish(site.rooms[0].status("online", session=2))
    sync_api.expect(page.locator("#fleet tbody tr:visible .pill")).to_have_text("online")
    page.fill("#filter", "")
    page.click("thead button[data-key=id]")
    first = page.locator("#fleet tbody tr th").first
    sync_api.expect(first).to_contain_text("room-101")
    assert no_complaints(page) == []
    picture(page, "dashboard-fleet")
    context.close()


def test_device_page(site, browser):
    """A device's events are seen as they come; refused messages are its problem."""
    room = site.rooms[0]
    context, page = open_page(browser, site, "admin", f"/device/{ROOM}")
    event = room.change(time.time_ns() // 1_000_000)
    site.publish(event)
    name = json.loads(event.payload)["event_id"]
    sync_api.expect(page.locator(f"tr[data-event='{name}']")).to_have_count(1)
    site.device.publish(event.topic, b"{broken", qos=1).wait_for_publish(10)
    sync_api.expect(page.locator("#needs")).to_contain_text("invalid messages")
    wait_until(lambda: any(p.problem == "malformed" for p in site.archive.problems()))
    page.reload()
    sync_api.expect(page.locator("main")).to_contain_text("malformed")
    if find_charts() is not None:
        sync_api.expect(page.locator("#latency canvas")).to_be_visible()
    assert no_complaints(page) == []
    picture(page, "dashboard-device")
    context.close()


def test_times_are_those_of_the_viewer(site, browser):
    """The audit log tells times as the other pages do; the exact one is beside it."""
    context, page = open_page(browser, site, "admin", "/audit", timezone_id="Asia/Tokyo")
    time_shown = page.locator("tbody time").first
    sync_api.expect(time_shown).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\dT"))
    assert re.search(r"\d \w{3} \d{4}, \d\d:\d\d", time_shown.inner_text())
    context.close()


def test_viewers_are_refused(site, browser):
    """A viewer who types a device's address is refused, and says so."""
    context, page = open_page(browser, site, "viewer", "/about")
    answer = page.goto(f"/device/{ROOM}")
    assert answer is not None
    assert answer.status == 403
    sync_api.expect(page.locator("h1")).to_have_text("Not for you")
    assert page.locator("nav a[href='/fleet']").count() == 0
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/login", f"/class/{ROOM}", "/fleet", f"/device/{ROOM}", "/about"]
)
def test_no_barrier(site, browser, path, theme):
    """The accessibility check finds nothing, on any page, light or dark."""
    if path == "/login":
        context = browser.new_context(base_url=site.url, color_scheme=theme)
        page = context.new_page()
        page.goto(path)
    else:
        context, page = open_page(browser, site, "admin", path, color_scheme=theme)
        page.wait_for_timeout(1500)
    assert axe(page) == []
    context.close()


@pytest.mark.parametrize("width", [320, 390, 1024, 1440, 1920])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"color_scheme": "light", "locale": "en-GB"}, id="light"),
        pytest.param({"color_scheme": "dark", "locale": "de-DE"}, id="dark"),
        pytest.param({"forced_colors": "active", "locale": "fr-FR"}, id="forced colours"),
    ],
)
def test_every_width(site, browser, width, options):
    """No page is wider than the screen, and no control is smaller than a finger."""
    context, page = open_page(
        browser,
        site,
        "admin",
        f"/class/{ROOM}",
        viewport={"width": width, "height": 844},
        timezone_id="Asia/Tokyo",
        **options,
    )
    for path in (
        f"/class/{ROOM}",
        f"/class/{ROOM}?span=term",
        "/fleet",
        f"/device/{ROOM}",
        "/about",
    ):
        page.goto(path)
        site.publish(site.rooms[0].summary(time.time_ns() // 1_000_000))
        page.wait_for_load_state("networkidle" if "about" in path else "load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        small = page.evaluate(SMALL_TARGETS)
        assert small == [], path
    page.goto(f"/class/{ROOM}")
    site.publish(site.rooms[0].summary(time.time_ns() // 1_000_000))
    sync_api.expect(page.locator("[data-state=happy] .count")).not_to_have_text("\u2013")
    if width == 390 and options.get("color_scheme") == "dark":
        sync_api.expect(page.locator("#lessons tbody tr").first).to_be_visible()
        picture(page, "dashboard-phone")
    context.close()


def test_without_scripts(site, browser):
    """A browser without scripts shows the numbers of the moment, and says that it does."""
    site.publish(site.rooms[0].summary(time.time_ns() // 1_000_000))
    context, page = open_page(browser, site, "admin", f"/class/{ROOM}", java_script_enabled=False)
    sync_api.expect(page.locator("main")).to_contain_text("Scripts are switched off")
    counts = page.locator(".count").all_text_contents()
    assert sum(int(count) for count in counts) == site.rooms[0].faces
    context.close()


def test_a_mark(site, browser):
    """A teacher says that what was shown was wrong, sees the mark, and takes it back."""
    context, page = open_page(browser, site, "viewer", f"/class/{ROOM}")
    page.select_option("select[name=ago]", label="5 minutes ago")
    page.click("button[value=wrong]")
    sync_api.expect(page.locator("#marks li")).to_contain_text("wrong")
    page.click("#marks button")
    sync_api.expect(page.locator("#marks li")).to_have_count(0)
    context.close()


def test_a_note_and_a_comparison(site, browser):
    """A teacher writes a note, sees it on the time line, and lays two lessons side by side."""
    context, page = open_page(browser, site, "viewer", f"/class/{ROOM}")
    page.fill("input[name=text]", "group work")
    page.click("form[action$=note] button:has-text('Add')")
    sync_api.expect(page.locator("#notes li")).to_contain_text("group work")
    sync_api.expect(page.locator("#compared tbody tr")).to_have_count(10)
    page.select_option("#compare select[name=b]", label="This week")
    sync_api.expect(page.locator("#compared thead")).to_contain_text("This week")
    page.click("#notes button")
    sync_api.expect(page.locator("#notes li")).to_have_count(0)
    assert no_complaints(page) == []
    context.close()


def test_keyboard(site, browser):
    """Every control is reached with the tab key, the way to the content first."""
    context, page = open_page(browser, site, "admin", "/fleet")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert {"INPUTfilter", "BUTTONneeds", "BUTTONfps"} <= reached
    context.close()


def test_seen_within_the_bar(site, browser, record_property):
    """Events are visible soon after they are on the wire; the figures are recorded, not judged."""
    room = Classroom(Address("school-1", "room-101"), seed=77)
    context, page = open_page(browser, site, "admin", f"/class/{ROOM}")
    site.publish(site.rooms[0].summary(time.time_ns() // 1_000_000))
    page.evaluate(WATCH)
    sent = {}
    for _ in range(int(os.environ.get("EMOSHIFT_LATENCY_EVENTS", "25"))):
        event = room.change(time.time_ns() // 1_000_000)
        sent[json.loads(event.payload)["event_id"]] = time.time_ns() / 1e6
        site.device.publish(event.topic, event.payload, qos=1)
        page.wait_for_timeout(120)
    wait_until(lambda: page.evaluate("Object.keys(window.seenAt).length") >= len(sent))
    seen = page.evaluate("window.seenAt")
    offset_ms = clock_offset_ms(page)
    took = sorted(seen[name] - offset_ms - at for name, at in sent.items())
    p50, p95 = statistics.median(took), took[min(len(took) - 1, round(len(took) * 0.95))]
    record_property("wire_to_visible_p50_ms", round(p50))
    record_property("wire_to_visible_p95_ms", round(p95))
    print(f"wire to visible: n={len(took)} p50={p50:.0f} ms p95={p95:.0f} ms")
    assert len(took) == len(sent)
    context.close()


def test_the_pages_survive_a_restart(tmp_path, browser):
    """A page stays open while its server goes and comes, and catches up by itself."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed; run: apt install mosquitto")
    port = free_port()
    with local_broker(tmp_path, port=port):
        site = Site(tmp_path, port)
        process = site.start()
        site.introduce(site.rooms[0])
        context, page = open_page(browser, site, "admin", f"/class/{ROOM}")
        sync_api.expect(page.locator("#presence")).to_have_text("online")
        process.terminate()
        process.wait(timeout=30)
        sync_api.expect(page.locator("#banner")).to_contain_text("Connection lost")
        process = site.start()
        sync_api.expect(page.locator("#banner")).to_be_empty(timeout=60_000)
        event = site.rooms[0].change(time.time_ns() // 1_000_000)
        site.publish(site.rooms[0].summary(time.time_ns() // 1_000_000))
        site.publish(event)
        name = json.loads(event.payload)["event_id"]
        sync_api.expect(page.locator(f"[data-event='{name}']")).to_have_count(1)
        context.close()
        site.device.disconnect()
        site.device.loop_stop()
        process.terminate()
        process.wait(timeout=30)


def test_a_thousand_devices(tmp_path, browser, record_property):
    """The fleet page shows a thousand devices; how soon is recorded, not judged."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed; run: apt install mosquitto")
    port, stop = free_port(), threading.Event()
    with local_broker(tmp_path, port=port):
        site = Site(tmp_path, port)
        process = site.start()
        many = Simulator(settings(port, site.database).broker, make_school(1000, seed=2))
        load = PublishingLoad(rate=50, class_s=20)
        thread = threading.Thread(target=many.run, args=(load, stop), daemon=True)
        thread.start()
        context, page = open_page(browser, site, "admin", "/fleet")
        wait_until(lambda: page.reload() and page.locator("#fleet tbody tr").count() == 1000)
        took = []
        for _ in range(10):
            page.goto("/about")
            page.goto("/fleet", wait_until="load")
            took.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        took.sort()
        record_property("fleet_of_1000_load_ms", round(took[-1]))
        median, worst = statistics.median(took), took[-1]
        print(f"fleet of 1000: n={len(took)} p50={median:.0f} ms worst={worst:.0f} ms")
        context.close()
        stop.set()
        thread.join(timeout=60)
        site.device.disconnect()
        site.device.loop_stop()
        process.terminate()
        process.wait(timeout=30)


def test_days_are_those_of_their_own_offset(site, browser):
    """Days of another season begin and end at midnight as the clocks showed it then."""
    context, page = open_page(
        browser, site, "viewer", f"/class/{ROOM}", timezone_id="Europe/Berlin"
    )
    page.fill("#days [name=first]", "2026-10-24")
    page.fill("#days [name=last]", "2026-10-25")
    with page.expect_response(re.compile(r"/data\?.*first=2026-10-24")) as heard:
        page.click("#days button")
    found = heard.value.json()
    assert found["from"] == 1000 * datetime(2026, 10, 23, 22, tzinfo=UTC).timestamp()
    assert found["to"] == 1000 * datetime(2026, 10, 25, 23, tzinfo=UTC).timestamp()
    context.close()

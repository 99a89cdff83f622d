// The class page: counts now, latest transitions, the river of states, lessons.
import { EMOTIONS, STATES, chart, clockTime, colour, condition, dateTime, element, follow, frame, legend, load, number, rem, words } from "./common.js";

const page = document.getElementById("class");
const path = page.dataset.path;
const query = new URLSearchParams(location.search);
if (!["from", "first", "lesson", "span"].some((name) => query.has(name))) query.set("span", page.dataset.span);
const rows = new Map([...document.querySelectorAll("#states li")].map((row) => [row.dataset.state, row]));
const river = chart("river");
const changes = chart("changes");
legend("legend", STATES, [river, changes]);
const wrongPerFace = page.dataset.wrong === "" ? null : Number(page.dataset.wrong);
const windows = document.getElementById("latest") === null; // of time, with no single changes
let shown = { from: 0, to: 0, live: true, buckets: [], lessons: [], notes: [], marks: [] };

function showNow(now) {
  condition(now);
  const pill = document.getElementById("presence");
  pill.dataset.presence = now.presence;
  pill.textContent = words.presence[now.presence];
  const reason = document.getElementById("reason");
  reason.hidden = now.reason === null;
  reason.textContent = now.reason === null ? "" : words[now.reason];
  document.getElementById("states").hidden = now.reason !== null;
  document.getElementById("faces").textContent = now.faces === null ? "" : `${now.faces} ${words.faces}${windowTime(now.until)}`;
  for (const [state, row] of rows) {
    const count = now.states?.[state];
    row.querySelector(".count").textContent = number(count);
    row.querySelector(".bar span").style.width = now.faces ? `${(100 * (count ?? 0)) / now.faces}%` : "0";
  }
}

function windowTime(until) {
  return until ? `, ${clockTime(until - 600000)} – ${clockTime(until)}` : "";
}

const seen = new Set();
function showChanges(events) {
  if (windows) return;
  const list = document.getElementById("latest");
  for (const event of events) {
    if (seen.has(event.id)) continue;
    seen.add(event.id);
    const line = element("li", { "data-event": event.id, "data-at": event.t },
      element("span", { className: `mark s-${event.from}`, "aria-hidden": "true" }),
      element("span", { text: `${words.states[event.from]} → ${words.states[event.to]}` }),
      element("span", { className: `mark s-${event.to}`, "aria-hidden": "true" }),
      element("time", { text: clockTime(event.t), datetime: new Date(event.t).toISOString() }));
    // What is sent a little late stands where it began.
    list.insertBefore(line, [...list.children].find((other) => other.dataset.at <= event.t) ?? null);
  }
  while (list.children.length > 30) list.lastElementChild.remove();
  if (seen.size > 5000) seen.clear();
}

// -- charts

function gaps(buckets, width) {
  // A minute that is not shown leaves a hole, never a line drawn across it.
  const filled = [];
  for (const bucket of buckets) {
    const last = filled.at(-1);
    if (last && bucket.t - last.t > 1.5 * width) filled.push(...end(last, width), { t: last.t + width, states: null, changes: null });
    filled.push(bucket);
  }
  if (buckets.length) filled.push(...end(buckets.at(-1), width));
  return filled;
}

function end(bucket, width) {
  // A window is drawn as a step, which holds until its end; minutes are joined by a line.
  return windows ? [{ t: bucket.t + width, states: bucket.states, changes: null }] : [];
}

function bucketWidth(buckets) {
  let width = 60000;
  const steps = buckets.slice(1).map((bucket, i) => bucket.t - buckets[i].t);
  if (steps.length) width = Math.min(...steps);
  return width;
}

function marks(from, to) {
  // Labels that would overlap the one before are left out; the line stays.
  const box = document.getElementById("river");
  const room = ((to - from) * rem(8)) / Math.max(box.clientWidth, 1);
  const all = [
    ...shown.lessons.map((lesson) => ({ at: lesson.from, text: lesson.title, dash: "dashed" })),
    ...shown.lessons.filter((lesson) => lesson.to).map((lesson) => ({ at: lesson.to, text: "", dash: "dashed" })),
    ...shown.notes.map((note) => ({ at: note.t, text: note.text, dash: "dotted" })),
    ...shown.marks.map((mark) => ({ at: mark.t, text: words.verdicts[mark.verdict], dash: "dotted" })),
  ].filter((mark) => mark.at >= from && mark.at <= to).sort((a, b) => a.at - b.at);
  let last = -Infinity;
  const data = all.map((mark) => {
    const show = mark.text !== "" && mark.at - last > room;
    if (show) last = mark.at;
    const align = mark.at > to - room ? "right" : "left";
    return { xAxis: mark.at, lineStyle: { type: mark.dash }, label: { show, formatter: mark.text, align, width: rem(8), overflow: "truncate" } };
  });
  return { silent: true, symbol: "none", lineStyle: { color: colour("ink") }, label: { color: colour("ink"), fontSize: rem(0.85), position: "end", rotate: 0, distance: 2 }, data };
}

function dataRange() {
  // A long span begins where data begins, so that it is not mostly blank.
  const width = bucketWidth(shown.buckets);
  const first = shown.buckets[0]?.t ?? shown.from;
  const from = query.has("lesson") ? shown.from : Math.max(shown.from, first - width);
  return { from: Math.min(from, shown.to - 60000), to: shown.to };
}

function wrongLine(width) {
  // How many changes of a bucket would be seen on people who only talk.
  const faces = !wrongPerFace ? null : document.getElementById("faces").textContent.match(/\d+/);
  if (!faces) return {};
  const minutes = width / 60000;
  // A window counts each face once, however often it seems to change.
  const perFace = windows ? (minutes / 10) * (1 - Math.exp(-10 * wrongPerFace)) : wrongPerFace * minutes;
  const wrong = perFace * Number(faces[0]);
  return { markLine: { silent: true, symbol: "none", lineStyle: { color: colour("ink"), type: "dashed" }, data: [{ yAxis: wrong }], label: { formatter: words.wrongAlone, position: "insideStartTop", color: colour("ink"), fontSize: rem(0.8) } } };
}

function draw() {
  const width = bucketWidth(shown.buckets);
  const points = gaps(shown.buckets, width);
  const { from, to } = dataRange();
  const nothing = !shown.buckets.length;
  const empty = document.getElementById("empty");
  empty.hidden = !nothing;
  empty.textContent = nothing ? words.empty : "";
  for (const id of ["river", "changes", "changes-title", "legend", "table-box"]) document.getElementById(id).hidden = nothing;
  if (nothing) return;
  const zoom = [{ type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }];
  river.setOption({
    ...frame(from, to, "%", { min: 0, max: 100 }),
    dataZoom: zoom,
    series: STATES.map((state, i) => ({
      name: words.states[state], type: "line", stack: "all", symbol: "none", ...(windows ? { step: "end" } : { smooth: 0.2 }), lineStyle: { width: 1.5, color: colour("card") },
      color: colour(state), areaStyle: { opacity: 1 }, emphasis: { focus: "series" },
      data: points.map((p) => [p.t, p.states ? Math.round(1000 * p.states[i]) / 10 : null]),
      ...(i === 0 ? { markLine: marks(from, to) } : {}),
    })),
  }, { notMerge: true });
  changes.setOption({
    ...frame(from, to, ""),
    dataZoom: zoom,
    series: EMOTIONS.map((state, i) => ({
      name: words.states[state], type: "bar", stack: "all", color: colour(state), barMaxWidth: 18, barMinWidth: 1,
      data: shown.buckets.map((p) => [p.t + width / 2, p.changes?.[i] ?? 0]),
      ...(i === 0 ? wrongLine(width) : {}),
    })),
  }, { notMerge: true });
  if (document.getElementById("table-box").open) drawTable();
}

function drawTable() {
  const head = element("tr", {}, element("th", { scope: "col", text: words.time }),
    ...STATES.map((s) => element("th", { scope: "col", text: `${words.states[s]} %` })),
    element("th", { scope: "col", text: words.changes }));
  const body = shown.buckets.slice(-120).reverse().map((p) => element("tr", {},
    element("th", { scope: "row", text: dateTime(p.t) }),
    ...STATES.map((_, i) => element("td", { text: number(p.states ? Math.round(100 * p.states[i]) : null) })),
    element("td", { text: number(p.changes ? p.changes.reduce((a, b) => a + b, 0) : null) })));
  document.getElementById("table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function drawLessons() {
  const body = shown.lessons.map((lesson) => {
    const stack = element("div", { className: "stack", role: "img", "aria-label": describe(lesson.states) });
    for (const [i, share] of (lesson.states ?? []).entries()) {
      const part = element("span", { className: `share s-${STATES[i]}` });
      part.style.width = `${100 * share}%`;
      stack.append(part);
    }
    const link = element("a", { href: `?lesson=${lesson.id}`, text: lesson.title });
    return element("tr", {}, element("th", { scope: "row" }, link),
      element("td", { text: dateTime(lesson.from) }),
      element("td", { text: lesson.to ? dateTime(lesson.to) : words.now }),
      element("td", { text: number(lesson.perMinute) }), element("td", {}, stack));
  });
  document.querySelector("#lessons tbody").replaceChildren(...body);
}

function describe(shares) {
  if (!shares) return words.noData;
  return shares.map((share, i) => `${words.states[STATES[i]]} ${Math.round(100 * share)} %`).join(", ");
}

// -- data

async function refresh() {
  shown = await load(`${path}/data?${query}`);
  draw();
  drawLessons();
  showSummary(shown.sentence);
  showNotes();
  showMarks();
  offerComparison();
  showChanges(shown.latest);
}

// -- the sentence, notes, and two lessons side by side

const cells = (name, ...texts) => element("tr", {}, element("th", { scope: "row", text: name }), ...texts.map((text) => element("td", { text })));

function showSummary(found) {
  document.getElementById("summary").hidden = !found;
  if (!found) return;
  document.getElementById("headline").textContent = found.text;
  document.getElementById("basis").replaceChildren(element("tbody", {},
    cells(words.minutes, number(found.minutes)),
    cells(words.faces, number(found.faces)),
    cells(words.perFace, number(found.changes)),
    cells(`${words.perFace}, ${words.before}`, number(found.usualChanges))));
}

function showNotes() {
  document.getElementById("notes").replaceChildren(...shown.notes.map((note) => element("li", {},
    element("time", { text: clockTime(note.t), datetime: new Date(note.t).toISOString() }), ` ${note.text} `,
    element("button", { type: "submit", name: "remove", value: note.id, className: "quiet", text: words.remove }))));
}

function showMarks() {
  document.getElementById("marks").replaceChildren(...shown.marks.map((mark) => element("li", {},
    element("time", { text: clockTime(mark.t), datetime: new Date(mark.t).toISOString() }), ` ${words.verdicts[mark.verdict]} `,
    element("button", { type: "submit", name: "remove", value: mark.id, className: "quiet", text: words.remove }))));
}

const comparison = document.getElementById("compare");
let offered = "";
function offerComparison() {
  const lessons = shown.lessons.map((lesson) => [`lesson-${lesson.id}`, `${lesson.title}, ${dateTime(lesson.from)}`]);
  const choices = [...lessons, ["this-week", words.thisWeek], ["last-week", words.lastWeek]];
  if (offered === JSON.stringify(choices)) return;
  offered = JSON.stringify(choices);
  for (const [i, select] of [comparison.a, comparison.b].entries()) {
    const before = select.value;
    select.replaceChildren(...choices.map(([value, text]) => element("option", { value, text })));
    select.value = choices.some(([value]) => value === before) ? before : choices[Math.min(i, choices.length - 1)][0];
  }
  compare().catch(console.warn);
}

function shareBar(state, share) {
  const bar = element("span", { className: "bar", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.width = `${100 * share}%`;
  return element("td", { "data-state": state }, `${number(Math.round(100 * share))} %`, bar);
}

async function compare() {
  const names = [comparison.a, comparison.b].map((select) => select.selectedOptions[0]?.textContent ?? "");
  const found = await load(`${path}/compare?a=${comparison.a.value}&b=${comparison.b.value}`);
  const sides = [found.a, found.b];
  const reason = document.getElementById("compare-reason");
  reason.hidden = sides.every(Boolean);
  reason.textContent = words.tooFew;
  const head = element("tr", {}, element("td"), ...names.map((name) => element("th", { scope: "col", text: name })));
  const rows = STATES.map((state, i) => element("tr", {}, element("th", { scope: "row", text: words.states[state] }),
    ...sides.map((side) => (side ? shareBar(state, side.states[i]) : element("td", { text: "–" })))));
  rows.push(cells(words.perFace, ...sides.map((side) => number(side?.changes))));
  rows.push(cells(words.minutes, ...sides.map((side) => number(side?.minutes))));
  document.getElementById("compared").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}
comparison.addEventListener("change", () => compare().catch(console.warn));

// The zone's offset is that of the days chosen: the clocks may change between them, and until today.
const days = document.getElementById("days").elements;
days.zone.form.addEventListener("submit", () => {
  const [first, last] = [days.first.value, days.last.value || days.first.value].sort();
  const [begins, ends] = [new Date(`${first}T00:00`), new Date(`${last}T00:00`)];
  ends.setDate(ends.getDate() + 1);
  days.zone.value = begins.getTimezoneOffset();
  days.zone_end.value = ends.getTimezoneOffset();
});

function showMinutes(minutes) {
  if (!shown.live || !minutes.length || query.get("span") !== "lesson") return;
  const first = minutes[0].t;
  const now = Date.now();
  const width = shown.to - shown.from;
  shown.to = now + 60000;
  shown.from = shown.to - width;
  shown.buckets = [...shown.buckets.filter((b) => b.t < first && b.t >= shown.from - 60000), ...minutes];
  draw();
}

document.getElementById("table-box").addEventListener("toggle", drawTable);
document.getElementById("room").addEventListener("change", (event) => event.target.form.submit());
const again = () => refresh().catch(console.warn);
follow(`${path}/live`, { now: showNow, changes: showChanges, minutes: showMinutes, again }, again);
setInterval(again, 60000);

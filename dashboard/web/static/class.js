// The class page: counts now, latest transitions, the river of states, lessons.
import { EMOTIONS, STATES, chart, clockTime, colour, condition, dateTime, element, follow, frame, load, words } from "./common.js";

const page = document.getElementById("class");
const path = page.dataset.path;
const query = new URLSearchParams(location.search);
if (!query.has("from") && !query.has("span")) query.set("span", page.dataset.span);
const rows = new Map([...document.querySelectorAll("#states li")].map((row) => [row.dataset.state, row]));
const river = chart("river");
const changes = chart("changes");
let shown = { from: 0, to: 0, live: true, buckets: [], lessons: [] };

function showNow(now) {
  condition(now);
  const pill = document.getElementById("presence");
  pill.dataset.presence = now.presence;
  pill.textContent = words.presence[now.presence];
  const reason = document.getElementById("reason");
  reason.hidden = now.reason === null;
  reason.textContent = now.reason === null ? "" : words[now.reason];
  document.getElementById("faces").textContent = now.faces === null ? "" : `${now.faces} ${words.faces}`;
  for (const [state, row] of rows) {
    const count = now.states?.[state];
    row.querySelector(".count").textContent = count ?? "–";
    row.querySelector(".bar span").style.width = now.faces ? `${(100 * (count ?? 0)) / now.faces}%` : "0";
  }
}

const seen = new Set();
function showChanges(events) {
  const list = document.getElementById("latest");
  for (const event of events) {
    if (seen.has(event.id)) continue;
    seen.add(event.id);
    const line = element("li", { "data-event": event.id, "data-at": event.t },
      element("span", { className: `mark s-${event.from}`, "aria-hidden": "true" }),
      element("span", { text: `${words.states[event.from]} → ${words.states[event.to]}` }),
      element("span", { className: `mark s-${event.to}`, "aria-hidden": "true" }),
      element("time", { text: clockTime(event.t), datetime: new Date(event.t).toISOString() }));
    // What is told a little late stands where it began.
    list.insertBefore(line, [...list.children].find((other) => other.dataset.at <= event.t) ?? null);
  }
  while (list.children.length > 30) list.lastElementChild.remove();
  if (seen.size > 5000) seen.clear();
}

// -- charts

function gaps(buckets, width) {
  // A minute that is not told leaves a hole, never a line drawn across it.
  const filled = [];
  for (const bucket of buckets) {
    const last = filled.at(-1);
    if (last && bucket.t - last.t > 1.5 * width) filled.push({ t: last.t + width, states: null, changes: null });
    filled.push(bucket);
  }
  return filled;
}

function bucketWidth(buckets) {
  let width = 60000;
  const steps = buckets.slice(1).map((bucket, i) => bucket.t - buckets[i].t);
  if (steps.length) width = Math.min(...steps);
  return width;
}

function marks() {
  const data = shown.lessons.flatMap((lesson) => [
    { xAxis: lesson.from, label: { formatter: `▶ ${lesson.title}` } },
    ...(lesson.to ? [{ xAxis: lesson.to, label: { formatter: "■" } }] : []),
  ]).filter((mark) => mark.xAxis >= shown.from && mark.xAxis <= shown.to);
  return { silent: true, symbol: "none", lineStyle: { color: colour("ink"), type: "dashed" }, label: { color: colour("ink"), position: "insideEndTop", rotate: 0 }, data };
}

function draw() {
  const width = bucketWidth(shown.buckets);
  const points = gaps(shown.buckets, width);
  river.setOption({
    ...frame(shown.from, shown.to, "%", { min: 0, max: 100 }),
    series: STATES.map((state, i) => ({
      name: words.states[state], type: "line", stack: "all", symbol: "none", smooth: 0.2, lineStyle: { width: 0 },
      color: colour(state), areaStyle: { opacity: 0.95 }, emphasis: { focus: "series" },
      data: points.map((p) => [p.t, p.states ? Math.round(1000 * p.states[i]) / 10 : null]),
      ...(i === 0 ? { markLine: marks() } : {}),
    })),
  }, { notMerge: true });
  changes.setOption({
    ...frame(shown.from, shown.to, ""),
    series: EMOTIONS.map((state, i) => ({
      name: words.states[state], type: "bar", stack: "all", color: colour(state), barMaxWidth: 18, barMinWidth: 1,
      data: shown.buckets.map((p) => [p.t + width / 2, p.changes?.[i] ?? 0]),
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
    ...STATES.map((_, i) => element("td", { text: p.states ? Math.round(100 * p.states[i]) : "–" })),
    element("td", { text: p.changes ? p.changes.reduce((a, b) => a + b, 0) : "–" })));
  document.getElementById("table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function drawLessons() {
  const body = shown.lessons.map((lesson) => {
    const stack = element("div", { className: "stack", role: "img", "aria-label": describe(lesson.states) });
    for (const [i, share] of (lesson.states ?? []).entries()) {
      const part = element("span", { className: `s-${STATES[i]}` });
      part.style.width = `${100 * share}%`;
      stack.append(part);
    }
    const link = element("a", { href: `?from=${lesson.from}&to=${lesson.to ?? Date.now()}`, text: lesson.title });
    return element("tr", {}, element("th", { scope: "row" }, link),
      element("td", { text: dateTime(lesson.from) }),
      element("td", { text: lesson.to ? dateTime(lesson.to) : words.now }),
      element("td", { text: lesson.perMinute ?? "–" }), element("td", {}, stack));
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
  showChanges(shown.latest);
}

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

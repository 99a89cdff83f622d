// The device page: health, events and latency of one device.
import { chart, clockTime, colour, condition, dateTime, element, follow, frame, load, number, rem, words } from "./common.js";

const path = document.getElementById("device").dataset.path;
const latency = chart("latency");
const trends = new Map([...document.querySelectorAll(".trends .chart")].map((box) => [box.id.slice(6), chart(box.id)]));
const span = new URLSearchParams(location.search).get("span") ?? "day";
const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98"];
const SYMBOLS = ["circle", "triangle", "rect", "diamond", "pin", "arrow", "roundRect"];

function showDevice(now) {
  condition(now);
  const pill = document.getElementById("presence");
  pill.dataset.presence = now.presence;
  pill.textContent = words.presence[now.presence];
  for (const fact of document.querySelectorAll("#facts dd[data-key]")) fact.textContent = fact.dataset.key === "camera" ? (words.camera[now.camera] ?? "–") : number(now[fact.dataset.key]);
  const needs = now.needs.map((need) => element("span", { className: "need", text: words.attention[need] }));
  document.getElementById("needs").replaceChildren(...(needs.length ? needs : [element("span", { className: "fine", text: words.ok })]));
}

// Events come twice: live, and from the history. Whichever is first shows them; none takes them away.
const shown = new Map();
function row(event) {
  return element("tr", { "data-event": event.id }, element("td", { text: event.historical ? dateTime(event.t) : clockTime(event.t) }),
    element("td", { text: words.states[event.from] }), element("td", { text: words.states[event.to] }),
    element("td", { text: event.confidence }), element("td", { text: event.latency }));
}

function showChanges(events) {
  const fresh = events.filter((event) => !shown.has(event.id));
  if (!fresh.length) return;
  for (const event of fresh) shown.set(event.id, { t: event.t, row: row(event) });
  const newest = [...shown].sort(([, a], [, b]) => b.t - a.t);
  for (const [id] of newest.splice(100)) shown.delete(id);
  document.getElementById("events").replaceChildren(...newest.map(([, found]) => found.row));
}

function broken(times, values) {
  // Where a device was silent the line stops: nothing is known of that time.
  return times.flatMap((at, k) => [...(k && at - times[k - 1] > 180000 && at - times[k - 1] > 3 * usual(times) ? [[times[k - 1] + 1, null]] : []), [at, values[k]]]);
}

const usual = (times) => (times.length > 1 ? Math.min(...times.slice(1).map((at, k) => at - times[k])) : 0);

async function refresh() {
  const data = await load(`${path}/data?span=${encodeURIComponent(span)}`);
  showChanges(data.events);
  const { t, stages } = data.latency;
  const names = Object.keys(stages);
  latency.setOption({
    ...frame(t[0] ?? data.from, data.to, "ms", { min: 0 }),
    grid: { left: rem(3.4), right: rem(1), top: rem(3.6), bottom: rem(2) },
    legend: { show: true, top: 0, type: "scroll", textStyle: { color: colour("ink"), fontSize: rem(0.85) }, pageTextStyle: { color: colour("ink") } },
    series: names.map((name, i) => ({
      name, type: "line", color: LINES[i % LINES.length], symbol: SYMBOLS[i % SYMBOLS.length], symbolSize: 6, showSymbol: t.length < 60,
      lineStyle: { width: name === "total" ? 4 : 2, type: i % 2 ? "dashed" : "solid" },
      connectNulls: false, data: broken(t, stages[name]),
    })),
  }, { notMerge: true });
  for (const [name, drawn] of trends) {
    drawn.setOption({
      ...frame(t[0] ?? data.from, data.to, "", { scale: name !== "fps", min: name === "fps" || name === "abstained" ? 0 : null, splitNumber: 3 }),
      grid: { left: rem(3.4), right: rem(0.5), top: rem(0.6), bottom: rem(1.8) },
      series: [{ type: "line", color: colour("accent"), symbol: "circle", symbolSize: 5, showSymbol: t.length < 60, connectNulls: false, data: broken(t, data.latency.trends[name]) }],
    }, { notMerge: true });
  }
  const head = element("tr", {}, element("th", { scope: "col", text: words.time }), ...names.map((name) => element("th", { scope: "col", text: name })));
  const rows = t.map((at, k) => element("tr", {}, element("th", { scope: "row", text: dateTime(at) }), ...names.map((name) => element("td", { text: stages[name][k] ?? "–" })))).reverse().slice(0, 120);
  document.getElementById("latency-table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

const again = () => refresh().catch(console.warn);
follow(`${path}/live`, { device: showDevice, changes: showChanges, again }, again);
setInterval(again, 60000);

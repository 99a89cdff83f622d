// What the pages' scripts share: words, times, live streams, charts.

export const words = JSON.parse(document.getElementById("words").textContent);
export const STATES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "unknown"];
export const EMOTIONS = STATES.slice(0, 7);
const page = document.documentElement.lang;
// The viewer's own region decides how times look, as long as it is of the page's language.
const language = navigator.languages.find((tag) => tag.split("-")[0] === page) ?? page;

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
export const clockTime = (ms) => clock.format(new Date(ms));
export const dateTime = (ms) => full.format(new Date(ms));

export function showTimes(root) {
  for (const found of root.querySelectorAll("time[datetime]")) {
    if (!found.textContent) found.textContent = full.format(new Date(found.dateTime));
  }
}

export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  const { text, className, ...rest } = options;
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(rest)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const colours = {};
export function colour(name) {
  return (colours[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
}

// -- the banner says what does not work, and nothing when all does

const faults = new Map();
export function fault(name, message) {
  if ((faults.get(name) ?? "") === (message ?? "")) return;
  if (message) faults.set(name, message);
  else faults.delete(name);
  const lines = [...faults.values()].map((text) => element("p", { text }));
  document.getElementById("banner").replaceChildren(...lines);
}

export function condition(now) {
  fault("broker", now.broker ? "" : words.brokerAway);
  fault("database", now.database ? "" : words.databaseAway);
  fault("worker", now.worker || !now.database ? "" : words.workerAway);
}

// -- live streams

export function follow(path, handlers, onOpen = () => {}) {
  const source = new EventSource(path);
  source.addEventListener("open", () => { fault("link", ""); onOpen(); });
  source.addEventListener("error", () => {
    fault("link", words.linkLost);
    // The browser tries again by itself, unless it was refused: then the session has ended.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
  for (const [name, handler] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
  }
  return source;
}

export async function load(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  fault("data", answer.status === 503 ? words.databaseAway : "");
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// -- charts

// The library is preloaded by the page; where nobody has fetched it, tables tell the same.
const library = document.querySelector("link[rel=modulepreload]");
const echarts = library ? await import(library.href).catch(() => null) : null;

export function chart(id) {
  const box = document.getElementById(id);
  if (!echarts) {
    box.textContent = words.noCharts;
    return { setOption() {}, on() {} };
  }
  const made = echarts.init(box, null, { renderer: "canvas" });
  new ResizeObserver(() => made.resize()).observe(box);
  return made;
}

const decals = [
  { symbol: "triangle", symbolSize: 0.8 },
  { symbol: "diamond", symbolSize: 0.8 },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: Math.PI / 6 },
  { symbol: "none" },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4 },
  { symbol: "circle", symbolSize: 0.8 },
  { symbol: "none" },
  { symbol: "rect", dashArrayX: [[4, 4], [0, 4, 4, 0]], dashArrayY: [4, 0], symbolSize: 1 },
];

export function frame(from, to, yName, extra = {}) {
  const ink = colour("ink"), line = colour("line"), soft = colour("soft");
  return {
    animation: false,
    textStyle: { fontFamily: "inherit", color: ink },
    aria: { enabled: true, decal: { show: true, decals } },
    grid: { left: 50, right: 16, top: 44, bottom: 28 },
    legend: { top: 0, type: "scroll", textStyle: { color: ink }, pageTextStyle: { color: ink }, inactiveColor: soft },
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, order: "seriesDesc", backgroundColor: colour("card"), borderColor: line, textStyle: { color: ink } },
    xAxis: { type: "time", min: from, max: to, axisLabel: { color: soft, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, splitLine: { show: false } },
    yAxis: { type: "value", name: yName, nameTextStyle: { color: soft, align: "left" }, axisLabel: { color: soft }, splitLine: { lineStyle: { color: line } }, ...extra },
  };
}

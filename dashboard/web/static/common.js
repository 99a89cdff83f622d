// What the pages' scripts share: words, times, live streams, charts.

export const words = JSON.parse(document.getElementById("words").textContent);
export const STATES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "unknown"];
export const EMOTIONS = STATES.slice(0, 7);
const page = document.documentElement.lang;
// The viewer's own region decides how times look, as long as it is of the page's language.
const language = navigator.languages.find((tag) => tag.split("-")[0] === page) ?? page;

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
export const number = (value) => (value === null || value === undefined ? "–" : typeof value === "number" ? numbers.format(value) : value);
export const clockTime = (ms) => clock.format(new Date(ms));
export const dateTime = (ms) => full.format(new Date(ms));

export function showTimes(root) {
  for (const found of root.querySelectorAll("time[datetime]")) {
    // What stands in it already is for browsers without scripts.
    if (found.textContent && found.textContent !== found.dateTime) continue;
    found.title = found.dateTime;
    found.textContent = full.format(new Date(found.dateTime));
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

// -- the banner says what does not work: the gravest fault alone, for the others follow from it

const GRAVEST_FIRST = ["link", "database", "data", "broker", "worker"];
const faults = new Map();
export function fault(name, message) {
  if ((faults.get(name) ?? "") === (message ?? "")) return;
  if (message) faults.set(name, message);
  else faults.delete(name);
  const gravest = GRAVEST_FIRST.find((one) => faults.has(one));
  document.getElementById("banner").replaceChildren(...(gravest ? [element("p", { text: faults.get(gravest) })] : []));
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

// The library is preloaded by the page; where nobody has fetched it, tables show the same.
const library = document.querySelector("link[rel=modulepreload]");
const echarts = library ? await import(library.href).catch(() => null) : null;

export function chart(id) {
  const box = document.getElementById(id);
  if (!echarts) {
    box.textContent = words.noCharts;
    return { setOption() {}, on() {}, dispatchAction() {} };
  }
  const made = echarts.init(box, null, { renderer: "canvas" });
  new ResizeObserver(() => made.resize()).observe(box);
  return made;
}

// One pattern a state, the same as in style.css: pale on dark colours, dark on light ones.
const pale = "rgba(255,255,255,.4)", dim = "rgba(0,0,0,.35)";
const stripes = (rotation, color) => ({ symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation, color });
const decals = [
  stripes(-Math.PI / 4, pale),
  { symbol: "circle", symbolSize: 0.5, dashArrayX: [[7, 0]], dashArrayY: [7, 0], color: dim },
  stripes(Math.PI / 2, pale),
  stripes(0, dim),
  stripes(Math.PI / 4, pale),
  { symbol: "diamond", symbolSize: 0.9, dashArrayX: [[8, 0], [0, 8, 8, 0]], dashArrayY: [8, 0], color: dim },
  { symbol: "circle", symbolSize: 0.3, dashArrayX: [[9, 0], [0, 9]], dashArrayY: [9, 0], color: pale },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 3], rotation: Math.PI / 2, color: dim },
];

// Text of the charts grows with that of the page.
export const rem = (size) => size * parseFloat(getComputedStyle(document.documentElement).fontSize);

export function legend(id, states, charts) {
  const list = document.getElementById(id);
  if (!list || !echarts) return;
  list.replaceChildren(...states.map((state) => {
    const button = element("button", { type: "button", "aria-pressed": "true" },
      element("span", { className: `swatch share s-${state}`, "aria-hidden": "true" }),
      element("span", { text: words.states[state] }));
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      for (const one of charts) one.dispatchAction({ type: on ? "legendSelect" : "legendUnSelect", name: words.states[state] });
    });
    return element("li", {}, button);
  }));
}

export function frame(from, to, yName, extra = {}) {
  const ink = colour("ink"), line = colour("line"), soft = colour("soft");
  const text = rem(0.85);
  return {
    animation: false,
    textStyle: { fontFamily: "inherit", fontSize: text, color: ink },
    aria: { enabled: true, decal: { show: true, decals } },
    grid: { left: rem(3.4), right: rem(1), top: rem(1.8), bottom: rem(2) },
    legend: { show: false },
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, order: "seriesDesc", backgroundColor: colour("card"), borderColor: line, textStyle: { color: ink, fontSize: text } },
    xAxis: { type: "time", min: from, max: to, containShape: false, axisLabel: { color: soft, hideOverlap: true, fontSize: text }, axisLine: { lineStyle: { color: line } }, splitLine: { show: false } },
    yAxis: { type: "value", name: yName, nameTextStyle: { color: soft, align: "left", fontSize: text }, axisLabel: { color: soft, fontSize: text, formatter: (value) => number(value) }, splitLine: { lineStyle: { color: line } }, ...extra },
  };
}

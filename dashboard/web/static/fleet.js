// The fleet page: rows change as devices report; filter and order stay as chosen.
import { condition, element, follow, number, words } from "./common.js";

const body = document.querySelector("#fleet tbody");
const rows = new Map([...body.rows].map((row) => [row.dataset.id, row]));
const KEYS = ["camera", "fps", "p95", "temperature", "level", "outbox", "model", "isolation", "drift"];

function needs(row) {
  if (!row.needs.length) return [element("span", { className: "fine", text: words.ok })];
  return row.needs.map((need) => element("span", { className: "need", text: words.attention[need] }));
}

function make(row) {
  const made = element("tr", { "data-id": row.id });
  const link = element("a", { href: `/device/${row.id}`, text: row.device });
  made.append(element("td"), element("th", { scope: "row" }, link, " ", element("small", { text: row.site })),
    element("td", {}, element("span", { className: "pill" })), ...KEYS.map(() => element("td")));
  body.append(made);
  rows.set(row.id, made);
  return made;
}

function show(changed) {
  for (const row of changed) {
    const found = rows.get(row.id) ?? make(row);
    found.dataset.weight = row.weight;
    found.cells[0].replaceChildren(...needs(row));
    const pill = found.cells[2].firstElementChild;
    pill.dataset.presence = row.presence;
    pill.textContent = words.presence[row.presence];
    KEYS.forEach((key, i) => { found.cells[3 + i].textContent = key === "camera" ? (words.camera[row.camera] ?? "–") : number(row[key]); });
  }
  count();
}

function count() {
  const all = [...rows.values()];
  document.getElementById("all").textContent = all.length;
  document.getElementById("online").textContent = all.filter((r) => r.cells[2].firstElementChild.dataset.presence === "online").length;
  document.getElementById("attention").textContent = all.filter((r) => r.dataset.weight > 0).length;
}

document.getElementById("filter").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  let left = 0;
  for (const row of rows.values()) {
    row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
    left += !row.hidden;
  }
  document.getElementById("shown").textContent = wanted ? `${left} ${words.devicesShown}` : "";
});

const collator = new Intl.Collator(document.documentElement.lang, { numeric: true });
document.querySelector("#fleet thead").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const head = button.closest("th");
  const down = head.getAttribute("aria-sort") === (button.dataset.key === "needs" ? "" : "ascending");
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down || button.dataset.key === "needs" ? "descending" : "ascending");
  const at = head.cellIndex;
  const order = button.dataset.key === "needs"
    ? (a, b) => b.dataset.weight - a.dataset.weight || collator.compare(a.dataset.id, b.dataset.id)
    : (a, b) => (down ? -1 : 1) * collator.compare(a.cells[at].textContent, b.cells[at].textContent);
  body.append(...[...rows.values()].sort(order));
});

follow(`/fleet/live?since=${document.getElementById("fleet").dataset.since}`, { rows: show, now: condition });

"use strict";
const part = (id) => document.getElementById(id);
const svg = part("faces");
const EVERY_MS = 400;

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawFaces(state) {
  const { width, height } = state;
  if (!width) return svg.replaceChildren();
  part("stage").style.aspectRatio = `${width} / ${height}`;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const { across, down, seen } = state.cells;
  const cells = seen.map((share, place) => share && shape("rect", {
    class: "cell", "fill-opacity": 0.04 + 0.14 * share / 100,
    x: (place % across) * width / across, y: Math.floor(place / across) * height / down,
    width: width / across, height: height / down,
  })).filter(Boolean);
  const size = 14 * width / (svg.clientWidth || width); // 14 pixels on the screen
  const faces = state.faces.flatMap((face) => [
    shape("rect", { class: `face ${face.verdict}`, x: face.x, y: face.y, width: face.width, height: face.height }),
    shape("text", {
      class: face.verdict, x: face.x + face.width / 2, "font-size": size,
      y: face.y > 1.5 * size ? face.y - size / 3 : face.y + face.height + size,
    }, `${face.width} px`),
  ]);
  svg.replaceChildren(...cells, ...faces);
}

function drawOutline(outline) {
  const canvas = part("outline");
  canvas.hidden = !outline;
  if (!outline) return;
  canvas.width = outline.columns;
  canvas.height = outline.rows;
  const bytes = atob(outline.bits);
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).color;
  for (let place = 0; place < outline.columns * outline.rows; place += 1) {
    if (bytes.charCodeAt(place >> 3) >> (7 - place % 8) & 1) {
      context.fillRect(place % outline.columns, Math.floor(place / outline.columns), 1, 1);
    }
  }
}

function count(state, verdict) {
  return state.faces.filter((face) => face.verdict === verdict).length;
}

function put(id, text) {
  if (part(id).textContent !== text) part(id).textContent = text;
}

const STATES = { opening: "The camera is being opened", lost: "The camera is lost", ended: "The clip has ended" };

function show(state) {
  drawFaces(state);
  drawOutline(state.outline);
  const faces = state.faces.length;
  put("summary", STATES[state.state] ?? (faces === 1 ? "1 face" : `${faces} faces`));
  const advice = state.advice.join("\n");
  if (part("advice").dataset.text !== advice) {
    part("advice").dataset.text = advice;
    part("advice").replaceChildren(...state.advice.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  }
  put("picture", state.width ? `${state.width} × ${state.height}` : "–");
  put("fps", `${state.fps.toFixed(1)} a second`);
  put("brightness", `${state.brightness} %`);
  put("sharpness", String(state.sharpness));
  const c = state.coverage;
  put("coverage", c ? `${c[0]}–${c[1]} % across, ${c[2]}–${c[3]} % down` : "no face");
  put("landmarks", String(count(state, "landmarks")));
  put("picture_only", String(count(state, "picture")));
  put("too_small", String(count(state, "too_small")));
  const ask = part("ask");
  ask.disabled = !state.console || state.asked || Boolean(state.outline);
  put("outline_text",
    state.outline ? `Shown for another ${state.outline.seconds_left} seconds. Edges only, faces left out.`
    : state.asked ? "Asked for. Somebody at the device's own console has to agree now."
    : state.console ? "Edges only, faces left out, for five minutes at most. Somebody at the device's own console has to agree."
    : "Not now: it needs edge aim to run on the device's own console (its screen and keyboard, or its serial port).");
}

async function turn() {
  try {
    const answer = await fetch("state");
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
  } catch {
    put("summary", "edge aim has ended");
    svg.replaceChildren();
    drawOutline(null);
    part("ask").disabled = true;
  }
  setTimeout(turn, EVERY_MS);
}

part("ask").addEventListener("click", () => fetch("outline", { method: "POST" }).catch(() => {}));
turn();

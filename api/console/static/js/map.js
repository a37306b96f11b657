/* The map of embeddings on a canvas: zoom and move, the image under the pointer, a click that opens it, groups that can be
   hidden. Colours come from the style sheet; marks are those of the legend. The table beside it needs no script. */

import { ask } from "./service.js";

const SHAPES = ["M4 0A4 4 0 1 1-4 0A4 4 0 1 1 4 0Z", "M-4-4h8v8h-8z", "M0-5 5 4h-10z", "M0-5.5 5.5 0 0 5.5-5.5 0z",
  "M-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z", "M0 5 5-4h-10z"].map((path) => new Path2D(path));
const COLOURS = 12;
const REACH_PIXELS = 12;
const MARGIN = 0.04;
const LARGEST_ZOOM = 40;
const ASK_AGAIN_MILLISECONDS = 3000;

const canvas = document.querySelector("#map");
const tip = document.querySelector(".map-tip");
const groups = [...document.querySelectorAll("[data-group]")];
const order = new Map(groups.map((box, index) => [box.dataset.group, index]));
const view = { zoom: 1, x: 0.5, y: 0.5 };
const pointers = new Map();
let places = [];
let moved = false;

/* What tells a place's group, as the server makes it. */
function keyOf(place) {
  if (place.candidate_id) return `candidate:${place.candidate_id}`;
  return place.generator ? `generator:${place.generator}` : place.verdict;
}

function scale() {
  return Math.min(canvas.clientWidth, canvas.clientHeight) * (1 - 2 * MARGIN) * view.zoom;
}

function onScreen(place) {
  return [canvas.clientWidth / 2 + (place.x - view.x) * scale(), canvas.clientHeight / 2 - (place.y - view.y) * scale()];
}

function isShown(place) {
  const index = order.get(keyOf(place));
  return index !== undefined && groups[index].checked;
}

function draw() {
  const ratio = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const size = Math.min(1.6, 0.7 + 0.15 * Math.log2(view.zoom + 1));
  for (const place of places) {
    if (!isShown(place)) continue;
    const index = order.get(keyOf(place));
    const [x, y] = onScreen(place);
    pen.setTransform(ratio * size, 0, 0, ratio * size, x * ratio, y * ratio);
    pen.fillStyle = style.getPropertyValue(`--map-${index % COLOURS}`);
    pen.globalAlpha = 0.85;
    pen.fill(SHAPES[index % SHAPES.length]);
  }
}

function zoomBy(factor, at = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
  const before = scale();
  view.zoom = Math.min(LARGEST_ZOOM, Math.max(1, view.zoom * factor));
  const [dx, dy] = [at[0] - canvas.clientWidth / 2, at[1] - canvas.clientHeight / 2];
  view.x += dx / before - dx / scale();
  view.y -= dy / before - dy / scale();
  if (view.zoom === 1) Object.assign(view, { x: 0.5, y: 0.5 });
  draw();
}

function moveBy(dx, dy) {
  view.x -= dx / scale();
  view.y += dy / scale();
  draw();
}

function nearestTo(x, y) {
  let [best, least] = [null, REACH_PIXELS ** 2];
  for (const place of places) {
    if (!isShown(place)) continue;
    const [px, py] = onScreen(place);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance <= least) [best, least] = [place, distance];
  }
  return best;
}

function showTip(place) {
  tip.hidden = !place;
  canvas.classList.toggle("map-over", Boolean(place));
  if (!place) return;
  const [x, y] = onScreen(place);
  const source = `/v1/images/${place.image_id}/thumbnail`;
  const image = tip.querySelector("img");
  if (image.getAttribute("src") !== source) image.src = source;
  tip.querySelector("span").textContent = groups[order.get(keyOf(place))].closest("label").children[2].textContent;
  tip.style.left = `${Math.min(Math.max(0, x + 14), canvas.clientWidth - tip.offsetWidth)}px`;
  tip.style.top = `${Math.min(Math.max(0, y + 14), canvas.clientHeight - tip.offsetHeight)}px`;
}

function pointerDown(event) {
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  canvas.setPointerCapture(event.pointerId);
  moved = pointers.size > 1;
}

function pointerMove(event) {
  const before = pointers.get(event.pointerId);
  const now = [event.offsetX, event.offsetY];
  if (!before) return showTip(nearestTo(...now));
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  if (other) zoomBy(Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])), other);
  else moveBy(now[0] - before[0], now[1] - before[1]);
  moved ||= Math.hypot(now[0] - before[0], now[1] - before[1]) > 1;
  pointers.set(event.pointerId, now);
  return showTip(null);
}

function pointerUp(event) {
  pointers.delete(event.pointerId);
  const place = moved || event.type === "pointercancel" ? null : nearestTo(event.offsetX, event.offsetY);
  if (place) location.assign(`/console/images/${place.image_id}`);
}

const STEPS = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };

function keyDown(event) {
  if (event.key === "+" || event.key === "=") zoomBy(1.4);
  else if (event.key === "-") zoomBy(1 / 1.4);
  else if (event.key === "0") zoomBy(0);
  else if (STEPS[event.key]) moveBy(...STEPS[event.key]);
  else return;
  event.preventDefault();
}

async function load() {
  try {
    const map = await ask("/v1/generators/map");
    places = map.places;
    if ("awaited" in canvas.dataset) {
      if (!map.asked_at) location.reload();
      else setTimeout(load, ASK_AGAIN_MILLISECONDS);
    }
    draw();
    canvas.dataset.places = places.length;
  } catch (error) {
    const failure = document.querySelector(".map-failure");
    failure.textContent = `The map cannot be shown: ${error.message}`;
    failure.hidden = false;
  }
}

if (canvas) {
  canvas.addEventListener("pointerdown", pointerDown);
  canvas.addEventListener("pointermove", pointerMove);
  canvas.addEventListener("pointerup", pointerUp);
  canvas.addEventListener("pointercancel", pointerUp);
  canvas.addEventListener("pointerleave", () => showTip(null));
  canvas.addEventListener("keydown", keyDown);
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 300), [event.offsetX, event.offsetY]);
  }, { passive: false });
  for (const button of document.querySelectorAll("[data-map]")) {
    button.addEventListener("click", () => zoomBy({ in: 1.6, out: 1 / 1.6, reset: 0 }[button.dataset.map]));
  }
  for (const box of groups) box.addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  load();
}

/* The page of one batch: fills the wall with pictures and keeps it true while the batch is in progress. */

import { ask } from "./service.js";
import { Wall } from "./wall.js";

const REFRESH_MILLISECONDS = 3000;
const WORDS = { pending: "waiting", running: "in work", cancelled: "left out" };

const root = document.getElementById("wall");
const says = document.getElementById("wall-says");
const failed = document.getElementById("wall-failed");
const template = document.getElementById("cell").content.firstElementChild;

let ends = [];
let places = "";
let begun = 0;

function inWords(entry) {
  if (entry.state === "failed") return ["failed", entry.error_code.replaceAll("_", " ")];
  if (entry.state !== "succeeded") return ["waiting", WORDS[entry.state]];
  if (entry.verdict === "unseen") return ["unseen", "no known generator"];
  if (entry.verdict === "inconclusive") return ["inconclusive", "inconclusive"];
  return ["known", entry.generator === "real" ? "real" : entry.generator];
}

function decimal(value) {
  return value < 0.001 && value > 0 ? value.toExponential(0) : value.toFixed(3);
}

function fill(entry) {
  const cell = template.cloneNode(true);
  const image = cell.querySelector("img");
  if (entry === undefined) {
    image.remove();
    cell.classList.add("cell-blank");
    return cell;
  }
  const [kind, words] = inWords(entry);
  cell.classList.add(`cell-${kind}`);
  cell.querySelector(".cell-name").textContent = entry.custom_id.split("/").pop();
  cell.querySelector(".cell-verdict").textContent = words;
  if (entry.p_value !== null) cell.querySelector(".cell-p").textContent = `p ${decimal(entry.p_value)}`;
  cell.title = entry.custom_id;
  // Of what is not decoded yet, or could not be, there is no picture to ask for.
  if (entry.state !== "succeeded") image.remove();
  else image.src = `/v1/images/${entry.image_id}/thumbnail`;
  if (entry.image_id !== null) cell.href = `/console/images/${entry.image_id}`;
  return cell;
}

function fetchPage(number, signal) {
  const after = number === 0 ? "" : `after=${encodeURIComponent(ends[number - 1])}`;
  return ask(root.dataset.pictures + after, { signal });
}

function fail() {
  failed.hidden = false;
}

const wall = new Wall(root, { fill, fetchPage, pageSize: Number(root.dataset.page), onFailure: fail });

async function look() {
  begun = Date.now();
  try {
    const found = await ask(root.dataset.places);
    failed.hidden = true;
    ends = found.ends;
    says.textContent = `${found.total.toLocaleString("en").replaceAll(",", "\u202f")} picture${found.total === 1 ? "" : "s"}. Arrow keys move, Enter opens.`;
    says.hidden = found.total === 0;
    document.getElementById("wall-empty").hidden = found.total > 0;
    root.hidden = found.total === 0;
    wall.show(found.total);
    returnTo(history.state?.wall);
  } catch {
    fail();
  }
}

/* Whoever comes back from a picture finds the wall where it was left. */
let returned = false;
function returnTo(place) {
  if (place && !returned) {
    wall.mark(place.current);
    scrollTo(0, place.top);
  }
  returned = true;
}
addEventListener("pagehide", () => {
  history.replaceState({ ...history.state, wall: { top: scrollY, current: wall.current } }, "");
});

let waiting = 0;
document.body.addEventListener("live-batches", () => {
  clearTimeout(waiting);
  waiting = setTimeout(look, Math.max(0, begun + REFRESH_MILLISECONDS - Date.now()));
});
document.getElementById("wall-again").addEventListener("click", look);
look();

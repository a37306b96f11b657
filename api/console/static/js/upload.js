/* The batches page's upload: choose, look at what was chosen, send, and on to the batch. The batch itself remembers what
   has arrived, so an upload that was broken off goes on by choosing the same folder again. */

import { ask } from "./service.js";
import { Sending } from "./sending.js";
import { fromChosen, fromDrop } from "./sources.js";

const DRAW_MILLISECONDS = 150;
const SAY_MILLISECONDS = 10000;
const FAILED_SHOWN = 100;

const part = (id) => document.getElementById(id);
let resumed = null;
let chosen = null;
let sending = null;
let begunAt = 0;
let drawing = 0;
let saidAt = 0;

const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** power;
  return `${value < 100 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

function length(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

const images = (number) => `${count(number)} image${number === 1 ? "" : "s"}`;

function show(step) {
  for (const id of ["drop", "upload-chosen", "upload-running"]) part(id).hidden = id !== step;
}

function complain(words) {
  part("upload-problem").hidden = words === "";
  part("upload-problem-words").textContent = words;
}

async function choose(reading) {
  complain("");
  part("drop").classList.add("drop-busy");
  try {
    chosen = await reading;
    if (chosen.images.length === 0) throw new Error("There is no image in what you chose.");
    offer();
  } catch (error) {
    complain(error.message);
  } finally {
    part("drop").classList.remove("drop-busy");
  }
}

function offer() {
  const bytes = chosen.images.reduce((sum, image) => sum + image.size, 0);
  part("chosen-count").textContent = `${images(chosen.images.length)}, ${size(bytes)}`;
  part("chosen-passed").textContent = chosen.passedOver ? `Passed over: ${count(chosen.passedOver)} other file${chosen.passedOver === 1 ? "" : "s"}.` : "";
  part("chosen-named").hidden = resumed !== null;
  part("batch-name").value = chosen.name.slice(0, 200);
  show("upload-chosen");
  part("upload-chosen").querySelector("[type=submit]").focus();
}

async function start() {
  complain("");
  const name = resumed ? resumed.name : part("batch-name").value.trim();
  try {
    const batch = resumed ?? await ask("/v1/batches", { method: "POST", json: { name: name || null } });
    sending = new Sending(batch.id, chosen.images, draw);
  } catch (error) {
    complain(error.message);
    return;
  }
  part("running-title").textContent = name || "Uploading";
  part("upload-resumes").hidden = true;
  show("upload-running");
  await go(() => sending.run());
}

async function go(step) {
  begunAt = Date.now();
  part("failed-actions").hidden = true;
  part("running-stop").hidden = false;
  addEventListener("beforeunload", warn);
  try {
    await step();
  } catch (error) {
    goOn({ id: sending.batchId, name: part("running-title").textContent });
    complain(`The upload was broken off: ${error.message}`);
    return;
  } finally {
    removeEventListener("beforeunload", warn);
  }
  if (sending.stopped.signal.aborted) return;
  drawNow();
  part("running-stop").hidden = true;
  if (sending.failed.length > 0) part("failed-actions").hidden = false;
  else if (sending.done === sending.total) await close();
}

async function close() {
  try {
    await ask(`/v1/batches/${sending.batchId}/close`, { method: "POST" });
    location.assign(`/console/batches/${sending.batchId}`);
  } catch (error) {
    complain(error.message);
  }
}

async function stop() {
  sending.stop();
  try {
    await ask(`/v1/batches/${sending.batchId}/cancel`, { method: "POST" });
    location.assign("/console/batches?said=cancelled");
  } catch (error) {
    complain(error.message);
  }
}

function warn(event) {
  event.preventDefault();
}

function draw() {
  drawing ||= setTimeout(drawNow, DRAW_MILLISECONDS);
}

function drawNow() {
  clearTimeout(drawing);
  drawing = 0;
  const { total, totalBytes, done, sentBytes, failed, active } = sending;
  const share = totalBytes === 0 ? 1 : sentBytes / totalBytes;
  const seconds = (Date.now() - begunAt) / 1000;
  const left = share > 0.02 && share < 1 && seconds > 3 ? `, about ${length((seconds * (1 - share)) / share)} left` : "";
  part("running-all").value = share;
  part("running-share").textContent = `${Math.floor(100 * share)} %`;
  part("running-says").textContent = `${count(done)} of ${images(total)}, ${size(sentBytes)} of ${size(totalBytes)}${left}`;
  if (Date.now() - saidAt > SAY_MILLISECONDS) {
    saidAt = Date.now();
    part("running-aloud").textContent = part("running-says").textContent;
  }
  drawFiles(active);
  drawFailed(failed);
}

function drawFiles(active) {
  part("running-files").replaceChildren(...[...active].map(([image, { sent }]) => {
    const row = part("file-row").content.firstElementChild.cloneNode(true);
    row.querySelector(".upload-name").textContent = image.path;
    row.querySelector("progress").value = image.size ? sent / image.size : 1;
    row.querySelector("progress").setAttribute("aria-label", image.path);
    return row;
  }));
}

function drawFailed(failed) {
  part("running-failed").hidden = failed.length === 0;
  part("failed-title").textContent = `${images(failed.length)} did not arrive`;
  part("failed-files").replaceChildren(...failed.slice(0, FAILED_SHOWN).map(({ image, reason }) => {
    const row = document.createElement("li");
    const name = document.createElement("strong");
    name.textContent = image.path;
    row.append(name, ` ${reason}`);
    return row;
  }));
  if (failed.length > FAILED_SHOWN) part("failed-files").append(`and ${count(failed.length - FAILED_SHOWN)} more`);
}

/* Offer to choose the files of a batch again, or (null) those of a new one. */
function goOn(batch) {
  resumed = batch;
  part("upload-resumes").hidden = resumed === null;
  part("upload-resumed").textContent = resumed?.name ?? "";
  complain("");
  show("drop");
  part("upload").scrollIntoView({ block: "nearest" });
  part("choose-folder").focus();
}

part("choose-folder").addEventListener("click", () => part("folder").click());
part("choose-files").addEventListener("click", () => part("files").click());
for (const id of ["folder", "files"]) {
  part(id).addEventListener("change", (event) => {
    if (event.target.files.length > 0) choose(fromChosen([...event.target.files]));
    event.target.value = "";
  });
}
for (const kind of ["dragenter", "dragover"]) {
  part("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    part("drop").classList.add("drop-over");
  });
}
part("drop").addEventListener("dragleave", (event) => {
  if (!part("drop").contains(event.relatedTarget)) part("drop").classList.remove("drop-over");
});
part("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  part("drop").classList.remove("drop-over");
  choose(fromDrop(event.dataTransfer));
});
// A file that misses the drop zone must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
part("upload-chosen").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
part("chosen-back").addEventListener("click", () => show("drop"));
part("upload-anew").addEventListener("click", () => goOn(null));
part("running-stop").addEventListener("click", stop);
part("failed-again").addEventListener("click", () => go(() => sending.retry()));
part("failed-without").addEventListener("click", close);
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-resume]");
  if (button && part("upload-running").hidden) goOn({ id: button.dataset.resume, name: button.dataset.name });
});

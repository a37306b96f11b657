/* The review page: a key presses the button that shows it, the image before a person is kept while they look at it and
   given back when they leave. Keys can be switched off, for people whose other tools need them. */

import { ask } from "./service.js";

const RENEW_MILLISECONDS = 60_000;
const KEYS_OFF = "leaktrace-review-keys-off";
const toggle = document.querySelector("#keys-on");

toggle.checked = localStorage.getItem(KEYS_OFF) === null;
toggle.addEventListener("change", () => {
  if (toggle.checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "yes");
});

function claimId() {
  return document.querySelector("#review")?.dataset.claim;
}

function isTyping(element) {
  return element.matches("input:not([type=checkbox], [type=radio]), textarea, select");
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isTyping(event.target)) event.target.blur();
  const isPlain = !(event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing);
  if (!toggle.checked || !isPlain || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const wanted = [...document.querySelectorAll("#review [data-key]")].find((each) => each.dataset.key === event.key.toLowerCase());
  if (!wanted || wanted.disabled) return;
  event.preventDefault();
  if (isTyping(wanted)) wanted.select();
  else wanted.click();
});

/* Enter in the reason leaves it; it would press the first button otherwise. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.id !== "why") return;
  event.preventDefault();
  event.target.blur();
});

document.addEventListener("htmx:responseError", () => say("The service did not answer as it should; nothing was changed. Try again."));
document.addEventListener("htmx:sendError", () => say("The service cannot be reached; nothing was changed. Try again."));

function say(text) {
  const said = document.createElement("span");
  said.className = "bad";
  said.textContent = text;
  document.querySelector("#review-said").replaceChildren(said);
}

/* What had the focus is gone with the image before; the next one's verdict is read out. */
document.addEventListener("htmx:afterSettle", () => document.querySelector("#review-title")?.focus({ preventScroll: true }));

setInterval(() => {
  if (claimId() && !document.hidden) ask(`/v1/review/claims/${claimId()}/renew`, { method: "POST" }).catch(() => {});
}, RENEW_MILLISECONDS);

addEventListener("pagehide", () => {
  if (claimId()) ask(`/v1/review/claims/${claimId()}/release`, { method: "POST", json: {}, keepalive: true }).catch(() => {});
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

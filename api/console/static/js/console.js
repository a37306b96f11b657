/* What every page has: the theme switch, the question before a change, and the live events that make parts
   of a page fetch themselves again. Pages work without it; they are only quieter. */

import { connectLive } from "./live.js";
import { scriptToken } from "./service.js";

const root = document.documentElement;
const KEPT_SECONDS = 31536000;

function keep(name, value) {
  document.cookie = `${name}=${value}; path=/console; max-age=${KEPT_SECONDS}; samesite=lax`;
}

function isDark() {
  if (root.dataset.theme !== "system") return root.dataset.theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

document.addEventListener("click", (event) => {
  const themeSwitch = event.target.closest("[data-theme-switch]");
  if (themeSwitch) {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep("leaktrace_theme", root.dataset.theme);
    document.dispatchEvent(new CustomEvent("themechange"));
  }
});

/* A form with data-confirm is only sent once its question has been answered with yes. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  const dialog = document.getElementById("confirm");
  dialog.querySelector("#confirm-question").textContent = form.dataset.confirm;
  dialog.querySelector("#confirm-yes").textContent = form.dataset.confirmYes || "Yes";
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.confirmed = "yes";
    if (!form.isConnected) { // a live part fetched itself again meanwhile, and only what is in the page can be sent
      form.hidden = true;
      document.body.append(form);
    }
    form.requestSubmit();
  }, { once: true });
  dialog.showModal();
});

/* A choice that stands in a form by itself is sent as soon as it is made. */
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = scriptToken();
});

/* An image without a thumbnail shows the sign behind it. Errors of images do not bubble, hence the capture; those of
   before this script ran are found by their size. */
function markMissing(image) {
  image.closest(".thumbnail")?.classList.add("thumbnail-missing");
}
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) markMissing(event.target);
}, { capture: true });
for (const image of document.querySelectorAll(".thumbnail img")) {
  if (image.complete && image.src && image.naturalWidth === 0) markMissing(image);
}

connectLive();

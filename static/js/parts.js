// Folded parts of a report: fetched when they are opened for the first time, and drawn where they stand. Each is a page of
// its own too, which the link within leads to where this script does not run.

import { show } from "./figures.js";

// Some parts stand open where there is room for them.
const wide = window.matchMedia("(min-width: 40rem)");
for (const fold of document.querySelectorAll("details[data-wide]")) fold.open ||= wide.matches;

for (const fold of document.querySelectorAll("details[data-part]")) {
  fold.addEventListener("toggle", () => load(fold));
  load(fold);
}
addEventListener("hashchange", unfold);
unfold();

// A link to a part opens it.
function unfold() {
  const fold = location.hash && document.getElementById(location.hash.slice(1))?.querySelector(":scope > details");
  if (fold) fold.open = true;
}

async function load(fold) {
  if (!fold.open || fold.dataset.loading) return;
  fold.dataset.loading = "yes";
  try {
    const reply = await fetch(fold.dataset.part);
    if (!reply.ok) throw new Error(reply.status);
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    fold.querySelector("[data-part-place]").replaceChildren(...document.importNode(page.getElementById("part"), true).children);
    show(JSON.parse(page.getElementById("figures").textContent));
    fold.dataset.loaded = "yes";
  } catch {
    delete fold.dataset.loading; // its link is still there, and opening it again tries again
  }
}

// Keeps the planner beside a study's form fresh: sends what stands in the form and shows the panel that comes back.
// Without it a button opens the same as a page.

const PAUSE_MS = 400; // after the last key: a request a keystroke would tell nothing

const place = document.getElementById("planner");
const form = place && (document.getElementById(place.dataset.form) ?? place.closest("form"));
let waiting = 0;
let asking = null;

if (form) {
  form.addEventListener("input", later);
  form.addEventListener("change", later);
  place.addEventListener("change", later);
  ask();
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(ask, PAUSE_MS);
}

async function ask() {
  asking?.abort();
  asking = new AbortController();
  place.setAttribute("aria-busy", "true");
  try {
    const reply = await fetch(place.dataset.url, {
      method: "POST", body: new FormData(form), headers: { "X-Fragment": "planner" }, signal: asking.signal,
    });
    if (!reply.ok || reply.redirected) throw new Error(`the planner answered ${reply.status}`);
    show(await reply.text());
    place.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name === "AbortError") return; // a newer question is on its way
    place.removeAttribute("aria-busy");
    place.dataset.stale = "yes"; // what is shown is of before; the next change asks again
  }
}

// The panel is the server's own, escaped there. Focus, and what somebody folded out, stay.
function show(html) {
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const open = place.querySelector("details")?.open ?? false;
  place.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  delete place.dataset.stale;
  const details = place.querySelector("details");
  if (details) details.open = open;
  if (focused) document.getElementById(focused)?.focus();
}

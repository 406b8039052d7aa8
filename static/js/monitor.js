// Keeps the numbers of a monitor page fresh: every half minute the page is asked for again, and what changed is put in
// its place. Parts that hold the focus or a selection are left alone until they do not, so nobody loses their place.

const EVERY_MS = 30_000;
const SHARE = 20; // of a large study whose numbers take long, the server spends at most a twentieth of its time on them
const choice = document.getElementById("refresh");

choice.closest("[data-refresh]").hidden = false;
setTimeout(look, EVERY_MS);

async function look() {
  const asked = performance.now();
  if (choice.checked && document.visibilityState === "visible") {
    try {
      const reply = await fetch(location.href, { cache: "no-store" });
      if (reply.ok && !reply.redirected) show(new DOMParser().parseFromString(await reply.text(), "text/html"));
    } catch {
      // The time beside the switch says how old the numbers are; the next try comes in half a minute.
    }
  }
  setTimeout(look, Math.max(EVERY_MS, SHARE * (performance.now() - asked)));
}

function show(news) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = news.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!fresh || isInUse(part) || fresh.textContent === part.textContent) continue;
    part.replaceChildren(...document.importNode(fresh, true).childNodes);
  }
}

function isInUse(part) {
  const selection = document.getSelection();
  return part.contains(document.activeElement) || (!selection.isCollapsed && selection.containsNode(part, true));
}

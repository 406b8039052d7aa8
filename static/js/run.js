// The page of a run: kept fresh while it trains, and the ways from its figures to their images. One small answer every two
// seconds; the curves are in it only after another epoch. When the state changes the page is loaded anew, so that buttons
// and results are the server's business alone.

import { binsOf, cellsOf, walked } from "./figures/walk.js";
import { short } from "./figures/look.js";

const EVERY_MS = 2000;
const AFTER_MS = 12000; // of a run that ended early: somebody may let it go on
const run = document.querySelector("[data-run]");
const bins = document.getElementById("bins");
const images = document.querySelector("[data-images]")?.dataset.images;

if (!("done" in run.dataset)) setTimeout(look, "over" in run.dataset ? AFTER_MS : EVERY_MS);
if (images) toImages();
terms();

async function look() {
  let soon = EVERY_MS;
  const offline = run.querySelector("[data-run-offline]");
  try {
    const query = new URLSearchParams({ version: run.dataset.version });
    const reply = await fetch(`${run.dataset.run}?${query}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (!reply.ok || reply.redirected) throw new Error(`status ${reply.status}`);
    const news = await reply.json();
    if (news.state !== run.dataset.state) return location.reload();
    offline.hidden = true;
    show(news);
    if (news.over) soon = AFTER_MS;
  } catch {
    offline.hidden = false;
  }
  setTimeout(look, soon);
}

function show(news) {
  const bar = run.querySelector("[data-run-bar]");
  bar.max = news.total || 1;
  bar.value = news.done;
  run.querySelector("[data-run-text]").textContent = news.text;
  run.querySelector("[data-run-no-worker]").hidden = !news.no_worker;
  for (const [key, value] of Object.entries(news.stats)) run.querySelector(`[data-run-stat="${key}"]`).textContent = value;
  const log = run.querySelector("[data-run-log]");
  if (log) log.textContent = news.log;
  if (!news.figures.length) return;
  run.dataset.version = news.version;
  for (const figure of news.figures) {
    const card = document.querySelector(`[data-figure="${figure.key}"]`);
    if (!card) return location.reload(); // the first epoch is done
    refresh(card, figure);
  }
}

function refresh(card, figure) {
  card.querySelector(".figure-canvas").dispatchEvent(new CustomEvent("figure-news", { detail: figure }));
  const reading = card.querySelector(".reading");
  if (reading) reading.textContent = figure.reading;
  card.querySelector("tbody").replaceChildren(...figure.table.rows.map((row) => {
    const line = document.createElement("tr");
    for (const cell of row) line.insertCell().textContent = cell === null ? "–" : typeof cell === "number" ? short(cell) : cell;
    return line;
  }));
}

// A click on a cell or a bin opens its images, and so does Enter; the table below the figures has the same as links.
function toImages() {
  const numbers = JSON.parse(bins.textContent);
  const open = ({ key, value, index }) => {
    if (key === "confusion" && value[2]) location.assign(`${images}?of=cell&actual=${value[1]}&predicted=${value[0]}`);
    if (key === "reliability") location.assign(`${images}?of=bin&bin=${numbers[index]}`);
  };
  document.addEventListener("figure-point", ({ detail }) => open(detail));
  for (const figure of JSON.parse(document.getElementById("figures").textContent)) {
    if (figure.key === "confusion") walked(figure, cellsOf(figure), open);
    if (figure.key === "reliability") walked(figure, binsOf(figure), open);
  }
  rates();
}

// Counts or shares of the row in the cells of the matrix.
function rates() {
  const card = document.querySelector('[data-figure="confusion"]');
  const place = card?.querySelector(".figure-canvas");
  if (!place) return;
  const group = document.createElement("p");
  group.className = "row";
  const { counts, shares } = document.querySelector("[data-choose-cells]").dataset;
  for (const [words, cells] of [[counts, "count"], [shares, "rate"]]) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: words });
    button.setAttribute("aria-pressed", String(cells === "count"));
    button.addEventListener("click", () => {
      place.dispatchEvent(new CustomEvent("figure-news", { detail: { cells } }));
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
    });
    group.append(button);
  }
  place.before(group);
}

// What a metric is stands beside its name while that is pointed at or has the focus; Escape takes it away.
function terms() {
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") document.body.classList.add("terms-closed");
  });
  for (const term of document.querySelectorAll(".term")) {
    for (const begins of ["focus", "pointerenter"]) term.addEventListener(begins, () => document.body.classList.remove("terms-closed"));
  }
}

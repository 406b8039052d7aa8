// The map of a run's features: coloured by what is asked for, brushed with the mouse or a finger, or chosen from by the
// list below it; shows the images that are chosen. Reads what the page stores, computes no number of its own.

import { axis, box, colour, dark, short, symbol, theme } from "./figures/look.js";
import { zooming } from "./zooming.js";

const BARE = Object.fromEntries(["axisLabel", "axisLine", "axisTick", "splitLine"].map((part) => [part, { show: false }]));
const AT_ONCE = 24; // images shown, and how many more each time
const SHADES = { light: ["#d9c36a", "#4d9ac7", "#003a5d"], dark: ["#31566b", "#56b4e9", "#f0e442"] };
const map = JSON.parse(document.getElementById("feature-map").textContent);
const words = JSON.parse(document.getElementById("map-words").textContent);
const watermark = JSON.parse(document.getElementById("watermark").textContent);
const points = map.points;
const all = points.kind.map((_kind, place) => place);
const section = document.getElementById("map");
const canvas = section.querySelector(".map-canvas");
const field = (id) => document.getElementById(id);
const brushes = [...section.querySelectorAll("[data-brush]")];
const chart = window.echarts.init(canvas, null, { renderer: "canvas" });

let brush = window.matchMedia("(pointer: fine)").matches ? "rect" : ""; // a finger scrolls until it is told to draw
let region = null; // what was drawn: { type, range } in the numbers of the plane
let shown = AT_ONCE;
const zoom = zooming(chart, {
  moving: () => brush === "",
  seen: (times) => { field("near").textContent = field("near").dataset.words.replace("{n}", short(Number(times.toFixed(1)))); },
});

zoom.show(plane());
field("plane").addEventListener("change", () => { region = null; zoom.show(plane()); draw(); choose(); });
for (const by of ["nearer", "farther", "all"]) field(`zoom-${by}`).addEventListener("click", zoom[by]);
field("colour").addEventListener("change", draw);
field("choose").addEventListener("input", () => { draw(); choose(); });
field("choose").addEventListener("submit", (event) => event.preventDefault());
field("choose").addEventListener("reset", () => setTimeout(() => { draw(); choose(); }));
field("more").addEventListener("click", () => { shown += AT_ONCE; list(chosen(), shown - AT_ONCE); });
field("unbrush").addEventListener("click", () => { region = null; draw(); choose(); });
for (const button of brushes) {
  button.addEventListener("click", () => { brush = button.dataset.brush; take(); }); // "" draws nothing
}
chart.on("brushEnd", ({ areas }) => {
  const [area] = areas;
  region = area ? { type: area.brushType, range: area.coordRange } : null;
  choose();
});
new ResizeObserver(() => { chart.resize(); draw(); }).observe(canvas);
dark.addEventListener("change", draw);
draw();
choose();
canvas.dataset.drawn = "yes";

// What the list lets through.
function passes(place) {
  const { kind, first, second, said, right } = points;
  const is = (id, ...values) => field(id).value === "" || values.includes(Number(field(id).value));
  const within = (value, least, most) =>
    (!field(least).value || (value !== null && value >= Number(field(least).value))) &&
    (!most || !field(most).value || (value !== null && value <= Number(field(most).value)));
  return is("kind", kind[place]) && is("class", first[place], ...(second[place] === null ? [] : [second[place]])) &&
    is("said", said[place]) && is("right", right[place]) &&
    within(points.lambda[place], "lambda-least", "lambda-most") && within(points.entropy[place], "entropy-least");
}

// What both the list and what was drawn let through, in the order asked for.
function chosen() {
  const found = all.filter((place) => passes(place) && (!region || inside(place)));
  const by = { surest: (i) => -points.sure[i], least: (i) => points.sure[i], entropy: (i) => -(points.entropy[i] ?? -1) }[field("order").value];
  return by ? found.sort((one, other) => by(one) - by(other)) : found;
}

function inside(place) {
  const { x, y } = plane();
  const [px, py] = [x[place], y[place]];
  if (region.type === "rect") {
    const [[left, right], [low, high]] = region.range;
    return px >= left && px <= right && py >= low && py <= high;
  }
  // A line from the point to the right crosses the outline an odd number of times.
  return region.range.reduce((within, [ax, ay], i) => {
    const [bx, by] = region.range[(i + 1) % region.range.length];
    return (ay > py) !== (by > py) && px < ((bx - ax) * (py - ay)) / (by - ay) + ax ? !within : within;
  }, false);
}

function plane() {
  return map.planes.find(({ key }) => key === field("plane").value);
}

function draw() {
  const look = theme();
  const made = plane();
  field("plane-told").textContent = made.told;
  const through = all.filter(passes);
  const rest = all.filter((place) => !passes(place));
  const { series, visualMap = [] } = coloured(through, look);
  const within = chart.getWidth() - 40;
  const [x, y] = zoom.axes();
  chart.setOption({
    animation: false,
    grid: { left: 8, right: 8, top: legendRoom(series), bottom: visualMap.length ? 56 : 16, show: true, borderColor: look.line },
    legend: { data: series.filter(({ name }) => name).map(({ name }) => name), top: 0, left: 0, itemHeight: 10, itemWidth: 12, textStyle: { color: look.ink }, selectedMode: false },
    tooltip: { ...box(look), trigger: "item", confine: true, formatter: ({ data }) => caption(data[2]) },
    // The numbers of a plane mean nothing by themselves.
    xAxis: { ...axis(look, "", x), ...BARE },
    yAxis: { ...axis(look, "", y), ...BARE },
    visualMap,
    toolbox: { show: false },
    brush: { xAxisIndex: 0, yAxisIndex: 0, throttleType: "debounce", throttleDelay: 80, outOfBrush: { opacity: 0.12 },
             brushStyle: { borderWidth: 2, color: "rgba(120,120,120,0.12)", borderColor: look.ink } },
    series: [
      { type: "scatter", data: data(rest, made), symbolSize: 3, color: look.soft, itemStyle: { opacity: 0.15 }, silent: true, z: 1 },
      ...series.map((one) => ({ ...one, type: "scatter", data: data(one.places, made, one.value), itemStyle: { opacity: 0.7, ...one.itemStyle }, z: 2 })),
    ],
    graphic: watermark ? [{ type: "text", silent: true, z: 100, left: "center", top: "middle",
      style: { text: watermark.toUpperCase(), width: within, overflow: "break", align: "center", fontSize: 18, fontWeight: "bold", fill: look.warn, opacity: 0.3 } }] : [],
  }, { notMerge: true });
  take();
  if (region) chart.dispatchAction({ type: "brush", areas: [{ brushType: region.type, coordRange: region.range, xAxisIndex: 0, yAxisIndex: 0 }] });
}

function legendRoom(series) {
  let lines = 1, filled = 0;
  for (const { name } of series.filter((one) => one.name)) {
    const wide = 30 + window.echarts.format.getTextRect(name, "12px sans-serif").width;
    if (filled && filled + wide > chart.getWidth()) [lines, filled] = [lines + 1, 0];
    filled += wide;
  }
  return 14 + 22 * lines;
}

function data(places, { x, y }, value) {
  return places.map((place) => [x[place], y[place], place, ...(value ? [value[place]] : [])]);
}

// One series for each colour; numbers have one series and a scale, and those without the number are grey.
function coloured(places, look) {
  const by = field("colour").value;
  if (by === "class") {
    return { series: map.classes.map((name, group) => named(name, group, places.filter((i) => points.first[i] === group && !points.kind[i]), look))
      .concat(mixedSeries(places, look)).filter((one) => one.places.length) };
  }
  if (by === "right") {
    const of = (value) => places.filter((i) => points.right[i] === value);
    return { series: [named(words.right, 0, of(1), look), { ...named(words.wrong, 1, of(0), look), symbolSize: 8 }] };
  }
  const value = points[by];
  const known = places.filter((i) => value[i] !== null);
  const numbers = known.map((i) => value[i]);
  const [min, max] = by === "lambda" ? [0, 1] : [0, Math.max(...numbers, 0.1)];
  const series = [
    { name: words.unknown, color: look.soft, symbolSize: 4, itemStyle: { opacity: 0.2 }, places: places.filter((i) => value[i] === null) },
    { symbolSize: 7, places: known, value },
  ].filter((one) => one.places.length);
  const at = series.length; // the grey ones come first, behind all
  const visualMap = known.length ? [{
    min, max, dimension: 3, seriesIndex: at, calculable: false, orient: "horizontal", left: "center", bottom: 0, precision: 2,
    text: [`${words[by]} ${short(max)}`, short(min)], inRange: { color: SHADES[dark.matches ? "dark" : "light"] }, textStyle: { color: look.ink },
  }] : [];
  return { series, visualMap };
}

function named(name, group, places, look) {
  return { name, places, color: colour({ group }, look), symbol: symbol({ group }), symbolSize: 6 };
}

// Mixed images have two classes: small and hollow, in the colour of the one that was mixed in more.
function mixedSeries(places, look) {
  const more = (i) => (points.lambda[i] >= 0.5 ? points.first[i] : points.second[i]);
  return map.classes.map((_name, group) => ({
    ...named("", group, places.filter((i) => points.kind[i] && more(i) === group), look), symbolSize: 5,
    itemStyle: { color: "transparent", borderColor: colour({ group }, look), borderWidth: 1, opacity: 0.6 },
  }));
}

function take() {
  for (const button of brushes) button.setAttribute("aria-pressed", String(button.dataset.brush === brush));
  const brushOption = { brushType: brush || false, brushMode: "single" };
  chart.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption });
}

function choose() {
  shown = AT_ONCE;
  field("unbrush").disabled = !region;
  list(chosen());
}

// Shows the places up to `shown`; those before `from` stand there already.
function list(places, from = 0) {
  const until = Math.min(shown, places.length);
  const status = field("chosen");
  status.textContent = status.dataset.words.replace("{n}", places.length).replace("{all}", all.length).replace("{shown}", until);
  field("more").hidden = until === places.length;
  const images = field("chosen-images");
  const added = places.slice(from, until).map(imageOf);
  if (from) images.append(...added);
  else images.replaceChildren(...added);
}

function imageOf(place) {
  const item = document.createElement("li");
  item.className = "mix";
  const picture = Object.assign(document.createElement("img"), {
    src: section.dataset.pictures.replace(/0\.png$/, `${place}.png`), alt: "", className: "pixels", width: 96, height: 96, loading: "lazy",
  });
  const [what, ...more] = caption(place).split("\n");
  item.append(picture, element("strong", `${what}\n`), element("span", more.join("\n")));
  item.dataset.place = place;
  return item;
}

function two(value) {
  return value.toFixed(2);
}

function element(name, textContent) {
  return Object.assign(document.createElement(name), { textContent });
}

// What is known of a point, in lines.
function caption(place) {
  const name = (number) => map.classes[number];
  const { kind, first, second, said, sure, share, entropy } = points;
  const lam = points.lambda[place];
  const what = kind[place] ? `${short(lam)} ${name(first[place])} + ${short(1 - lam)} ${name(second[place])}` : name(first[place]);
  const lines = [what, `${words.model} ${name(said[place])} ${two(sure[place])}`];
  if (share[place] !== null) lines.push(`${words.people} ${name(first[place])} ${two(share[place])}`);
  if (entropy[place] !== null) lines.push(`${words.entropy} ${two(entropy[place])}`);
  return lines.join("\n");
}

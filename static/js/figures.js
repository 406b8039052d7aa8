// Draws the figures of a page (hilmix/figures.py), one function a kind: on canvases, but for galleries. Tooltips are drawn
// on the canvas too: HTML ones carry inline styles, which our security policy refuses. The table beside each figure holds
// the same.

import { axis, box, colour, dark, elided, places, room, ROW, short, stroke, symbol, theme, within, wrapped } from "./figures/look.js";
import { gallery, matrix, matrixHeight } from "./figures/panels.js";

const MOST_ROWS = 10; // that fit the usual height
const FEW_ROWS = 4; // that need less than it
const TWO_LINES = 34; // pixels of a row whose name takes two
const MOST_NAMED = 3; // as many lines of a legend fit the usual height
const USUAL = 320; // pixels
const BETWEEN = 10; // pixels between entries of a legend
const FILLING = ["heat", "matrix", "bars"]; // kinds of which the drawing covers all of its place
const DECALS = [
  { symbol: "none" },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 5], rotation: -Math.PI / 4 },
  { symbol: "circle", dashArrayX: [[5, 5], [0, 5, 5, 0]], dashArrayY: [5, 0] },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 5], rotation: Math.PI / 4 },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 5], rotation: 0 },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 5], rotation: Math.PI / 2 },
];
const KINDS = { curve, reliability, scatter, bars, heat, forest, matrix, gallery };

const figures = [];
const watermark = JSON.parse(document.getElementById("watermark").textContent);
const charts = new Map();
const widths = new Map(); // for which each was drawn: its observer hears of its first size too, and of the height set here

show(JSON.parse(document.getElementById("figures").textContent));
dark.addEventListener("change", () => figures.forEach(draw));
// What changed while its part was folded: its place comes back in the size that it had.
document.addEventListener("toggle", () => figures.filter((figure) => charts.has(figure) && !widths.has(figure)).forEach(draw), true);

// Draws further figures, whose places are on the page by now.
export function show(more) {
  figures.push(...more);
  more.forEach(draw);
  for (const figure of more.filter(({ kind }) => kind !== "gallery")) {
    const place = placeOf(figure);
    new ResizeObserver(() => { if (widths.get(figure) !== place.clientWidth) draw(figure); }).observe(place);
  }
}

function placeOf({ key }) {
  return document.querySelector(`[data-figure="${key}"] .figure-canvas`);
}

function draw(figure) {
  const place = placeOf(figure);
  if (figure.kind === "gallery") gallery(figure, place, watermark);
  else if (place.checkVisibility()) drawCanvas(figure, place);
  else return void widths.delete(figure); // in a folded part: it is drawn when it is unfolded, as its place gets a size then
  place.dataset.drawn = "yes";
}

function drawCanvas(whole, place) {
  const figure = chosen(whole, place);
  place.style.height = `${height(figure, place.clientWidth)}px`;
  if (!charts.has(whole)) {
    charts.set(whole, window.echarts.init(place, null, { renderer: "canvas" }));
    linked(whole, place);
  }
  const chart = charts.get(whole);
  widths.set(whole, place.clientWidth);
  chart.resize();
  const look = { ...theme(), width: chart.getWidth() };
  const option = { ...common(figure, look), ...KINDS[figure.kind](figure, look) };
  chart.setOption({ ...option, graphic: watermark ? [option.grid].flat().map((grid) => marked(figure, grid, chart, look)) : [] }, { notMerge: true });
}

// Of many series those that are ticked, with what belongs to them; all of them where none is.
function chosen(figure, place) {
  const boxes = [...(choice(place)?.querySelectorAll("input") ?? [])];
  if (!boxes.some((box) => box.checked)) return figure;
  const off = boxes.filter((box) => !box.checked).map((box) => box.value);
  const groups = new Set(figure.series.filter(({ name }) => off.includes(name)).map(({ group }) => group));
  return { ...figure, series: figure.series.filter(({ group }) => !groups.has(group)) };
}

function choice(place) {
  return place.closest("[data-figure]").querySelector(".figure-choice");
}

// Pages hear of what is pointed at, and may send what is new of a figure.
function linked(figure, place) {
  charts.get(figure).on("click", ({ value, dataIndex: index, seriesName: series }) =>
    place.dispatchEvent(new CustomEvent("figure-point", { bubbles: true, detail: { key: figure.key, value, index, series } })));
  choice(place)?.addEventListener("change", () => draw(figure));
  place.addEventListener("figure-news", ({ detail }) => draw(Object.assign(figure, detail)));
}

// Rows with names need their height, and so does a long legend; reports of earlier versions have no rows.
function height(figure, width) {
  if (figure.kind === "matrix") return matrixHeight(figure, width);
  const rows = figure.y_categories?.length ?? 0;
  const legend = ROW * legendLines(figure, width);
  if (figure.kind === "forest" && figure.y_categories?.some((name) => rowName(figure, width)(name).includes("\n"))) {
    return Math.max(USUAL, TWO_LINES * rows + 120) + legend;
  }
  if (rows > MOST_ROWS) return ROW * rows + 120 + legend;
  if (rows && rows < FEW_ROWS) return 3 * ROW * rows + 90 + legend;
  return USUAL + Math.max(0, legend - ROW * MOST_NAMED);
}

function common(figure, look) {
  return {
    animation: false,
    grid: { left: 60, right: 16, top: 16 + ROW * legendLines(figure, look.width), bottom: 48 },
    legend: {
      data: named(figure).map(legendEntry), top: 2, left: 0, padding: 0, itemGap: BETWEEN, itemHeight: 12, textStyle: { color: look.ink },
      formatter: (name) => elided(name, look.width - 40),
    },
  };
}

// Lines that the entries of the legend take, set one after the other as ECharts sets them.
function legendLines(figure, width) {
  let lines = 1, filled = 0;
  for (const { name } of named(figure)) {
    const wide = 30 + window.echarts.format.getTextRect(elided(name, width - 40), "12px sans-serif").width;
    if (filled && filled + BETWEEN + wide > width) [lines, filled] = [lines + 1, 0];
    filled += (filled ? BETWEEN : 0) + wide;
  }
  return lines;
}

// Within the axes of each panel, so that it covers no name and no number; behind what is drawn, unless that fills all of
// it.
function marked(figure, { left, right, top, bottom, ...grid }, chart, look) {
  const { width = chart.getWidth() - left - right, height = chart.getHeight() - top - bottom } = grid;
  return {
    type: "text", silent: true, z: FILLING.includes(figure.kind) ? 100 : -1, x: left + width / 2, y: top + height / 2,
    style: { text: watermark.toUpperCase(), width, overflow: "break", align: "center", verticalAlign: "middle",
             fontSize: 18, lineHeight: 24, fontWeight: "bold", fill: look.warn, opacity: 0.3 },
  };
}

// Single seeds are drawn but not named: their colour says to which arm they belong. So are references, where each line
// has its own in its colour.
function named(figure) {
  return figure.series.filter((series) => series.style !== "faint" && !isOwn(series, figure));
}

function isOwn({ style, group }, { series }) {
  const beside = series.some((one) => one.group === group && one.style === "line");
  return style === "dashed" && beside && series.filter((one) => one.style === "dashed").length > 1;
}

// A reference is drawn without symbols, so its legend shows none.
function legendEntry({ name, style }) {
  return style === "dashed" || style === "behind" ? { name, itemStyle: { opacity: 0 } } : { name };
}

function curve(figure, look) {
  // Whole numbers, such as epochs, get no ticks between them; shares of 0 to 1 do.
  const whole = figure.series.every((series) => series.points.every(([x]) => Number.isInteger(x)));
  return {
    tooltip: { ...box(look), trigger: "axis", valueFormatter: short },
    xAxis: axis(look, figure.x_label, { min: "dataMin", max: "dataMax", ...(whole ? { minInterval: 1 } : {}) }),
    yAxis: axis(look, figure.y_label, { scale: true, nameGap: 42, ...(figure.log_y ? powers(figure) : {}) }),
    series: [
      ...reference(figure, look),
      // Named series come first: the legend takes the symbol of the first of a name.
      ...named(figure).map((series) => line(series, look)),
      ...figure.series.filter((series) => !named(figure).includes(series)).map((series) => (
        { ...line(series, look), name: armOf(series, figure), z: 1, silent: true, tooltip: { show: false } })),
      ...figure.series.filter((series) => series.points.some((point) => point.length > 2)).map((series) => band(series, look)),
    ],
  };
}

// A logarithmic axis would else go to the next powers of ten, and leave the lines little room.
function powers({ series }) {
  const values = series.flatMap(({ points }) => points.flatMap(([, ...ys]) => ys)).filter((y) => y > 0);
  const round = (value) => [1, 2, 5, 10].map((step) => step * 10 ** Math.floor(Math.log10(value)));
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return { type: "log", min: round(least).findLast((step) => step <= least), max: round(most).find((step) => step >= most) };
}

// A single seed, or a reference of its own, comes and goes with its arm.
function armOf({ name, group }, { series }) {
  return series.find((one) => one.group === group && one.style === "line")?.name ?? name;
}

// The interval around a line: one quadrangle between each two neighbours.
function band(series, look) {
  const points = series.points.filter(([, y, low, high]) => y !== null && low != null && high != null);
  return {
    // Both of its ends count for the axis, or the band would be cut off at the highest line.
    ...unseen(series.name), type: "custom", data: points, encode: { x: 0, y: [2, 3] },
    renderItem: ({ dataIndex: i }, api) => i && ({
      type: "polygon",
      shape: { points: [[i - 1, 2], [i, 2], [i, 3], [i - 1, 3]].map(([at, end]) => api.coord([points[at][0], points[at][end]])) },
      style: { fill: colour(series, look), opacity: 0.18 },
    }),
  };
}

function scatter(figure, look) {
  const told = ({ seriesName, value: [x, y, n] }) =>
    `${seriesName}\n${figure.x_label} ${short(x)}\n${figure.y_label} ${short(y)}` + (n === undefined ? "" : `\nn ${n}`);
  return {
    tooltip: { ...box(look), trigger: "item", formatter: told },
    xAxis: axis(look, figure.x_label, { scale: true }),
    yAxis: axis(look, figure.y_label, { scale: true, nameGap: 42 }),
    series: [
      ...reference(figure, look),
      ...figure.series.map((series) => ({
        ...line(series, look), type: "scatter", itemStyle: { opacity: 0.55 },
        ...(series.points.some((point) => point.length > 2) ? sized(series) : {}),
      })),
    ],
  };
}

function bars(figure, look) {
  const told = ({ seriesName, name, value: [, y, low, high] }) => `${seriesName}: ${name}\n${within(y, low, high)}`;
  // Bars of several series stand side by side; `whiskers` must know which place each has.
  const beside = { barGap: "10%", barCategoryGap: "30%" };
  const names = below(figure, look);
  return {
    tooltip: { ...box(look), trigger: "item", formatter: told },
    grid: { ...common(figure, look).grid, bottom: names.nameGap + 18 },
    // Whiskers are set beside bars by how many there are: none can be taken away.
    legend: { ...common(figure, look).legend, selectedMode: false },
    xAxis: places(look, figure.x_label, figure.x_categories, names),
    yAxis: axis(look, figure.y_label, { nameGap: 42, type: figure.log_y ? "log" : "value" }),
    series: [
      ...figure.series.map((series, place) => ({
        name: series.name, type: "bar", data: series.points, color: colour(series, look), ...beside, encode: { x: 0, y: 1 },
        itemStyle: { decal: decal(place, look) },
        ...(figure.reference == null ? {} : markAt(figure.reference, look)),
      })),
      ...figure.series.map((series, place) => whiskers(series, place, figure.series.length, look)),
    ],
  };
}

// Names of bars stand in lines of their own words where these fit, else aslant; of many some are left out, and the tooltip
// has them.
function below(figure, look) {
  const slot = (look.width - 76) / figure.x_categories.length;
  const fits = figure.x_categories.every((name) => name.split(" ").every((word) => room([word], Infinity, 6) <= slot + 4));
  if (!fits && figure.x_categories.length > MOST_ROWS) return { axisLabel: { color: look.soft, hideOverlap: true }, nameGap: 30 };
  if (!fits) {
    const most = room(figure.x_categories, 100, 6);
    return { axisLabel: { color: look.soft, interval: 0, rotate: 40, formatter: (name) => elided(name, most, 6) }, nameGap: 24 + 0.65 * most };
  }
  const lines = Math.max(1, ...figure.x_categories.map((name) => Math.ceil(room([name], Infinity, 6) / slot)));
  return { axisLabel: { color: look.soft, interval: 0, fontSize: 11, lineHeight: 14, width: slot, overflow: "break" }, nameGap: 16 + 14 * Math.min(3, lines) };
}

// Lines and dots that tell bars apart where colours do not.
function decal(place, look) {
  const again = Math.floor(place / DECALS.length);
  const { symbol, dashArrayX, dashArrayY, rotation } = DECALS[(place + again) % DECALS.length];
  const finer = again % 2 ? (lengths) => lengths.map((one) => (Array.isArray(one) ? finer(one) : one / 2)) : (lengths) => lengths;
  return { color: look.paper, symbol, rotation, symbolSize: 0.9, ...(dashArrayX && { dashArrayX: finer(dashArrayX), dashArrayY: finer(dashArrayY) }) };
}

function whiskers(series, place, of, look) {
  return {
    ...unseen(series.name), type: "custom", z: 3, encode: { x: 0, y: [2, 3] },
    data: series.points.filter(([, , low, high]) => low != null && high != null),
    renderItem: (_params, api) => {
      const { offsetCenter } = api.barLayout({ barGap: "10%", barCategoryGap: "30%", count: of })[place];
      const [low, high] = [api.value(2), api.value(3)].map((end) => api.coord([api.value(0), end]));
      return upright(low[0] + offsetCenter, low[1], high[1], look.ink);
    },
  };
}

function upright(x, low, high, stroke) {
  const lines = [[x, low, x, high], [x - 4, low, x + 4, low], [x - 4, high, x + 4, high]];
  return { type: "group", children: lines.map(([x1, y1, x2, y2]) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke } })) };
}

function heat(figure, look) {
  const cells = figure.series[0].points;
  const values = cells.map(([, , value]) => value).filter((value) => value !== null);
  const scale = shades(values), valueIn = valuesOf(figure, look, scale);
  const told = ({ value: [x, y, value, n] }) =>
    `${figure.y_categories[y]}, ${figure.x_label} ${figure.x_categories[x]}\n${short(value)}` + (n == null ? "" : `\nn ${n}`);
  return {
    // Long names of rows need their room; the scale stands above.
    grid: { left: nameRoom(figure, look), right: 16, top: 60, bottom: 48 },
    legend: { show: false },
    tooltip: { ...box(look), trigger: "item", formatter: told },
    visualMap: {
      ...scale, calculable: true, orient: "horizontal", left: "center", top: 0, dimension: 2, precision: 2,
      textStyle: { color: look.ink },
    },
    xAxis: places(look, figure.x_label, figure.x_categories, {}),
    yAxis: places(look, "", figure.y_categories, { inverse: true, axisLabel: { ...rowLabel(figure, look), fontSize: 10 } }),
    series: [{ type: "heatmap", data: cells.map((cell) => ({ value: cell, label: valueIn(cell[2]) })), encode: { x: 0, y: 1, value: 2 },
               label: { fontSize: 10 }, itemStyle: { borderColor: look.paper, borderWidth: 1 } }],
  };
}

// The values in their cells, where they fit; else a minus in what is below 0, as in grey both sides look alike.
function valuesOf(figure, look, { min, max }) {
  const wide = (look.width - nameRoom(figure, look) - 16) / figure.x_categories.length;
  const high = (height(figure, look.width) - 108) / figure.y_categories.length;
  const [fits, signed] = [wide >= 40 && high >= 13, min < 0];
  const black = (value) => {
    const share = (value - min) / (max - min || 1);
    if (signed) return !dark.matches && Math.abs(2 * share - 1) < 0.6;
    return dark.matches ? share > 0.3 : share < 0.45;
  };
  return (value) => value == null || !(fits || (signed && value < 0)) ? { show: false } : {
    show: true, color: black(value) ? "#000000" : "#ffffff",
    formatter: () => (!fits ? "−" : value && Math.abs(value) < 0.0001 ? "≈0" : `${signed && value > 0 ? "+" : ""}${short(Number(value.toPrecision(2)))}`),
  };
}

// What goes to either side of 0 has its middle there; other values go from little to much.
function shades(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (least < 0 && most > 0) {
    const reach = Math.max(-least, most);
    return { min: -reach, max: reach, inRange: { color: ["#a63d00", dark.matches ? "#2b2b2b" : "#f4f1ea", "#00588c"] } };
  }
  return { min: least, max: most, inRange: { color: dark.matches ? ["#20303a", "#56b4e9", "#f0e442"] : ["#f2f0e6", "#4d9ac7", "#003a5d"] } };
}

function forest(figure, look) {
  const told = ({ seriesName, value: [row, estimate, low, high] }) =>
    `${seriesName}: ${figure.y_categories[row]}\n${within(estimate, low, high)}`;
  const shift = (place) => (place - (figure.series.length - 1) / 2) * 12;
  return {
    grid: { ...common(figure, look).grid, left: nameRoom(figure, look) },
    legend: { ...common(figure, look).legend, itemWidth: 12 },
    tooltip: { ...box(look), trigger: "item", formatter: told },
    xAxis: axis(look, figure.x_label, { scale: true }),
    yAxis: places(look, "", figure.y_categories, { inverse: true, axisLabel: { ...rowLabel(figure, look), formatter: rowName(figure, look.width), lineHeight: 14 } }),
    series: [
      // The reference belongs to what the axis shows, also where no estimate comes near it.
      ...(figure.reference == null ? [] : [{ ...unseen("reference"), type: "scatter", data: [[figure.reference, 0]], symbolSize: 0 }]),
      ...figure.series.map((series, place) => ({
        name: series.name, type: "scatter", data: series.points, color: colour(series, look), encode: { x: 1, y: 0 },
        symbol: symbol(series), symbolSize: 9, symbolOffset: [0, shift(place)],
        ...(figure.reference == null ? {} : markAt(figure.reference, look, "xAxis")),
      })),
      ...figure.series.map((series, place) => ({
        ...unseen(series.name), type: "custom", encode: { x: [2, 3], y: 0 },
        data: series.points.filter(([, , low, high]) => low != null && high != null),
        renderItem: (_params, api) => {
          const [low, high] = [api.value(2), api.value(3)].map((end) => api.coord([end, api.value(0)]));
          const y = low[1] + shift(place);
          return { type: "line", shape: { x1: low[0], y1: y, x2: high[0], y2: y }, style: { stroke: colour(series, look), lineWidth: 2 } };
        },
      })),
    ],
  };
}

// Never most of a narrow window.
function nameRoom(figure, look) {
  return room(figure.y_categories, 0.45 * look.width);
}

function rowLabel(figure, look) {
  return { color: look.soft, interval: 0, formatter: (name) => elided(name, nameRoom(figure, look) - 8) };
}

// A row's name is told apart from others by its whole, so it takes two lines before it is cut.
function rowName(figure, width) {
  return (name) => wrapped(name, nameRoom(figure, { width }) - 8);
}

// What points are compared with: y = x, or one value.
function reference(figure, look) {
  const quiet = { type: "line", silent: true, symbol: "none", tooltip: { show: false }, lineStyle: { color: look.soft, type: "dotted", width: 1.5 } };
  const lines = [];
  if (figure.diagonal) {
    const shown = figure.series.flatMap((series) => series.points.map(([x]) => x));
    const ends = [Math.min(...shown), Math.max(...shown)];
    lines.push({ ...quiet, name: "diagonal", data: ends.map((end) => [end, end]) });
  }
  if (figure.reference != null) lines.push({ ...quiet, name: "reference", data: [], ...markAt(figure.reference, look) });
  return lines;
}

function markAt(value, look, along = "yAxis") {
  const lineStyle = { color: look.soft, type: "dotted", width: 1.5 };
  return { markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle, data: [{ [along]: value }] } };
}

// A series that draws something beside another one of its name, with which the legend takes it away; it is neither
// pointed at nor told of.
function unseen(name) {
  return { name, silent: true, tooltip: { show: false }, z: 1 };
}

function reliability(figure, look) {
  const told = ({ seriesName, value: [confidence, accuracy, n, low, high, thin] }) =>
    `${seriesName}\nconfidence ${confidence.toFixed(3)}\naccuracy ${accuracy.toFixed(3)}\n${n} predictions` +
    (low == null ? "" : `\nif calibrated ${low.toFixed(3)} to ${high.toFixed(3)}`) + (thin ? "\nfew images" : "");
  const diagonal = {
    name: "diagonal", type: "line", data: [[0, 0], [1, 1]], silent: true, symbol: "none", tooltip: { show: false },
    lineStyle: { color: look.soft, type: "dotted", width: 1.5 },
  };
  return {
    tooltip: { ...box(look), trigger: "item", formatter: told },
    xAxis: axis(look, figure.x_label, { min: 0, max: 1 }),
    yAxis: axis(look, figure.y_label, { min: 0, max: 1, nameGap: 42 }),
    series: [
      diagonal,
      ...figure.series.map((series) => ({ ...line(series, look), ...sized(series, figure.series.length > 1 ? 9 : 16), data: series.points.map((point) => bin(point, series, look)) })),
      ...figure.series.map((series) => expected(series, figure.series.length, look)),
    ],
  };
}

// Where the accuracy of a calibrated model would be, the paler the more of them lie on each other; reports of earlier versions have no such bands.
function expected(series, of, look) {
  return {
    ...unseen(series.name), type: "custom", data: series.points.filter(([, , , low, high]) => low != null && high != null),
    encode: { x: 0, y: [3, 4] },
    renderItem: (_params, api) => {
      const [[x, bottom], [, top]] = [api.value(3), api.value(4)].map((end) => api.coord([api.value(0), end]));
      return { type: "rect", shape: { x: x - 3, y: top, width: 6, height: bottom - top }, style: { fill: colour(series, look), opacity: Math.min(0.22, 0.6 / of) } };
    },
  };
}

// A bin of few images is hollow.
function bin(point, series, look) {
  if (!point[5]) return { value: point, itemStyle: { opacity: 0.85 } };
  return { value: point, itemStyle: { color: look.paper, borderColor: colour(series, look), borderWidth: 1.5 } };
}

// The area of a point says how many predictions are behind it; bins with few of them should not catch the eye; several series should not cover each other.
function sized(series, widest = 16) {
  const most = Math.max(...series.points.map(([, , n]) => n));
  return { symbolSize: ([, , n]) => 4 + widest * Math.sqrt(n / most), lineStyle: { width: 1, opacity: 0.5, type: stroke(series) } };
}

function line(series, look) {
  const faint = series.style === "faint", behind = series.style === "behind";
  return {
    name: series.name,
    type: "line",
    // Whose reference a dashed line is, in grey too, is said by the symbol at its end.
    data: series.style === "dashed" ? series.points.map((value, i) => (i < series.points.length - 1 ? value : { value, symbol: symbol(series) })) : series.points,
    color: behind ? look.soft : colour(series, look),
    symbol: series.style === "line" ? symbol(series) : "none",
    symbolSize: 6,
    silent: faint,
    tooltip: { show: !faint },
    ...(behind ? { z: 1 } : {}),
    lineStyle: { width: faint || behind ? 1 : 2, opacity: faint || behind ? 0.5 : 1, type: series.style === "dashed" ? "dashed" : stroke(series) },
  };
}

// Draws the figures of a page (hilmix/figures.py) on canvases, one function a kind. Tooltips are drawn on the canvas
// too: HTML ones carry inline styles, which our security policy refuses. The table beside each figure holds the same.

// After Okabe and Ito: told apart by people who see colour differently; each set is legible on its ground.
const ON_LIGHT = ["#0072b2", "#c24e00", "#00785a", "#a3487f", "#7a6000", "#444444"];
const ON_DARK = ["#56b4e9", "#f59b42", "#2fc79b", "#e28dbb", "#f0e442", "#d0d0d0"];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "pin"];
const MOST_ROWS = 10; // that fit the usual height
const MOST_NAMED = 3; // as many lines of a legend do
const ROW = 22; // pixels
const LETTER = 7; // pixels, at most on average
const KINDS = { curve, reliability, scatter, bars, heat, forest };

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const figures = JSON.parse(document.getElementById("figures").textContent);
const watermark = JSON.parse(document.getElementById("watermark").textContent);
const charts = new Map();

figures.forEach(draw);
dark.addEventListener("change", () => figures.forEach(draw));

function draw(figure) {
  const place = document.querySelector(`[data-figure="${figure.key}"] .figure-canvas`);
  if (!charts.has(figure)) {
    // Rows with names need their height, and so does a long legend; reports of earlier versions have no rows.
    const rows = figure.y_categories?.length ?? 0;
    if (rows > MOST_ROWS) place.style.height = `${ROW * rows + 120}px`;
    else if (named(figure).length > MOST_NAMED) place.style.height = `${place.clientHeight + ROW * (named(figure).length - MOST_NAMED)}px`;
    charts.set(figure, window.echarts.init(place, null, { renderer: "canvas" }));
    new ResizeObserver(() => draw(figure)).observe(place);
  }
  const chart = charts.get(figure);
  chart.resize();
  const look = { ...theme(), width: chart.getWidth() };
  const option = { ...common(figure, look), ...KINDS[figure.kind](figure, look) };
  chart.setOption({ ...option, graphic: watermark ? [marked(figure, option.grid, chart, look)] : [] }, { notMerge: true });
  place.dataset.drawn = "yes";
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  return { ink: token("--ink"), soft: token("--ink-soft"), line: token("--line"), paper: token("--paper"),
           warn: token("--warn"), colours: dark.matches ? ON_DARK : ON_LIGHT };
}

function common(figure, look) {
  return {
    animation: false,
    grid: { left: 60, right: 16, top: 16 + ROW * named(figure).length, bottom: 48 },
    legend: {
      data: named(figure).map(legendEntry), top: 0, left: 0, orient: "vertical", itemGap: 8, textStyle: { color: look.ink },
      formatter: (name) => elided(name, look.width - 40),
    },
  };
}

// Within the axes, so that it covers no name and no number; behind what is drawn, unless that fills all of it.
function marked(figure, { left, right, top, bottom }, chart, look) {
  const [width, height] = [chart.getWidth() - left - right, chart.getHeight() - top - bottom];
  return {
    type: "text", silent: true, z: figure.kind === "heat" ? 100 : -1, x: left + width / 2, y: top + height / 2,
    style: { text: watermark.toUpperCase(), width, overflow: "break", align: "center", verticalAlign: "middle",
             fontSize: 18, lineHeight: 24, fontWeight: "bold", fill: look.warn, opacity: 0.3 },
  };
}

// Single seeds are drawn but not named: their colour says to which arm they belong.
function named(figure) {
  return figure.series.filter((series) => series.style !== "faint");
}

// A reference is drawn without symbols, so its legend shows none.
function legendEntry({ name, style }) {
  return style === "dashed" ? { name, itemStyle: { opacity: 0 } } : { name };
}

function curve(figure, look) {
  // Whole numbers, such as epochs, get no ticks between them; shares of 0 to 1 do.
  const whole = figure.series.every((series) => series.points.every(([x]) => Number.isInteger(x)));
  return {
    tooltip: { ...box(look), trigger: "axis", valueFormatter: short },
    xAxis: axis(look, figure.x_label, { min: "dataMin", max: "dataMax", ...(whole ? { minInterval: 1 } : {}) }),
    yAxis: axis(look, figure.y_label, { type: figure.log_y ? "log" : "value", scale: true, nameGap: 42 }),
    series: [
      ...reference(figure, look),
      ...figure.series.filter((series) => series.points.some((point) => point.length > 2)).map((series) => band(series, look)),
      ...figure.series.map((series) => line(series, look)),
    ],
  };
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
  return {
    tooltip: { ...box(look), trigger: "item", formatter: told },
    xAxis: places(look, figure.x_label, figure.x_categories, { axisLabel: { color: look.soft, hideOverlap: true } }),
    yAxis: axis(look, figure.y_label, { nameGap: 42, type: figure.log_y ? "log" : "value" }),
    series: [
      ...figure.series.map((series) => ({
        name: series.name, type: "bar", data: series.points, color: colour(series, look), ...beside, encode: { x: 0, y: 1 },
        ...(figure.reference == null ? {} : markAt(figure.reference, look)),
      })),
      ...figure.series.map((series, place) => whiskers(series, place, figure.series.length, look)),
    ],
  };
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
  const told = ({ value: [x, y, value, n] }) =>
    `${figure.y_categories[y]}, ${figure.x_label} ${figure.x_categories[x]}\n${short(value)}` + (n == null ? "" : `\nn ${n}`);
  return {
    // Long names of rows need their room; the scale stands above.
    grid: { left: room(figure, look), right: 16, top: 60, bottom: 48 },
    legend: { show: false },
    tooltip: { ...box(look), trigger: "item", formatter: told },
    visualMap: {
      ...shades(values), calculable: true, orient: "horizontal", left: "center", top: 0, dimension: 2, precision: 2,
      textStyle: { color: look.ink },
    },
    xAxis: places(look, figure.x_label, figure.x_categories, {}),
    yAxis: places(look, "", figure.y_categories, { inverse: true, axisLabel: { ...rowLabel(figure, look), fontSize: 10 } }),
    series: [{ type: "heatmap", data: cells, encode: { x: 0, y: 1, value: 2 }, itemStyle: { borderColor: look.paper, borderWidth: 1 } }],
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
    grid: { left: room(figure, look), right: 16, top: 16 + ROW * figure.series.length, bottom: 48 },
    tooltip: { ...box(look), trigger: "item", formatter: told },
    xAxis: axis(look, figure.x_label, { scale: true }),
    yAxis: places(look, "", figure.y_categories, { inverse: true, axisLabel: rowLabel(figure, look) }),
    series: [
      // The reference belongs to what the axis shows, also where no estimate comes near it.
      ...(figure.reference == null ? [] : [{ ...unseen("reference"), type: "scatter", data: [[figure.reference, 0]], symbolSize: 0 }]),
      ...figure.series.map((series, place) => ({
        name: series.name, type: "scatter", data: series.points, color: colour(series, look), encode: { x: 1, y: 0 },
        symbol: SYMBOLS[series.group % SYMBOLS.length], symbolSize: 9, symbolOffset: [0, shift(place)],
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

// Pixels for the names of rows: what the longest needs, but never most of a narrow window.
function room(figure, look) {
  return Math.min(8 + LETTER * Math.max(...figure.y_categories.map((name) => name.length)), 0.45 * look.width);
}

function rowLabel(figure, look) {
  return { color: look.soft, interval: 0, formatter: (name) => elided(name, room(figure, look) - 8) };
}

// A name that is too long loses its middle: labels differ in their parameters, which stand at the end. Its tooltip and
// the table have it whole.
function elided(name, width) {
  const most = Math.floor(width / LETTER);
  if (name.length <= most) return name;
  const end = Math.ceil(0.6 * (most - 1));
  return `${name.slice(0, most - 1 - end)}…${name.slice(-end)}`;
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

// A series that draws something beside another one, and is neither named, pointed at nor told of.
function unseen(name) {
  return { name: `${name}, interval`, silent: true, tooltip: { show: false } };
}

function colour(series, look) {
  return look.colours[series.group % look.colours.length];
}

function short(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : "–";
}

function within(value, low, high) {
  return low == null ? short(value) : `${short(value)} [${short(low)}, ${short(high)}]`;
}

function reliability(figure, look) {
  const told = ({ seriesName, value: [confidence, accuracy, n] }) =>
    `${seriesName}\nconfidence ${confidence.toFixed(3)}\naccuracy ${accuracy.toFixed(3)}\n${n} predictions`;
  const diagonal = {
    name: "diagonal", type: "line", data: [[0, 0], [1, 1]], silent: true, symbol: "none", tooltip: { show: false },
    lineStyle: { color: look.soft, type: "dotted", width: 1.5 },
  };
  return {
    tooltip: { ...box(look), trigger: "item", formatter: told },
    xAxis: axis(look, figure.x_label, { min: 0, max: 1 }),
    yAxis: axis(look, figure.y_label, { min: 0, max: 1, nameGap: 42 }),
    series: [diagonal, ...figure.series.map((series) => ({ ...line(series, look), ...sized(series) }))],
  };
}

// The area of a point says how many predictions are behind it; bins with few of them should not catch the eye.
function sized(series) {
  const most = Math.max(...series.points.map(([, , n]) => n));
  return { symbolSize: ([, , n]) => 4 + 16 * Math.sqrt(n / most), lineStyle: { width: 1, opacity: 0.5 } };
}

function line(series, look) {
  const faint = series.style === "faint";
  return {
    name: series.name,
    type: "line",
    data: series.points,
    color: colour(series, look),
    symbol: series.style === "line" ? SYMBOLS[series.group % SYMBOLS.length] : "none",
    symbolSize: 6,
    silent: faint,
    tooltip: { show: !faint },
    lineStyle: { width: faint ? 1 : 2, opacity: faint ? 0.5 : 1, type: series.style === "dashed" ? "dashed" : "solid" },
  };
}

function axis(look, name, more) {
  return {
    type: "value", name, nameLocation: "middle", nameGap: 30,
    nameTextStyle: { color: look.soft }, axisLabel: { color: look.soft, formatter: short, hideOverlap: true }, axisLine: { lineStyle: { color: look.soft } },
    splitLine: { lineStyle: { color: look.line } }, ...more,
  };
}

// An axis of names.
function places(look, name, names, more) {
  return { ...axis(look, name, {}), type: "category", data: names, splitLine: { show: false }, axisLabel: { color: look.soft }, ...more };
}

function box(look) {
  return { renderMode: "richText", backgroundColor: look.paper, borderColor: look.line, textStyle: { color: look.ink } };
}

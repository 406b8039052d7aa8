// Draws the figures of a page (hilmix/figures.py) on canvases, one function a kind. Tooltips are drawn on the canvas
// too: HTML ones carry inline styles, which our security policy refuses. The table beside each figure holds the same.

// After Okabe and Ito: told apart by people who see colour differently; each set is legible on its ground.
const ON_LIGHT = ["#0072b2", "#c24e00", "#00785a", "#a3487f", "#7a6000", "#444444"];
const ON_DARK = ["#56b4e9", "#f59b42", "#2fc79b", "#e28dbb", "#f0e442", "#d0d0d0"];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "pin"];
const KINDS = { curve, reliability };

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const figures = JSON.parse(document.getElementById("figures").textContent);
const watermark = JSON.parse(document.getElementById("watermark").textContent);
const charts = new Map();

figures.forEach(draw);
dark.addEventListener("change", () => figures.forEach(draw));

function draw(figure) {
  const place = document.querySelector(`[data-figure="${figure.key}"] .figure-canvas`);
  if (!charts.has(figure)) {
    charts.set(figure, window.echarts.init(place, null, { renderer: "canvas" }));
    new ResizeObserver(() => charts.get(figure).resize()).observe(place);
  }
  const look = theme();
  charts.get(figure).setOption({ ...common(figure, look), ...KINDS[figure.kind](figure, look) }, { notMerge: true });
  place.dataset.drawn = "yes";
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  return { ink: token("--ink"), soft: token("--ink-soft"), line: token("--line"), paper: token("--paper"),
           warn: token("--warn"), colours: dark.matches ? ON_DARK : ON_LIGHT };
}

function common(figure, look) {
  // Single seeds are drawn but not named: their colour says to which arm they belong.
  const named = figure.series.filter((series) => series.style !== "faint");
  return {
    animation: false,
    grid: { left: 60, right: 16, top: 16 + 22 * named.length, bottom: 48 },
    legend: { data: named.map(legendEntry), top: 0, left: 0, orient: "vertical", itemGap: 8, textStyle: { color: look.ink } },
    graphic: watermark
      ? [{ type: "text", left: "center", top: "middle", silent: true, z: 0,
           style: { text: watermark.toUpperCase(), fontSize: 18, fontWeight: "bold", fill: look.warn, opacity: 0.3 } }]
      : [],
  };
}

// A reference is drawn without symbols, so its legend shows none.
function legendEntry({ name, style }) {
  return style === "dashed" ? { name, itemStyle: { opacity: 0 } } : { name };
}

function curve(figure, look) {
  return {
    tooltip: { ...box(look), trigger: "axis", valueFormatter: (value) => Number(value).toPrecision(4) },
    xAxis: axis(look, figure.x_label, { min: "dataMin", max: "dataMax", minInterval: 1 }),
    yAxis: axis(look, figure.y_label, { type: figure.log_y ? "log" : "value", scale: true, nameGap: 42 }),
    series: figure.series.map((series) => line(series, look)),
  };
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
    color: look.colours[series.group % look.colours.length],
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
    nameTextStyle: { color: look.soft }, axisLabel: { color: look.soft }, axisLine: { lineStyle: { color: look.soft } },
    splitLine: { lineStyle: { color: look.line } }, ...more,
  };
}

function box(look) {
  return { renderMode: "richText", backgroundColor: look.paper, borderColor: look.line, textStyle: { color: look.ink } };
}

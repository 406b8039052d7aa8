// What every kind of figure shares: colours, symbols, axes, numbers and names.

// After Okabe and Ito: told apart by people who see colour differently; each set is legible on its ground.
const ON_LIGHT = ["#0072b2", "#c24e00", "#00785a", "#a3487f", "#724b00", "#444444"];
const ON_DARK = ["#56b4e9", "#f59b42", "#2fc79b", "#e28dbb", "#f0e442", "#d0d0d0"];
// Ten: as many classes as common image sets have are told apart in grey.
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "path://M0,0L10,0L5,9Z", "path://M3,0H7V3H10V7H7V10H3V7H0V3H3Z",
  "path://M0,2L2,0L5,3L8,0L10,2L7,5L10,8L8,10L5,7L2,10L0,8L3,5Z", "path://M10,0V10L0,5Z", "path://M0,0V10L10,5Z",
  "path://M5,0L6.2,3.6L10,3.8L7,6.1L8.1,10L5,7.7L1.9,10L3,6.1L0,3.8L3.8,3.6Z"];
const RAISED = Object.fromEntries([..."-0123456789"].map((one, place) => [one, [..."⁻⁰¹²³⁴⁵⁶⁷⁸⁹"][place]]));
const STROKES = ["solid", [9, 2, 2, 2], [2, 3], [14, 4]];
export const ROW = 22; // pixels
const LETTER = 7; // pixels, at most on average

export const dark = window.matchMedia("(prefers-color-scheme: dark)");

export function theme() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  return { ink: token("--ink"), soft: token("--ink-soft"), line: token("--line"), paper: token("--paper"),
           warn: token("--warn"), colours: dark.matches ? ON_DARK : ON_LIGHT };
}

export function colour(series, look) {
  return look.colours[series.group % look.colours.length];
}

// A colour that comes again, because there are more groups than colours, comes with another symbol and line.
export function symbol({ group }) {
  return SYMBOLS[group % SYMBOLS.length];
}

export function stroke({ group }) {
  return STROKES[round(group) % STROKES.length];
}

function round(group) {
  return Math.floor(group / ON_LIGHT.length);
}

// A number as people read it (hilmix/figures.py `number`): a true minus, and below 0.0001 a power of ten.
export function short(value) {
  if (typeof value !== "number") return "–";
  const small = value && Math.abs(value) < 0.0001;
  const [said, power] = small ? value.toExponential(3).split("e") : [Math.abs(value) < 10000 ? value.toPrecision(4) : value.toFixed(0)];
  return `${Number(said)}${small ? `×10${power.replace(/./g, (one) => RAISED[one])}` : ""}`.replace("-", "−");
}

export function within(value, low, high) {
  return low == null ? short(value) : `${short(value)} [${short(low)}, ${short(high)}]`;
}

// Pixels for names beside or below an axis: what the longest needs, but never more than `most`.
export function room(names, most, letter = LETTER) {
  return Math.min(8 + letter * Math.max(0, ...names.map((name) => name.length)), most);
}

// A name that is too long loses its middle: labels differ in their parameters, which stand at the end. Its tooltip and
// the table have it whole.
export function elided(name, width, letter = LETTER) {
  const most = Math.max(3, Math.floor(width / letter));
  if (name.length <= most) return name;
  const end = Math.ceil(0.6 * (most - 1));
  return `${name.slice(0, most - 1 - end)}…${name.slice(-end)}`;
}

// In two lines where one has no room for it, broken at the space that leaves both the most alike.
export function wrapped(name, width, letter = LETTER) {
  const most = Math.max(3, Math.floor(width / letter));
  const spaces = [...name.matchAll(/ /g)].map(({ index }) => index);
  if (name.length <= most || !spaces.length) return elided(name, width, letter);
  const at = spaces.reduce((best, one) => (longer(name, one) < longer(name, best) ? one : best));
  return [name.slice(0, at), name.slice(at + 1)].map((part) => elided(part, width, letter)).join("\n");
}

function longer(name, at) {
  return Math.max(at, name.length - at - 1);
}

export function axis(look, name, more) {
  return {
    type: "value", name, nameLocation: "middle", nameGap: 30,
    nameTextStyle: { color: look.soft }, axisLabel: { color: look.soft, formatter: short, hideOverlap: true }, axisLine: { lineStyle: { color: look.soft } },
    splitLine: { lineStyle: { color: look.line } }, ...more,
  };
}

// An axis of names.
export function places(look, name, names, more) {
  return { ...axis(look, name, {}), type: "category", data: names, splitLine: { show: false }, axisLabel: { color: look.soft }, ...more };
}

export function box(look) {
  return { renderMode: "richText", backgroundColor: look.paper, borderColor: look.line, textStyle: { color: look.ink } };
}

// What every kind of figure shares: colours, symbols, axes, numbers and names.

// After Okabe and Ito: told apart by people who see colour differently; each set is legible on its ground.
const ON_LIGHT = ["#0072b2", "#c24e00", "#00785a", "#a3487f", "#724b00", "#444444"];
const ON_DARK = ["#56b4e9", "#f59b42", "#2fc79b", "#e28dbb", "#f0e442", "#d0d0d0"];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "path://M0,0L10,0L5,9Z", "path://M3,0H7V3H10V7H7V10H3V7H0V3H3Z"];
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
  return SYMBOLS[(group + round(group)) % SYMBOLS.length];
}

export function stroke({ group }) {
  return round(group) % 2 ? [9, 2, 2, 2] : "solid";
}

function round(group) {
  return Math.floor(group / ON_LIGHT.length);
}

// A number in words beside others: what four decimals would show as 0 is said to be that small.
export function short(value) {
  if (typeof value !== "number") return "–";
  return value && Math.abs(value) < 0.00005 ? (value < 0 ? "> −0.0001" : "< 0.0001") : tick(value);
}

// A number beside an axis, which may well go by such small steps.
function tick(value) {
  return String(Number(value.toPrecision(4)));
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
    nameTextStyle: { color: look.soft }, axisLabel: { color: look.soft, formatter: tick, hideOverlap: true }, axisLine: { lineStyle: { color: look.soft } },
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

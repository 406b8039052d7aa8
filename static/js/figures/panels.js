// Figures of several panels: a matrix of each series, on one canvas; and a gallery, which is images on the page.

import { box, dark, elided, places, room, short } from "./look.js";

const PANEL = 300; // pixels that a matrix is wide at least, where there is more than one
const WIDEST = 620; // and at most
const NAME = 90; // pixels of its class names at most
const ABOVE = 26; // pixels of its title
const BOLD = 8; // pixels of a letter of it
const GAP = 16;
const SMALL = 6; // pixels of a letter of a class name
const SHADES = ["#f7f5ee", "#4d9ac7", "#003a5d"]; // lightness goes one way, so that grey print keeps the order
const ON_DARK = ["#20303a", "#56b4e9", "#f0e442"];

export function matrixHeight(figure, width) {
  const { below, high } = laidOut(figure, width);
  return below * high;
}

// As many panels beside each other as fit, each as high as it is wide.
function laidOut(figure, width) {
  const beside = Math.max(1, Math.min(figure.series.length, Math.floor((width + GAP) / (PANEL + GAP))));
  const wide = Math.min(WIDEST, (width - GAP * (beside - 1)) / beside);
  const left = 22 + room(figure.y_categories, NAME, SMALL);
  const bottom = upright(figure, wide - left) ? 26 + room(figure.x_categories, NAME, SMALL) : 44;
  const side = wide - left;
  return { beside, below: Math.ceil(figure.series.length / beside), wide, left, bottom, side, high: ABOVE + side + bottom + GAP };
}

// Whether the names of the columns find no place beside each other.
function upright(figure, side) {
  return room(figure.x_categories, NAME, SMALL) > side / figure.x_categories.length;
}

export function matrix(figure, look) {
  const at = laidOut(figure, look.width);
  const corner = (place) => ({ left: (place % at.beside) * (at.wide + GAP), top: Math.floor(place / at.beside) * at.high });
  const named = { color: look.soft, fontSize: 11, hideOverlap: true, formatter: (name) => elided(name, NAME - 8, SMALL) };
  const standing = upright(figure, at.side) ? { rotate: 90 } : {};
  const told = ({ seriesName, value: [column, row, count, rate] }) =>
    `${seriesName}\n${figure.y_label} ${figure.y_categories[row]}\n${figure.x_label} ${figure.x_categories[column]}\n` +
    `${short(count)}, ${(100 * rate).toFixed(1)} % of the row`;
  return {
    legend: { show: false },
    tooltip: { ...box(look), trigger: "item", formatter: told },
    title: figure.series.map(({ name }, place) => ({
      text: elided(name, at.side, BOLD), left: corner(place).left + at.left, top: corner(place).top + 9, padding: 0, // its middle
      textStyle: { color: look.ink, fontSize: 13, fontWeight: "bold" },
    })),
    grid: figure.series.map((_series, place) => ({
      left: corner(place).left + at.left, top: corner(place).top + ABOVE, width: at.side, height: at.side,
    })),
    xAxis: figure.series.map((_series, gridIndex) => places(look, figure.x_label, figure.x_categories, {
      gridIndex, nameGap: at.bottom - 16, axisLabel: { ...named, ...standing }, axisTick: { show: false }, splitLine: rules(figure, look),
    })),
    yAxis: figure.series.map((_series, gridIndex) => places(look, figure.y_label, figure.y_categories, {
      gridIndex, inverse: true, nameGap: at.left - 14, axisLabel: named, axisTick: { show: false }, splitLine: rules(figure, look),
    })),
    visualMap: { show: false, type: "continuous", min: 0, max: 1, dimension: 4, inRange: { color: dark.matches ? ON_DARK : SHADES } },
    series: figure.series.map((series, place) => cells(figure, series, place, at.side / figure.x_categories.length)),
  };
}

// The lines between cells, while cells are large enough to need any.
function rules(figure, look) {
  return { show: figure.y_categories.length <= 30, lineStyle: { color: look.line } };
}

// A cell's shade is the root of its rate: rare confusions would not be seen beside the diagonal.
function cells(figure, series, place, side) {
  const fontSize = side < 24 ? 9 : 11;
  const said = (count, rate) => (figure.cells === "rate" ? (100 * rate).toFixed(rate > 0 && rate < 0.1 ? 1 : 0) : short(count));
  const fits = (count, rate) => count > 0 && side >= fontSize + 3 && 0.6 * fontSize * said(count, rate).length + 1 <= side;
  const ink = (shade) => (shade > (dark.matches ? 0.27 : 0.65) === dark.matches ? "#000000" : "#ffffff");
  return {
    name: series.name, type: "heatmap", xAxisIndex: place, yAxisIndex: place, encode: { x: 0, y: 1, value: 2 },
    data: series.points.map(([column, row, count, rate]) => {
      const shade = Math.sqrt(rate ?? 0);
      return { value: [column, row, count, rate, shade], label: { show: fits(count, rate), color: ink(shade) } };
    }),
    label: { fontSize, formatter: ({ value }) => said(value[2], value[3]) },
  };
}

// Images side by side with their captions. Only addresses of this site are loaded.
export function gallery(figure, place, watermark) {
  place.classList.add("figure-gallery");
  place.replaceChildren(...figure.items.map(({ images, caption }) => {
    const item = element("figure", {}, ...images.map(({ address, words }) =>
      element("img", { src: new URL(address, location.origin).origin === location.origin ? address : "", alt: words, loading: "lazy" })));
    item.append(element("figcaption", { textContent: caption }));
    return item;
  }));
  if (watermark) place.prepend(element("p", { className: "watermark", textContent: watermark }));
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

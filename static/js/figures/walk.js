// A figure whose points lead somewhere is walked with the keyboard: arrow keys go from point to point, Enter opens what a
// click would. A frame is drawn around the point, and a line below the figure says what it is.

import { short } from "./look.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const DOT = 26; // pixels of the frame around a point that is no cell

// `rows`: the points { key, value, index, told }, in rows that lie below each other; in a single row, up and down go along it.
export function walked(figure, rows, open) {
  const place = document.querySelector(`[data-figure="${figure.key}"] .figure-canvas`);
  const pixels = (value) => window.echarts.getInstanceByDom(place).convertToPixel({ gridIndex: 0 }, value);
  const frame = Object.assign(document.createElement("span"), { className: "figure-frame", hidden: true });
  const line = Object.assign(document.createElement("p"), { className: "small figure-point" });
  const cells = rows.length > 1;
  let at = [0, 0];

  frame.classList.toggle("is-round", !cells);
  place.after(line);
  line.setAttribute("role", "status");
  place.tabIndex = 0;
  place.setAttribute("role", "application");
  place.setAttribute("aria-label", `${figure.title}: arrow keys go over it, Enter opens the images`);

  function look() {
    const point = rows[at[1]][at[0]];
    const [x, y] = pixels(point.value);
    const [wide, high] = cells ? size() : [DOT, DOT];
    Object.assign(frame.style, { left: `${x - wide / 2}px`, top: `${y - high / 2}px`, width: `${wide}px`, height: `${high}px` });
    frame.hidden = false;
    place.append(frame);
    if (line.textContent !== point.told) line.textContent = point.told;
  }

  function size() {
    const [[left, top], [right, bottom]] = [[0, 0], [1, 1]].map(pixels);
    return [right - left, bottom - top];
  }

  function go([across, down]) {
    const [column, row] = cells ? [at[0] + across, at[1] + down] : [at[0] + across - down, 0];
    at = [Math.max(0, Math.min(rows[0].length - 1, column)), Math.max(0, Math.min(rows.length - 1, row))];
    look();
  }

  place.addEventListener("focus", () => { if (place.matches(":focus-visible")) look(); }); // not where a mouse clicks
  place.addEventListener("blur", () => { frame.hidden = true; line.textContent = ""; });
  new ResizeObserver(() => { if (!frame.hidden) look(); }).observe(place);
  place.addEventListener("keydown", (event) => {
    if (event.key === "Enter") open(rows[at[1]][at[0]]);
    else if (event.key in ARROWS) go(ARROWS[event.key]);
    else return;
    event.preventDefault();
  });
}

// The cells of a matrix, those that hold nothing too.
export function cellsOf({ key, series: [{ points }], x_categories: columns, y_categories: rows }) {
  const full = new Map(points.map((point) => [`${point[0]} ${point[1]}`, point]));
  return rows.map((actual, row) => columns.map((predicted, column) => {
    const value = full.get(`${column} ${row}`) ?? [column, row, 0, 0];
    const share = value[2] ? `, ${(100 * value[3]).toFixed(1)} % of its row` : "";
    return { key, value, told: `${actual} taken for ${predicted}: ${value[2]} ${value[2] === 1 ? "image" : "images"}${share}` };
  }));
}

// The bins of a reliability diagram, in one row.
export function binsOf({ key, series: [{ points }] }) {
  return [points.map((value, index) => ({
    key, value, index, told: `confidence ${short(value[0])}, accuracy ${short(value[1])}: ${value[2]} ${value[2] === 1 ? "prediction" : "predictions"}`,
  }))];
}

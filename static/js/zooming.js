// Which part of a map is seen: the whole, or what the wheel, two fingers, a drag, buttons or keys brought near.

const NEAREST = 40; // times
const STEP = 1.5; // of a button, a key, or a turn of the wheel
const MOVE = 0.2; // of what is seen, by an arrow key

// `moving()`: whether a drag moves the map (or draws on it); `seen(times)` hears how near it is. What is seen is kept as
// [from, to] along x and along y, in the numbers of the plane.
export function zooming(chart, { moving, seen }) {
  const canvas = chart.getDom();
  const pen = chart.getZr();
  let whole, view, drawn, near = 1, held = null, waits = false;

  function show({ x, y }) {
    whole = [x, y].map(reach);
    view = whole;
    seen(near = 1);
  }

  function axes() {
    drawn = view;
    return view.map(([min, max]) => ({ min, max }));
  }

  // The shares of what is drawn that lie left of and below a place of the canvas.
  function shares(place) {
    return chart.convertFromPixel({ gridIndex: 0 }, place).map((value, i) => (value - drawn[i][0]) / wide(drawn[i]));
  }

  function zoom(times, at = [0.5, 0.5]) {
    const then = Math.min(Math.max(near * times, 1), NEAREST), by = then / near;
    near = then;
    look(view.map(([low, high], i) => {
      const still = low + at[i] * (high - low);
      return [still + (low - still) / by, still + (high - still) / by];
    }));
  }

  function move(by) {
    look(view.map(([low, high], i) => [low - by[i] * (high - low), high - by[i] * (high - low)]));
  }

  // Never beyond the whole; drawn once a frame, however often the hand asks.
  function look(asked) {
    view = asked.map(([low, high], i) => {
      const shift = Math.max(whole[i][0] - low, 0) + Math.min(whole[i][1] - high, 0);
      return [low + shift, high + shift];
    });
    seen(near);
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      const [xAxis, yAxis] = axes();
      chart.setOption({ xAxis, yAxis });
    });
  }

  pen.on("mousedown", ({ target, offsetX, offsetY }) => {
    held = moving() && near > 1 && !movable(target) ? shares([offsetX, offsetY]) : null;
  });
  pen.on("mousemove", ({ offsetX, offsetY, event }) => {
    if (!held) return;
    event.preventDefault(); // else a finger scrolls the page
    const at = shares([offsetX, offsetY]);
    move(at.map((share, i) => share - held[i]));
    held = at;
  });
  pen.on("mouseup", () => { held = null; });
  pen.on("mousewheel", ({ wheelDelta, offsetX, offsetY, event }) => {
    if (!wheelDelta || !(moving() || event.ctrlKey) || (wheelDelta < 0 && near === 1)) return;
    event.preventDefault();
    zoom(STEP ** Math.max(-1, Math.min(1, wheelDelta)), shares([offsetX, offsetY]));
  });
  pen.on("pinch", ({ pinchScale, pinchX, pinchY, event }) => {
    held = null;
    if (!moving()) return;
    event.preventDefault();
    zoom(pinchScale, shares([pinchX, pinchY]));
  });

  const keys = {
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: () => zoom(0),
    ArrowLeft: () => move([MOVE, 0]), ArrowRight: () => move([-MOVE, 0]), ArrowUp: () => move([0, -MOVE]), ArrowDown: () => move([0, MOVE]),
  };
  canvas.addEventListener("keydown", (event) => {
    const arrow = event.key.startsWith("Arrow");
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey || (arrow && near === 1)) return;
    event.preventDefault();
    keys[event.key]();
  });

  return { show, axes, nearer: keys["+"], farther: keys["-"], all: keys[0] };
}

// What was drawn on the map is moved itself.
function movable(target) {
  for (let one = target; one; one = one.parent) if (one.draggable) return true;
  return false;
}

function wide([low, high]) {
  return high - low;
}

// From the least to the most, and a little more, so that no point lies on the edge.
function reach(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const more = 0.03 * (most - least || 1);
  return [least - more, most + more];
}

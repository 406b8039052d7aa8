/**
 * Pictures enlarged before they are shown: whole multiples of their native size, nearest or bicubic, drawn
 * pixel for pixel on the screen, so that no browser smooths them its own way.
 *
 * The bicubic filter is Pillow's (Catmull-Rom, a = −0.5, eight bits between its two passes). Nothing here
 * knows of trials.
 */

/** Css pixels a picture may take when the study leaves its enlargement to the window. */
export const COMFORTABLE_PX = 320;

/** Device pixels of enlarged pictures that are kept: 24 million are about 100 MB. */
const KEPT_PIXELS = 24e6;
const PRECISION = 2 ** 22; // of Pillow's fixed-point weights

/**
 * @typedef {object} Size
 * @property {number} times how often a native pixel is repeated, in css or device pixels
 * @property {number} cssWidth
 * @property {number} cssHeight
 * @property {number} deviceWidth whole
 * @property {number} deviceHeight whole
 */

/**
 * How large a picture is shown.
 *
 * @param {object} options
 * @param {number} options.width native, in pixels
 * @param {number} options.height native, in pixels
 * @param {number|null} options.enlargement the study's; null lets the window decide
 * @param {'css'|'device'} options.pixels which pixels the enlargement counts
 * @param {number} options.ratio device pixels for a css pixel
 * @param {number} options.roomX css pixels there are in width
 * @param {number} options.roomY css pixels the picture may take in height when the window decides
 * @param {number} options.comfortable css pixels it may take in either direction when the window decides
 * @returns {Size} the study's own enlargement is only reduced where the picture would be too wide; never below 1
 */
export function sizeOf({ width, height, enlargement, pixels, ratio, roomX, roomY, comfortable }) {
  const unit = pixels === 'device' ? 1 / ratio : 1;
  const room = (space, native) => Math.floor(space / (native * unit) + 1e-9);
  const fitting = room(roomX, width);
  const chosen = Math.min(fitting, room(comfortable, Math.max(width, height)), room(roomY, height));
  const times = Math.max(1, enlargement === null ? chosen : Math.min(enlargement, fitting));
  const deviceWidth = Math.round(width * times * unit * ratio);
  const deviceHeight = Math.round(height * times * unit * ratio);
  return {
    times,
    deviceWidth,
    deviceHeight,
    cssWidth: deviceWidth / ratio,
    cssHeight: deviceHeight / ratio,
  };
}

/**
 * Bicubic enlargement as `PIL.Image.resize((toWidth, toHeight), BICUBIC)` computes it.
 *
 * @param {Uint8ClampedArray} pixels four values a pixel, row by row
 * @param {number} width
 * @param {number} height
 * @param {number} toWidth at least `width`
 * @param {number} toHeight at least `height`
 * @returns {Uint8ClampedArray} length 4 · toWidth · toHeight
 */
export function bicubic(pixels, width, height, toWidth, toHeight) {
  const wide = resampled(pixels, { lines: height, from: width, to: toWidth, step: 4, line: 4 * width });
  const shape = { lines: toWidth, from: height, to: toHeight, step: 4 * toWidth, line: 4 };
  return resampled(wide, shape, 4 * toWidth);
}

/** One pass: every line of pixels made longer. `step` lies between neighbours of a line, `line` between two lines. */
function resampled(pixels, { lines, from, to, step, line }, outStep = 4) {
  if (from === to) return pixels;
  const out = new Uint8ClampedArray(4 * lines * to);
  const outLine = outStep === 4 ? 4 * to : 4;
  const weights = weightsOf(from, to);
  for (let row = 0; row < lines; row += 1) {
    for (let x = 0; x < to; x += 1) {
      const { first, values } = weights[x];
      for (let channel = 0; channel < 4; channel += 1) {
        let sum = PRECISION / 2;
        let place = row * line + first * step + channel;
        for (const weight of values) {
          sum += weight * pixels[place];
          place += step;
        }
        out[row * outLine + x * outStep + channel] = Math.floor(sum / PRECISION);
      }
    }
  }
  return out;
}

/** For each pixel of an enlarged line: the first pixel it is made of and the whole-numbered weights from there on. */
function weightsOf(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, x) => {
    const center = (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - 2 + 0.5));
    const last = Math.min(from, Math.trunc(center + 2 + 0.5));
    const values = Array.from({ length: last - first }, (_, k) => cubic(first + k - center + 0.5));
    const total = values.reduce((sum, value) => sum + value, 0);
    return { first, values: values.map((value) => toFixed(value / total)) };
  });
}

/** The Catmull-Rom kernel, a = −0.5. */
function cubic(x) {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? -0.5 * (((d - 5) * d + 8) * d - 4) : 0;
}

function toFixed(weight) {
  return Math.trunc(weight * PRECISION + (weight < 0 ? -0.5 : 0.5));
}

/** Grey noise that covers a picture, the same for the same seed: opaque, one value a native pixel. */
export function noise(width, height, seed) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  let state = seed >>> 0;
  for (let place = 0; place < pixels.length; place += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels.fill(state >>> 24, place, place + 3);
    pixels[place + 3] = 255;
  }
  return pixels;
}

/** A whole number from a text, for seeds (FNV-1a). */
export function seedOf(text) {
  return [...text].reduce(
    (hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 16777619) >>> 0,
    2166136261,
  );
}

/**
 * The resampling that this browser can really do: some guard against recognition by changing what is read from a
 * canvas, and bicubic pixels are computed from such a reading.
 *
 * @param {'nearest'|'bicubic'} wanted
 */
export function possibleResampling(wanted) {
  return wanted === 'bicubic' && readsTrue() ? 'bicubic' : 'nearest';
}

let readable = null;

function readsTrue() {
  if (readable === null) {
    const sample = new ImageData(noise(16, 16, 1), 16, 16);
    const context = surface(16, 16).getContext('2d', { willReadFrequently: true });
    context.putImageData(sample, 0, 0);
    const read = context.getImageData(0, 0, 16, 16).data;
    readable = read.every((value, place) => value === sample.data[place]);
  }
  return readable;
}

/** Enlarged pictures, the last used ones kept; and the size each native size was last shown at. */
const kept = new Map();
const lastShown = new Map();

/**
 * Draw a picture on a canvas that takes the size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {import('./preload.js').Picture} picture
 * @param {Size} size
 * @param {'nearest'|'bicubic'} resampling
 */
export function paint(canvas, picture, size, resampling) {
  lastShown.set(`${picture.width} ${picture.height}`, { size, resampling });
  const drawn = enlarged(picture, size, resampling);
  take(canvas, size);
  canvas.getContext('2d').drawImage(drawn, 0, 0);
}

/** Draw the mask that covers a picture. */
export function paintMask(canvas, { width, height }, size, seed) {
  const mask = surface(width, height);
  mask.getContext('2d').putImageData(new ImageData(noise(width, height, seed), width, height), 0, 0);
  take(canvas, size);
  drawNearest(canvas, mask, size);
}

/** Make a canvas as large as a picture, and empty. */
export function take(canvas, { cssWidth, cssHeight, deviceWidth, deviceHeight }) {
  canvas.width = deviceWidth;
  canvas.height = deviceHeight;
  canvas.style.width = `${cssWidth}px`;
  canvas.style.height = `${cssHeight}px`;
}

const whenIdle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 50));

/** Enlarge pictures before they are needed, in idle moments, to the size at which such pictures were last shown. */
export function prepare([picture, ...rest]) {
  if (!picture) return;
  whenIdle(() => {
    const last = lastShown.get(`${picture.width} ${picture.height}`);
    if (last) enlarged(picture, last.size, last.resampling);
    prepare(rest);
  });
}

function enlarged(picture, size, resampling) {
  const key = `${picture.src} ${size.deviceWidth} ${size.deviceHeight} ${resampling}`;
  const drawn = kept.get(key) ?? enlarge(picture, size, resampling);
  kept.delete(key);
  kept.set(key, drawn);
  let total = [...kept.values()].reduce((sum, { width, height }) => sum + width * height, 0);
  for (const [oldest, { width, height }] of kept) {
    if (total <= KEPT_PIXELS || oldest === key) break;
    kept.delete(oldest);
    total -= width * height;
  }
  return drawn;
}

function enlarge({ image, width, height }, size, resampling) {
  const { deviceWidth, deviceHeight } = size;
  const drawn = surface(deviceWidth, deviceHeight);
  if (resampling === 'nearest') {
    drawNearest(drawn, image, size);
    return drawn;
  }
  const native = surface(width, height).getContext('2d', { willReadFrequently: true });
  native.drawImage(image, 0, 0);
  const pixels = bicubic(
    native.getImageData(0, 0, width, height).data,
    width,
    height,
    deviceWidth,
    deviceHeight,
  );
  drawn.getContext('2d').putImageData(new ImageData(pixels, deviceWidth, deviceHeight), 0, 0);
  return drawn;
}

function drawNearest(canvas, image, { deviceWidth, deviceHeight }) {
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, deviceWidth, deviceHeight);
}

function surface(width, height) {
  return Object.assign(document.createElement('canvas'), { width, height });
}

/**
 * Where a picture stands on the page, and how large it is there: the study's enlargement, or what the window has
 * room for. `render.js` draws it.
 */

import { element } from '../dom.js';
import { COMFORTABLE_PX, sizeOf } from '../render.js';

/** Css pixels of the surround on both sides of a picture together. */
const FRAME_PX = 32;
/** Share of the window's height that a picture may take where the window decides its size. */
const SCREEN_SHARE = 0.42;

/**
 * The frame of a picture and the canvas in it, still empty.
 *
 * @param {string|null} label for screen readers; null where an element around it has the name
 * @returns {{box: HTMLElement, canvas: HTMLCanvasElement}}
 */
export function pictureBox(label) {
  const naming = label === null ? { 'aria-hidden': 'true' } : { role: 'img', 'aria-label': label };
  const canvas = element('canvas', { class: 'picture-canvas', ...naming });
  return { box: element('div', { class: 'picture' }, canvas), canvas };
}

/**
 * The size of a picture of the study in `container`.
 *
 * @param {HTMLElement} container
 * @param {import('../preload.js').Picture} picture
 * @param {object} display the study's `enlargement` and `pixels`
 * @param {object} room where the window decides the size
 * @param {number} [room.across] how many stand side by side
 * @param {number} [room.comfortable] css pixels it may take
 * @param {number} [room.frame] css pixels around it
 * @returns {import('../render.js').Size}
 */
export function sizeIn(container, { width, height }, display, { across = 1, comfortable, frame = FRAME_PX }) {
  const { enlargement = null, pixels = 'css' } = display;
  return sizeOf({
    width,
    height,
    enlargement,
    pixels,
    ratio: window.devicePixelRatio,
    roomX: container.clientWidth - frame,
    roomY: window.innerHeight * SCREEN_SHARE,
    comfortable: Math.min(comfortable ?? COMFORTABLE_PX, container.clientWidth / across - frame),
  });
}

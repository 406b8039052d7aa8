/**
 * Pictures for the worked example: to look at only, outside a trial. Plugins whose answer is one picture out of
 * several show three people's.
 */

import { say } from '../messages.js';
import { paint, possibleResampling } from '../render.js';
import { pictureBox, sizeIn } from './picture.js';

/** Css pixels of a picture that stands for one person's answer. */
const ANSWER_PX = 112;

/**
 * Where three people stop in a row of `n` pictures: places from 0, chosen to be uneven. None is the middle of the
 * row and neither is their mean, so that nobody learns that the middle is what is wanted.
 *
 * @param {number} n at least 3
 * @returns {number[]}
 */
export function examplePlaces(n) {
  const last = n - 1;
  // Rounded away from the middle, which a short row would reach otherwise.
  return [Math.floor(0.15 * last), Math.floor(0.4 * last), Math.ceil(0.8 * last)];
}

/**
 * For a worked example: three people, each with a picture of their own out of a trial's several.
 *
 * @param {object} trial values of `PARAMETERS`, from the reserved pool
 * @param {string} text what each of them did
 * @returns {{node: HTMLElement, text: string}[]}
 */
export function threePictures(trial, text) {
  return examplePlaces(trial.pictures.length).map((place) => ({ node: still(trial, place, ANSWER_PX), text }));
}

/**
 * A picture to look at, outside a trial, as the study shows its pictures.
 *
 * @param {object} trial values of `PARAMETERS`
 * @param {number} index
 * @param {number} comfortable css pixels it may take where the window decides its size
 * @returns {HTMLElement}
 */
export function still({ pictures, display }, index, comfortable) {
  const { box, canvas } = pictureBox(say('picture_alt'));
  const size = sizeIn(document.querySelector('main'), pictures[index], display, { comfortable });
  paint(canvas, pictures[index], size, possibleResampling(display.resampling ?? 'nearest'));
  return box;
}

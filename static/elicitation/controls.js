/**
 * What the two sliders mean, as plain functions: words for a position, the size of a picture, and the
 * record of how the controls were used. No page is needed, so all of it is tested in Node.
 *
 * 0 is 100 % of the class on the left, 100 is 100 % of the class on the right, as shown.
 */

/** Css pixels a picture may take when the study leaves its enlargement to the screen. */
export const COMFORTABLE_PX = 320;

/**
 * How often each pixel is repeated. Always whole, so that no pixel is smoothed or uneven.
 *
 * @param {object} size
 * @param {number} size.width native, in pixels
 * @param {number} size.height native, in pixels
 * @param {number|null} size.wanted the study's enlargement; null lets the screen decide
 * @param {number} size.roomX css pixels to the left and right edge
 * @param {number} size.roomY css pixels the picture may take in height when the screen decides
 * @returns {number} at least 1; the study's own value is only reduced where the picture would not fit in width
 */
export function enlargement({ width, height, wanted, roomX, roomY }) {
  const fitting = Math.floor(roomX / width);
  const comfortable = Math.min(
    fitting,
    Math.floor(COMFORTABLE_PX / Math.max(width, height)),
    Math.floor(roomY / height),
  );
  return Math.max(1, wanted === null ? comfortable : Math.min(wanted, fitting));
}

/** A class's name within a sentence: a number gets quotes, so that "80 % 3" is not read as one number. */
export function inSentence(name) {
  return /^[\d.,]+$/.test(name) ? `“${name}”` : name;
}

/** "64 % ship, 36 % cat": the larger share first, because it is what the answer says. */
export function mixtureText(percent, left, right) {
  const shares = [
    [100 - percent, left],
    [percent, right],
  ];
  if (percent > 50) shares.reverse();
  return shares.map(([share, name]) => `${share} % ${inSentence(name)}`).join(', ');
}

/** "72 % sure". */
export function confidenceText(percent) {
  return `${percent} % sure`;
}

/**
 * Fill `{left}` and `{right}` in a study's wording.
 *
 * @param {string} text
 * @param {string} left
 * @param {string} right
 */
export function withNames(text, left, right) {
  return text.replaceAll('{left}', () => inSentence(left)).replaceAll('{right}', () => inSentence(right));
}

/** How the controls of one trial were used: which, how often, when first, and with what. */
export class Usage {
  #started;
  #now;
  #methods = new Set();
  touched = { mixing: false, confidence: false };
  moves = { mixing: 0, confidence: 0 };
  firstInteraction = null;

  /** @param {() => number} [now] milliseconds of a monotone clock */
  constructor(now = () => performance.now()) {
    this.#now = now;
    this.#started = now();
  }

  /** Whole milliseconds since the trial appeared. */
  elapsed() {
    return Math.round(this.#now() - this.#started);
  }

  /** A pointer or key came down. @param {'mouse'|'touch'|'keyboard'} method */
  interacted(method) {
    this.#methods.add(method);
    this.firstInteraction ??= this.elapsed();
  }

  /** A slider got its first position. @param {'mixing'|'confidence'} name */
  touch(name) {
    this.touched[name] = true;
    this.firstInteraction ??= this.elapsed();
  }

  /** A slider was put somewhere. @param {'mixing'|'confidence'} name */
  move(name) {
    this.touch(name);
    this.moves[name] += 1;
  }

  /** `mouse`, `touch`, `keyboard`, or `mixed`. Assistive technology that sends neither counts as keyboard. */
  get method() {
    if (this.#methods.size > 1) return 'mixed';
    return [...this.#methods][0] ?? 'keyboard';
  }
}

/**
 * What still keeps an answer from being complete.
 *
 * @param {{mixing: boolean, confidence: boolean}} touched
 * @param {boolean} cannotTell
 * @returns {'both'|'mixing'|'confidence'|null} the missing slider or sliders; null when complete
 */
export function missing(touched, cannotTell) {
  if (cannotTell || (touched.mixing && touched.confidence)) return null;
  if (!touched.mixing && !touched.confidence) return 'both';
  return touched.mixing ? 'confidence' : 'mixing';
}

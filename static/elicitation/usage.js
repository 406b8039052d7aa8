/**
 * How the controls of one trial were used: with what, when first, how often the window was left, and the
 * course of the answer. Times are kept only where the study says why it needs them.
 */

/** Width and height of the window in css pixels, and device pixels for each. */
export function viewport() {
  return [window.innerWidth, window.innerHeight, window.devicePixelRatio];
}

export class Usage {
  #started;
  #now;
  #methods = new Set();
  #hiddenSince = null;
  /** Names of controls that were given a value. */
  touched = new Set();
  firstInteraction = null;
  blurCount = 0;
  hiddenMs = 0;

  /** @param {() => number} [now] milliseconds of a monotone clock */
  constructor(now = () => performance.now()) {
    this.#now = now;
    this.start();
  }

  /** What is asked about appears now. */
  start() {
    this.#started = this.#now();
    this.firstInteraction = null;
  }

  /** Whole milliseconds since it appeared. */
  elapsed() {
    return Math.round(this.#now() - this.#started);
  }

  /** A pointer or key came down. @param {'mouse'|'touch'|'keyboard'} method */
  interacted(method) {
    this.#methods.add(method);
    this.firstInteraction ??= this.elapsed();
  }

  /** A control was given a value. @param {string} [name] */
  touch(name) {
    if (name !== undefined) this.touched.add(name);
    this.firstInteraction ??= this.elapsed();
  }

  /** The window lost the keyboard. */
  blurred() {
    this.blurCount += 1;
  }

  /** The page was hidden, or is shown again. @param {boolean} hidden */
  visibility(hidden) {
    if (hidden) this.#hiddenSince ??= this.#now();
    else if (this.#hiddenSince !== null) {
      this.hiddenMs += Math.round(this.#now() - this.#hiddenSince);
      this.#hiddenSince = null;
    }
  }

  /** `mouse`, `touch`, `keyboard`, or `mixed`. Assistive technology that sends neither counts as keyboard. */
  get method() {
    if (this.#methods.size > 1) return 'mixed';
    return [...this.#methods][0] ?? 'keyboard';
  }
}

/** The course of an answer: `[t, …values]`, t in milliseconds or null. The first `limit` entries are kept. */
export class History {
  #time;
  #limit;
  entries = [];

  /**
   * @param {object} options
   * @param {(() => number)|null} options.time milliseconds since the trial appeared; null where times are not kept
   * @param {number} [options.limit]
   */
  constructor({ time, limit = 200 }) {
    this.#time = time;
    this.#limit = limit;
  }

  /** @param {...(string|number|null)} values what changed, to what */
  add(...values) {
    if (this.entries.length < this.#limit) this.entries.push([this.#time?.() ?? null, ...values]);
  }
}

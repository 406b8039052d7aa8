/**
 * Shows a picture for a number of milliseconds and measures, by the frames that were painted, how long it
 * was.
 *
 * It knows neither picture nor mask: `on` and `off` paint them.
 */

export class Exposure {
  #wanted;
  #on;
  #off;
  #frame;
  #began = null;
  #previous = null;
  #ended = false;
  /** Milliseconds between the first frame with the picture and the last one counted; null before it was shown. */
  measured = null;

  /**
   * @param {object} options
   * @param {number} options.ms
   * @param {() => void} options.on paint the picture
   * @param {() => void} options.off paint what covers it
   * @param {(callback: (time: number) => void) => unknown} [options.frame]
   */
  constructor({ ms, on, off, frame = (callback) => requestAnimationFrame(callback) }) {
    this.#wanted = ms;
    this.#on = on;
    this.#off = off;
    this.#frame = frame;
  }

  /** True once the picture has been asked for. */
  get started() {
    return this.#began !== null;
  }

  /** True while the picture, not the mask, is to be seen. */
  get showing() {
    return this.measured !== null && !this.#ended;
  }

  /** Show the picture from the next frame on. A second call changes nothing. */
  start() {
    if (this.started) return;
    this.#began = 0;
    this.#frame((time) => {
      this.measured = 0;
      this.#began = this.#previous = time;
      this.#on();
      this.#frame((next) => this.#watch(next));
    });
  }

  #watch(time) {
    if (this.#ended) return;
    const half = (time - this.#previous) / 2;
    this.#previous = time;
    this.measured = Math.round((time - this.#began) * 10) / 10;
    // The frame nearest to the wanted duration: waiting for the one after it would always show too long.
    if (this.measured >= this.#wanted - half) this.end();
    else this.#frame((next) => this.#watch(next));
  }

  /** Cover the picture now. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#off();
  }
}

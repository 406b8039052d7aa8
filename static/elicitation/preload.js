/**
 * Brings a study's pictures to this computer before the first trial: a few at a time, each tried again
 * when it fails, each decoded before it counts as there.
 *
 * jsPsych's own preload asks for everything at once and cannot name what failed
 * (`reference/participants.md`, finding 10). This module shows nothing; `screens.js` does.
 */

/**
 * @typedef {object} Picture
 * @property {string} src object URL of the decoded picture
 * @property {number} width native, in pixels
 * @property {number} height native, in pixels
 * @property {HTMLImageElement} image decoded, ready to be drawn
 */

/** The pause after the first failure; each further one makes it longer by as much. */
const PAUSE_MS = 400;

export class Preloader extends EventTarget {
  #load;
  #concurrency;
  #tries;
  #delay;
  #pictures = new Map();
  #failed = new Map();
  #running = null;
  #wanted;
  bytes = 0;
  retried = 0;

  /**
   * Fires `progress` after each picture that arrived or was given up.
   *
   * @param {object} options
   * @param {string[]} options.urls
   * @param {(url: string) => Promise<Picture & {bytes: number}>} options.load
   * @param {number} [options.concurrency] pictures on the way at one time
   * @param {number} [options.tries] for each picture
   * @param {(ms: number) => Promise<void>} [options.delay] waited before another try
   */
  constructor({
    urls,
    load,
    concurrency = 6,
    tries = 3,
    delay = (ms) => new Promise((done) => setTimeout(done, ms)),
  }) {
    super();
    this.#wanted = [...new Set(urls)];
    this.#load = load;
    this.#concurrency = concurrency;
    this.#tries = tries;
    this.#delay = delay;
  }

  get total() {
    return this.#wanted.length;
  }

  get loaded() {
    return this.#pictures.size;
  }

  /** Addresses that were given up, each with the last reason. */
  get failed() {
    return [...this.#failed].map(([url, message]) => ({ url, message }));
  }

  /** @returns {Picture} of a picture that has arrived */
  picture(url) {
    return this.#pictures.get(url);
  }

  /**
   * Load what is not there yet. A call while another is under way joins it.
   *
   * @returns {Promise<boolean>} true when every picture is there
   */
  run() {
    this.#running ??= this.#fill().finally(() => (this.#running = null));
    return this.#running;
  }

  async #fill() {
    const queue = this.#wanted.filter((url) => !this.#pictures.has(url));
    this.#failed.clear();
    const worker = async () => {
      for (let url = queue.shift(); url !== undefined; url = queue.shift()) await this.#fetch(url);
    };
    await Promise.all(Array.from({ length: this.#concurrency }, worker));
    return this.loaded === this.total;
  }

  async #fetch(url) {
    for (let failures = 0; failures < this.#tries; ) {
      try {
        const { bytes, ...picture } = await this.#load(url);
        this.#pictures.set(url, picture);
        this.#failed.delete(url);
        this.bytes += bytes;
        break;
      } catch (error) {
        this.#failed.set(url, error.message);
        // A server that says when to come back is not out of reach: such a wait is no failure.
        if (error.waitMs == null) failures += 1;
        if (failures === this.#tries) break;
        this.retried += 1;
        await this.#delay(error.waitMs ?? PAUSE_MS * failures);
      }
    }
    this.dispatchEvent(new Event('progress'));
  }
}

/**
 * Fetch one picture through the API and decode it.
 *
 * The object URL is never revoked: the page holds every picture until it is left, so none can be
 * evicted between preload and trial.
 *
 * @param {import('./api.js').Api} api
 * @param {string} url
 * @returns {Promise<Picture & {bytes: number}>}
 */
export async function loadPicture(api, url) {
  const blob = await api.image(url);
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  await image.decode();
  const { src, naturalWidth: width, naturalHeight: height } = image;
  return { src, width, height, image, bytes: blob.size };
}

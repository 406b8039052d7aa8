/**
 * One opening of the page: gives every answer and event its identifier and times and hands them to the
 * outbox. It keeps, on this computer, which trial is open, so that an interrupted one is told apart.
 */

const PAYLOAD = [
  'cannot_tell',
  'mixing_percent',
  'confidence_percent',
  'touched',
  'n_moves',
  'first_interaction_ms',
  'input_method',
  'viewport',
  'image_css_px',
];
const OPEN_TRIAL = 'open-trial';

/** A random UUID, also where `crypto.randomUUID` is missing because the page came over plain http. */
export function uuid(crypto = globalThis.crypto) {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export class Visit {
  #outbox;
  #storage;
  #newId;
  #now;
  #started;
  #open = null;
  #interrupted = null;

  /**
   * @param {object} parts
   * @param {import('./outbox.js').Outbox} parts.outbox
   * @param {import('./storage.js').Storage} parts.storage
   * @param {() => string} [parts.newId]
   * @param {() => Date} [parts.now]
   */
  constructor({ outbox, storage, newId = uuid, now = () => new Date() }) {
    this.#outbox = outbox;
    this.#storage = storage;
    this.#newId = newId;
    this.#now = now;
    this.#started = now();
  }

  /** Position of the trial on the screen, or null. */
  get position() {
    return this.#open?.position ?? null;
  }

  /**
   * Say that somebody came back, and which trial they had left without an answer.
   *
   * @param {{answered: number, trials: {position: number}[]}} plan
   */
  async resume({ answered, trials }) {
    const left = (await this.#storage.all()).get(OPEN_TRIAL);
    if (left && trials.some(({ position }) => position === left.position)) this.#interrupted = left;
    if (answered || this.#interrupted) this.event('resume', { answered, ...this.#interrupted });
  }

  /** A trial starts: its identifier is drawn now, so that finishing twice is one answer. */
  begin({ position, attempt = 1 }) {
    const before = this.#interrupted?.position === position ? this.#interrupted.attempt : 0;
    this.#open = {
      id: this.#newId(),
      position,
      attempt: Math.max(attempt, before + 1),
      started_at: this.#now().toISOString(),
    };
    const { id, ...kept } = this.#open;
    this.#storage.put(OPEN_TRIAL, kept).catch(() => {});
  }

  /** A trial ended: put its answer in the outbox. Returns at once. */
  answer({ position }, data) {
    if (this.#open?.position !== position) return;
    const { id, attempt, started_at } = this.#open;
    this.#open = null;
    this.#outbox.put('responses', {
      id,
      position,
      attempt,
      started_at,
      ended_at: this.#now().toISOString(),
      rt_ms: data.rt,
      payload: Object.fromEntries(PAYLOAD.map((field) => [field, data[field]])),
    });
  }

  /** Something worth knowing happened that is no answer. */
  event(kind, data = {}) {
    this.#outbox.put('events', { id: this.#newId(), kind, t_ms: this.#now() - this.#started, data });
  }
}

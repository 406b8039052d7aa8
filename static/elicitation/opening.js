/**
 * One opening of the page: gives every answer and event its identifier, number and times and hands them to
 * the outbox.
 *
 * Numbers and elapsed times go on where the participation stopped, in whichever window or on whichever device
 * that was, and come from a clock that nobody can set. On this computer it keeps which trial is open, so that
 * an interrupted one is told apart.
 */

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

export class Opening {
  #outbox;
  #storage;
  #newId;
  #clock;
  #date;
  #opened;
  #open = null;
  #interrupted = null;
  #nextIndex = 0;
  #elapsedBefore = 0;

  /**
   * @param {object} parts
   * @param {import('./outbox.js').Outbox} parts.outbox
   * @param {import('./storage.js').Storage} parts.storage
   * @param {boolean} parts.timing whether times and focus events are kept
   * @param {() => string} [parts.newId]
   * @param {() => number} [parts.clock] milliseconds, never running backwards
   * @param {() => Date} [parts.date] what this computer believes the time to be
   */
  constructor({
    outbox,
    storage,
    timing,
    newId = uuid,
    clock = () => performance.now(),
    date = () => new Date(),
  }) {
    this.timing = timing;
    this.#outbox = outbox;
    this.#storage = storage;
    this.#newId = newId;
    this.#clock = clock;
    this.#date = date;
    this.#opened = clock();
  }

  /** Position of the trial on the screen, or null. */
  get position() {
    return this.#open?.position ?? null;
  }

  /**
   * Go on where earlier windows stopped: say that somebody came back, and which trial they had left without an answer.
   *
   * @param {{answered: number, next_index: number, elapsed_ms: number, trials: {position: number}[]}} plan
   * @param {{trial_index: number, time_elapsed_ms?: number}[]} [unsent] answers that the plan may not know yet
   */
  async resume({ answered, next_index: nextIndex, elapsed_ms: elapsed, trials }, unsent = []) {
    this.#nextIndex = Math.max(nextIndex, ...unsent.map(({ trial_index: index }) => index + 1));
    this.#elapsedBefore = Math.max(elapsed, ...unsent.map(({ time_elapsed_ms: ms }) => ms ?? 0));
    const left = (await this.#storage.all()).get(OPEN_TRIAL);
    if (left && trials.some(({ position }) => position === left.position)) this.#interrupted = left;
    if (answered || this.#interrupted) this.event('resume', { answered, ...this.#interrupted });
    // Told once: opening the page again before the trial is shown is no attempt at it.
    await this.#storage.remove(OPEN_TRIAL).catch(() => {});
  }

  /** A trial starts: its identifier is drawn now, so that finishing twice is one answer. */
  begin({ position, attempt = 1 }) {
    const before = this.#interrupted?.position === position ? this.#interrupted.attempt : 0;
    const started = this.#date();
    this.#open = {
      id: this.#newId(),
      position,
      attempt: Math.max(attempt, before + 1),
      started,
      clock: this.#clock(),
    };
    const kept = { position, attempt: this.#open.attempt };
    if (this.timing) kept.started_at = started.toISOString();
    this.#storage.put(OPEN_TRIAL, kept).catch(() => {});
  }

  /**
   * A trial ended: put its answer in the outbox. Returns at once.
   *
   * @param {{position: number}} planned
   * @param {{payload: object, rt: number}} data what the plugin handed over
   */
  answer({ position }, { payload, rt }) {
    if (this.#open?.position !== position) return;
    const { id, attempt, started, clock } = this.#open;
    this.#open = null;
    const taken = this.#clock() - clock;
    const times = {
      // The end is the start plus what the steady clock says: setting the computer's clock cannot reverse them.
      started_at: started.toISOString(),
      ended_at: new Date(started.getTime() + taken).toISOString(),
      time_elapsed_ms: Math.round(this.#elapsedBefore + this.#clock() - this.#opened),
      rt_ms: Math.round(rt),
    };
    const trialIndex = this.#nextIndex;
    this.#nextIndex += 1;
    this.#outbox.put('responses', {
      id,
      position,
      attempt,
      trial_index: trialIndex,
      ...(this.timing && times),
      payload,
    });
  }

  /** Something worth knowing happened that is no answer. */
  event(kind, data = {}) {
    const t = this.timing ? Math.round(this.#clock() - this.#opened) : 0;
    this.#outbox.put('events', { id: this.#newId(), kind, t_ms: t, data });
  }
}

/**
 * Every answer is kept on this computer until the server says that it holds it.
 *
 * Write-ahead, then send: one call at a time, oldest first, with growing pauses after a failure. The
 * identifier of an item is drawn by the caller before the answer exists, so sending twice is harmless.
 * It shows nothing and never loses an item that the server has not acknowledged
 * (`reference/participants.md`, section 3.4).
 */

import { within } from './storage.js';

const BATCH = 20;
/** Characters of one call: browsers carry out at most 64 KB of calls that outlive their page. */
const BATCH_CHARACTERS = 40_000;
/** A store that does not answer must not keep an answer from being sent. */
const STORE_PATIENCE_MS = 2_000;
const HOLD_UNSENT = 5;
const HOLD_OFFLINE_MS = 20_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** Statuses after which the server holds the position's answer, whoever sent it; `kept` is an event's. */
const HELD = new Set(['created', 'exists', 'superseded', 'kept']);
/** Statuses that no repetition will change; the item is set aside, not thrown away. */
const REFUSED = new Set(['invalid', 'unknown', 'conflict']);

/**
 * The pause before try number `failures + 1`.
 *
 * @param {number} failures how many tries in a row have failed, from 1
 * @param {() => number} [random] in [0, 1)
 * @returns {number} milliseconds: 1, 2, 4 … 30 s, less up to a half
 */
export function pause(failures, random = Math.random) {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return longest * (1 - random() / 2);
}

export class Outbox extends EventTarget {
  #storage;
  #send;
  #random;
  #now;
  #waiting = new Map();
  #setAside = new Map();
  #batchLimit = BATCH;
  #failures = 0;
  #failingSince = null;
  #timer = null;
  #running = null;
  #woken = false;
  #stopped = null;
  #sequence = 0;

  /**
   * Fires `change` after anything moves, `result` (`detail` = the server's reply) after each call that
   * was answered, `refused` (`detail` = `{item, result}`) for an answer set aside, and `stopped`.
   *
   * @param {object} options
   * @param {import('./storage.js').Store} options.storage
   * @param {(kind: 'responses'|'events', bodies: object[]) => Promise<object>} options.send
   *   resolves to `{results: [{id, status, message?}], …}`, rejects with an `ApiError`
   * @param {() => number} [options.random]
   * @param {() => number} [options.now] milliseconds of a clock that nobody can set
   */
  constructor({ storage, send, random = Math.random, now = () => performance.now() }) {
    super();
    this.#storage = storage;
    this.#send = send;
    this.#random = random;
    this.#now = now;
  }

  /** Take up what an earlier page of the same participation left behind. */
  async open() {
    const stored = [...(await this.#storage.all()).values()].filter((item) => item.body?.id);
    for (const item of stored.sort((a, b) => a.sequence - b.sequence)) {
      item.settled = true;
      (item.refused ? this.#setAside : this.#waiting).set(item.body.id, item);
      this.#sequence = Math.max(this.#sequence, item.sequence);
    }
    this.#changed();
  }

  /**
   * Keep an item and start sending it. Returns at once; nothing here waits for the network.
   *
   * @param {'responses'|'events'} kind
   * @param {object} body with its own `id`; the same `id` twice is one item
   */
  put(kind, body) {
    if (this.#waiting.has(body.id)) return;
    this.#sequence += 1;
    const item = { kind, body, sequence: this.#sequence };
    // A full or silent disk must not stop the answer from being sent: memory holds it meanwhile.
    item.stored = within(STORE_PATIENCE_MS, this.#keep(item))
      .catch(() => (item.inMemory = true))
      .finally(() => {
        item.settled = true;
        this.#changed();
      });
    this.#waiting.set(body.id, item);
    this.#changed();
    this.wake();
  }

  /** Send now, without waiting for the pause to pass: new item, back online, page shown again. */
  wake() {
    this.#woken = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      // Woken while the last call was under way: an item may have come too late for it, or the way is clear again.
      if (this.#woken && this.#waiting.size && !this.#stopped) this.wake();
    });
    return this.#running;
  }

  /** What the server has not acknowledged, oldest first, as it was put. */
  unsent(kind = 'responses') {
    return [...this.#waiting.values()].filter((item) => item.kind === kind).map((item) => item.body);
  }

  /** How many answers wait whose writing is done: closing the page now does not lose them if the store is durable. */
  get kept() {
    return [...this.#waiting.values()].filter(({ kind, settled }) => kind === 'responses' && settled).length;
  }

  /** True while calls fail. */
  get failing() {
    return this.#failingSince !== null;
  }

  /** True when the next trial should wait: many answers unsent, or no connection for a while. */
  get holding() {
    const offline = this.failing && this.#now() - this.#failingSince > HOLD_OFFLINE_MS;
    return this.#stopped === null && (offline || this.unsent().length > HOLD_UNSENT);
  }

  /** Why nothing is sent any more: null, `closed`, or `unauthorised`. */
  get stopped() {
    return this.#stopped;
  }

  /** True when every item that waits survives the page. */
  get durable() {
    return this.#storage.durable && ![...this.#waiting.values()].some(({ inMemory }) => inMemory);
  }

  /** Answers the server refused for good, as they were sent. */
  get setAside() {
    return [...this.#setAside.values()].map((item) => item.body);
  }

  /** Resolves when nothing is waiting (true) or sending has stopped (false). */
  async drained() {
    while (this.#waiting.size && !this.#stopped) {
      await new Promise((resolve) => this.addEventListener('change', resolve, { once: true }));
    }
    return this.#waiting.size === 0;
  }

  async #run() {
    clearTimeout(this.#timer);
    for (let batch = this.#next(); batch.length && !this.#stopped; batch = this.#next()) {
      this.#woken = false;
      try {
        await Promise.all(batch.map((item) => item.stored));
        const bodies = batch.map((item) => item.body);
        await this.#settle(batch, await this.#send(batch[0].kind, bodies));
      } catch (error) {
        if (!(await this.#failed(batch, error))) return;
      }
    }
  }

  /** The oldest items of one kind, answers before events: at least one, and not more than one call should carry. */
  #next() {
    const items = [...this.#waiting.values()];
    const kind = items.some((item) => item.kind === 'responses') ? 'responses' : 'events';
    let room = BATCH_CHARACTERS;
    return items
      .filter((item) => item.kind === kind)
      .slice(0, this.#batchLimit)
      .filter((item, index) => {
        room -= JSON.stringify(item.body).length;
        return index === 0 || room >= 0;
      });
  }

  async #settle(batch, reply) {
    const results = new Map(reply.results.map((result) => [result.id, result]));
    let settled = 0;
    for (const item of batch) {
      const result = results.get(item.body.id);
      if (result?.status === 'closed') this.#stop('closed');
      else if (HELD.has(result?.status)) await this.#drop(item);
      else if (REFUSED.has(result?.status)) await this.#refuse(item, result);
      else continue;
      settled += 1;
    }
    if (!settled)
      throw Object.assign(new Error('The reply named none of the items sent.'), { retryable: true });
    this.#failures = 0;
    this.#failingSince = null;
    this.#batchLimit = BATCH;
    this.dispatchEvent(new CustomEvent('result', { detail: reply }));
    this.#changed();
  }

  /** Decide what a failed call means. Returns true when sending should go on at once. */
  async #failed(batch, error) {
    if (error.unauthorised) {
      this.#stop('unauthorised');
      return false;
    }
    if (error.retryable === false) {
      // The call as a whole was refused. Alone, each item shows whether it is the one at fault.
      if (batch.length === 1) await this.#refuse(batch[0], { status: 'invalid', message: error.message });
      this.#batchLimit = 1;
      this.#changed();
      return true;
    }
    this.#failures += 1;
    this.#failingSince ??= this.#now();
    this.#timer = setTimeout(() => this.wake(), pause(this.#failures, this.#random));
    this.#changed();
    return false;
  }

  async #drop(item) {
    this.#waiting.delete(item.body.id);
    await this.#storage.remove(item.body.id).catch(() => {});
  }

  async #refuse(item, result) {
    this.#waiting.delete(item.body.id);
    const refused = { ...item, refused: result };
    if (item.kind === 'events') return this.#drop(item);
    this.#setAside.set(item.body.id, refused);
    await this.#keep(refused).catch(() => {});
    this.dispatchEvent(new CustomEvent('refused', { detail: { item: item.body, result } }));
  }

  #keep({ kind, body, sequence, refused }) {
    return this.#storage.put(body.id, { kind, body, sequence, refused });
  }

  #stop(reason) {
    if (this.#stopped) return;
    this.#stopped = reason;
    this.dispatchEvent(new CustomEvent('stopped', { detail: reason }));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

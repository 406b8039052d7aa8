/**
 * The participant's calls to the server, each with the participation's token and a time limit.
 *
 * It knows addresses, headers and which failures are worth another try; it keeps nothing (that is
 * `outbox.js`) and shows nothing. Protocol: docs of the API, `/api/v1/participation/`.
 */

const TIMEOUT_MS = 20_000;

/** A call that did not give a usable answer. `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
  /**
   * @param {string} message for people
   * @param {object} [detail]
   * @param {number} [detail.status] of HTTP
   * @param {object} [detail.body] problem+json, if any
   * @param {number|null} [detail.waitMs] how long a busy server asks to wait; null when it does not say
   */
  constructor(message, { status = 0, body = {}, waitMs = null } = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.body = body;
    this.waitMs = waitMs;
  }

  /** True when the same call may succeed later: no answer, a time limit, or a busy server. */
  get retryable() {
    return this.status === 0 || [408, 425, 429].includes(this.status) || this.status >= 500;
  }

  /** True when the token is no longer accepted. */
  get unauthorised() {
    return this.status === 401 || this.status === 403;
  }
}

export class Api {
  #base;
  #token;
  #fetch;
  #timeout;

  /**
   * @param {object} options
   * @param {string} options.base absolute URL of the participation API, ending in `/`
   * @param {string} options.token the participation's signed token
   * @param {typeof fetch} [options.fetch]
   * @param {number} [options.timeout] milliseconds for one call
   */
  constructor({ base, token, fetch = globalThis.fetch.bind(globalThis), timeout = TIMEOUT_MS }) {
    this.#base = base;
    this.#token = token;
    this.#fetch = fetch;
    this.#timeout = timeout;
  }

  /** What is left to answer, in the stored order: `{epoch, answered, total, trials, examples, …}`. */
  plan() {
    return this.#json('plan/');
  }

  /**
   * One picture as a PNG blob. It never changes, so the browser may keep it for as long as the server allows.
   *
   * @param {string} url as the plan names it
   * @returns {Promise<Blob>}
   */
  async image(url) {
    return this.#call(url, { cache: 'default' }, (response) => response.blob());
  }

  /**
   * Save answers.
   *
   * @param {number} epoch which opening of the page these come from
   * @param {object[]} responses 1–20 of them
   * @returns {Promise<{results: object[], stale_epoch: boolean, answered: number, total: number}>}
   */
  saveResponses(epoch, responses) {
    return this.#post('responses/', { epoch, responses });
  }

  /** Save what happened around the answers: 1–20 events. */
  saveEvents(events) {
    return this.#post('events/', { events });
  }

  /**
   * Ask the server whether it holds every planned answer.
   *
   * @param {number} count how many answers this browser believes are saved
   * @returns {Promise<{next_url: string}>} rejected with `body.missing_positions` (409) when not
   */
  complete(count) {
    return this.#post('complete/', { count });
  }

  #post(path, body) {
    return this.#json(path, {
      method: 'POST',
      // The call outlives the page: an answer given just before the window closes still arrives.
      keepalive: true,
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  #json(path, init = {}) {
    return this.#call(path, init, (response) => response.json());
  }

  async #call(path, init, read) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.#timeout);
    try {
      const response = await this.#fetch(new URL(path, this.#base), {
        cache: 'no-store',
        ...init,
        credentials: 'omit',
        headers: {
          Accept: 'application/json, image/png',
          ...init.headers,
          Authorization: `Participation ${this.#token}`,
        },
        signal: abort.signal,
      });
      if (!response.ok) throw await problem(response);
      return await read(response);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(`The server did not answer (${error.message}).`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The error of a refused call, with the server's own words if it gave any. */
async function problem(response) {
  const body = await response.json().catch(() => ({}));
  return new ApiError(body.detail ?? `The server refused the call (${response.status}).`, {
    status: response.status,
    body,
    waitMs: waitOf(response),
  });
}

/** What `Retry-After` asks of a caller that was too quick, given in seconds. */
function waitOf({ status, headers }) {
  const seconds = status === 429 ? Number.parseInt(headers.get('Retry-After'), 10) : NaN;
  return Number.isNaN(seconds) ? null : 1000 * Math.max(1, seconds);
}

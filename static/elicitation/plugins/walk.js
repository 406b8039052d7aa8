/**
 * A walk along a row of pictures: where it started, every step, and what is counted about it. Steps are whole
 * places in the row, never λ; no page is needed.
 */

export class Walk {
  #last;
  #record;
  #start;
  #reversals = 0;
  #steps = 0;
  #direction = 0;
  #visited;
  #hitBound = false;
  place;

  /**
   * @param {object} options
   * @param {number} options.n pictures in the row
   * @param {number} options.start place from 0, the left end
   * @param {(place: number, source: string) => void} [options.record] called with every step made
   */
  constructor({ n, start, record = () => {} }) {
    this.#last = n - 1;
    this.#start = start;
    this.#record = record;
    this.#visited = [start, start];
    this.place = start;
  }

  /** −1 after a step to the left, 1 after one to the right, 0 before the first. */
  get direction() {
    return this.#direction;
  }

  get atEnd() {
    return this.place === 0 || this.place === this.#last;
  }

  /**
   * Go to a place; beyond an end there is nothing.
   *
   * @param {number} place
   * @param {'key'|'button'|'slider'} source
   * @returns {boolean} true when the place changed
   */
  go(place, source) {
    if (place < 0 || place > this.#last) {
      this.#hitBound = true;
      return false;
    }
    if (place === this.place) return false;
    const direction = Math.sign(place - this.place);
    if (direction === -this.#direction) this.#reversals += 1;
    this.#direction = direction;
    this.#steps += 1;
    this.place = place;
    this.#visited = [Math.min(this.#visited[0], place), Math.max(this.#visited[1], place)];
    this.#record(place, source);
    return true;
  }

  /** The fields of an answer, all but the path. */
  get answer() {
    return {
      start_step: this.#start,
      final_step: this.place,
      n_steps: this.#steps,
      n_reversals: this.#reversals,
      visited_min: this.#visited[0],
      visited_max: this.#visited[1],
      hit_bound: this.#hitBound,
    };
  }
}

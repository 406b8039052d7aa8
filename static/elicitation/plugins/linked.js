/**
 * Whole percents that are linked: whatever is done to one, together they make exactly 100.
 *
 * When one changes, those that the person has not set give way first, and those set only where that is not
 * enough; each group keeps its proportions. Changing one again starts from where the others stood before, so
 * that going too far and coming back spoils nothing. No page is needed, so all of it is tested in Node.
 */

/**
 * Whole shares of `total` in the proportions of `weights`, by the largest remainder; equal ones go to the first
 * (each participant has an order of their own, so that no class gains by it).
 *
 * @param {number} total whole, at least 0
 * @param {number[]} weights at least 0; all of them 0 counts as all of them equal
 * @returns {number[]} as many as there are weights, with the sum `total`; empty without weights
 */
export function split(total, weights) {
  const sum = weights.reduce((one, other) => one + other, 0);
  const exact = weights.map((weight) => (sum ? (total * weight) / sum : total / weights.length));
  const shares = exact.map(Math.floor);
  const left = total - shares.reduce((one, other) => one + other, 0);
  const byRemainder = exact.map((value, place) => [value - shares[place], place]);
  byRemainder.sort(([one, at], [other, to]) => other - one || at - to);
  byRemainder.slice(0, left).forEach(([, place]) => (shares[place] += 1));
  return shares;
}

/** Percents by name, with the sum 100. */
export class Linked {
  /** @type {Map<string|number, number>} */
  #percents = new Map();
  #set = new Set();
  #changing = null;
  #before = new Map();

  /** @param {(string|number)[]} names at least one; they start with equal percents, none of them set */
  constructor(names) {
    const shares = split(
      100,
      names.map(() => 1),
    );
    names.forEach((name, place) => this.#percents.set(name, shares[place]));
  }

  get names() {
    return [...this.#percents.keys()];
  }

  get(name) {
    return this.#percents.get(name);
  }

  /** True once the person gave `name` its percent. */
  isSet(name) {
    return this.#set.has(name);
  }

  /** True once the person set any. */
  get touched() {
    return this.#set.size > 0;
  }

  /**
   * Give `name` a percent; the others share the rest.
   *
   * @param {string|number} name
   * @param {number} percent whole, 0 to 100; with nothing beside it, it stays at 100
   */
  put(name, percent) {
    if (this.#changing !== name) {
      this.#changing = name;
      this.#before = new Map(this.#percents);
    }
    this.#set.add(name);
    const others = this.names.filter((other) => other !== name);
    const free = others.filter((other) => !this.#set.has(other));
    const kept = others.filter((other) => this.#set.has(other));
    const left = others.length ? 100 - percent : 0;
    const wanted = kept.reduce((sum, other) => sum + this.#before.get(other), 0);
    const forFree = free.length ? Math.max(0, left - wanted) : 0;
    this.#percents.set(name, 100 - left);
    this.#share(free, forFree);
    this.#share(kept, left - forFree);
  }

  /** One more name, with nothing, before `before` or at the end. */
  add(name, before = null) {
    const entries = [...this.#percents];
    const place = before === null ? entries.length : this.names.indexOf(before);
    this.#percents = new Map([...entries.slice(0, place), [name, 0], ...entries.slice(place)]);
    this.#changing = null;
  }

  /** Without `name`; what it had goes to `heir`. */
  remove(name, heir) {
    this.#percents.set(heir, this.#percents.get(heir) + this.#percents.get(name));
    this.#percents.delete(name);
    this.#set.delete(name);
    this.#changing = null;
  }

  #share(names, total) {
    const shares = split(
      total,
      names.map((name) => this.#before.get(name)),
    );
    names.forEach((name, place) => this.#percents.set(name, shares[place]));
  }
}

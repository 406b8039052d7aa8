/**
 * The class names that a person chooses from, as plain functions: which of them a search finds, and a choice of
 * the most probable, a second and excluded classes that cannot contradict itself.
 *
 * No page is needed, so all of it is tested in Node.
 */

/** Up to here all classes are shown at once; with more of them there is a search field. */
export const SHOWN_AT_ONCE = 12;

/**
 * @typedef {{id: number, name: string}} Class a class in the image set's numbering, and its name as shown
 */

/**
 * The classes that a search finds: names that begin with it, then names with a word that does, then the rest that
 * hold it; within each of these in the order given. Case, accents and `_` for a space make no difference.
 *
 * @param {Class[]} classes
 * @param {string} query nothing finds all of them
 * @returns {Class[]}
 */
export function matching(classes, query) {
  const wanted = plain(query);
  const found = [[], [], []];
  for (const one of classes) {
    const place = rank(plain(one.name), wanted);
    if (place !== null) found[place].push(one);
  }
  return found.flat();
}

function rank(name, wanted) {
  if (name.startsWith(wanted)) return 0;
  if (name.includes(` ${wanted}`)) return 1;
  return name.includes(wanted) ? 2 : null;
}

function plain(text) {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
    .trim();
}

/**
 * What was chosen so far: the most probable class, a second one or none, their percents, and classes that it is
 * definitely not. No class can be in two places.
 */
export class Choice {
  /** @type {number|null} */
  most = null;
  /** @type {number|'none'|null} null until answered */
  second = null;
  /** @type {number|null} whole percents, 0 to 100; null until given */
  percent = null;
  /** @type {number|null} */
  secondPercent = null;
  /** @type {Set<number>} */
  excluded = new Set();

  /**
   * Where a class already is, seen from another place.
   *
   * @param {number} id
   * @param {'most'|'second'|'excluded'|null} here its being here is no hindrance; null for nowhere
   * @returns {'most'|'second'|'excluded'|null}
   */
  heldElsewhere(id, here) {
    const places = { most: this.most === id, second: this.second === id, excluded: this.excluded.has(id) };
    return Object.keys(places).find((place) => place !== here && places[place]) ?? null;
  }

  /** @param {number|null} id null takes it back */
  chooseMost(id) {
    this.#refuse(id, 'most');
    this.most = id;
  }

  /** @param {number|'none'|null} id */
  chooseSecond(id) {
    this.#refuse(id, 'second');
    this.second = id;
    if (typeof id !== 'number') this.secondPercent = null;
  }

  /** @param {number} id @param {boolean} excluded */
  exclude(id, excluded) {
    this.#refuse(id, 'excluded');
    if (excluded) this.excluded.add(id);
    else this.excluded.delete(id);
  }

  /** What both percents make together. */
  get sum() {
    return (this.percent ?? 0) + (this.secondPercent ?? 0);
  }

  /**
   * What still keeps the answer from being complete, the first from top to bottom.
   *
   * @returns {'most'|'percent'|'second'|'second_percent'|'sum'|'order'|null}
   */
  get missing() {
    if (this.most === null) return 'most';
    if (this.percent === null) return 'percent';
    if (this.second === null) return 'second';
    if (this.second !== 'none' && this.secondPercent === null) return 'second_percent';
    if (this.sum > 100) return 'sum';
    return this.secondPercent > this.percent ? 'order' : null;
  }

  /** The fields of a complete answer. */
  answer() {
    return {
      most_probable: this.most,
      percent: this.percent,
      second: this.second === 'none' ? null : this.second,
      second_percent: this.secondPercent,
      excluded: [...this.excluded],
    };
  }

  #refuse(id, here) {
    const there = this.heldElsewhere(id, here);
    if (there) throw new Error(`Class ${id} cannot be ${here}: it is ${there}.`);
  }
}

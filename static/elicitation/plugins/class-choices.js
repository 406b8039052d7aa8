/**
 * Choosing one class or several: a list of radio buttons or checkboxes where there are few, a search field with the
 * chosen ones above it where there are many. A class that is taken elsewhere cannot be chosen, and the list says why.
 */

import { element } from '../dom.js';
import { say } from '../messages.js';
import { inSentence } from '../words.js';
import { ClassPicker } from './class-picker.js';

/**
 * @typedef {object} Choosing
 * @property {string} id unique on the page; the beginning of all other ids
 * @property {string} label what is chosen
 * @property {import('./classes.js').Class[]} classes in the participant's order
 * @property {boolean} [many] several may be chosen
 * @property {(id: number) => string|null} held why a class cannot be chosen, in a few words
 * @property {(id: number, chosen: boolean) => void} changed called when one was chosen, or taken back
 * @property {() => void} refused called when one was chosen that cannot be
 */

/** All classes at once. `others` are choices beside the classes, `{id, name}`. */
export class ClassList {
  #options;
  #held;

  /** @param {Choosing & {others?: {id: string, name: string}[]}} options */
  constructor({ id, classes, others = [], many = false, held, changed, refused }) {
    this.#held = held;
    this.#options = [...classes, ...others].map((one) => {
      const attributes = { type: many ? 'checkbox' : 'radio', id: `${id}-${one.id}`, name: id };
      const on = { change: () => changed(one.id, input.checked) };
      const input = element('input', { ...attributes, 'aria-describedby': `${id}-${one.id}-why`, on });
      const why = element('span', { id: `${id}-${one.id}-why`, class: 'co-why' });
      const name = element('span', { dir: 'auto' }, one.name);
      const click = () => input.disabled && refused(one);
      const label = element('label', { for: input.id, on: { click } }, input, element('span', {}, name, why));
      return { ...one, input, why, label };
    });
    this.node = element('div', { class: 'co-list' }, ...this.#options.map(({ label }) => label));
    this.refresh();
  }

  /** Where to put right what is missing. */
  get control() {
    const possible = this.#options.filter(({ input }) => !input.disabled);
    return (possible.find(({ input }) => input.checked) ?? possible[0]).input;
  }

  /** Say anew which classes are taken elsewhere. */
  refresh() {
    for (const { id, input, why } of this.#options) {
      const reason = this.#held(id);
      input.disabled = reason !== null;
      why.textContent = reason ?? '';
    }
  }
}

/** A search field; what was chosen stands above it. With one to choose, the field goes while it is chosen. */
export class ClassSearch {
  #many;
  #changed;
  #chosen = element('ul', { class: 'co-chosen' });
  #picker;

  /** @param {Choosing} options */
  constructor({ id, label, classes, many = false, held, changed, refused }) {
    this.#many = many;
    this.#changed = changed;
    this.#picker = new ClassPicker({
      id,
      label,
      classes,
      refusal: held,
      refused,
      choose: (one) => this.#add(one),
    });
    this.node = element('div', { class: 'co-search' }, this.#chosen, this.#picker.node);
  }

  /** Where to put right what is missing. */
  get control() {
    return this.#picker.input;
  }

  /** Take back what was chosen. */
  clear() {
    this.#chosen.replaceChildren();
    this.#picker.node.hidden = false;
  }

  /** The field asks anew whenever it is opened. */
  refresh() {}

  #add(one) {
    const remove = () => {
      row.remove();
      this.#picker.node.hidden = false;
      this.#picker.input.focus();
      this.#changed(one.id, false);
    };
    const row = element('li', {}, element('span', { dir: 'auto' }, one.name), removeButton(one.name, remove));
    this.#chosen.append(row);
    this.#picker.node.hidden = !this.#many;
    this.#changed(one.id, true);
  }
}

/** @param {string} name of what goes away @param {() => void} act */
export function removeButton(name, act) {
  const label = say('remove', { name: inSentence(name) });
  return element(
    'button',
    { type: 'button', class: 'co-remove', 'aria-label': label, on: { click: act } },
    '×',
  );
}

/**
 * A search field over up to 1,000 class names: type a few letters or open the whole list, then choose by key, by
 * mouse or by touch. It only offers; what is done with a chosen class, and why one cannot be, is the caller's.
 *
 * Follows the editable combobox with list autocompletion of the ARIA Authoring Practices Guide.
 */

import { element } from '../dom.js';
import { say } from '../messages.js';
import { matching } from './classes.js';

export class ClassPicker {
  #id;
  #classes;
  #choose;
  #refusal;
  #refused;
  #list;
  #status;
  #found = [];
  #active = -1;

  /**
   * @param {object} options
   * @param {string} options.id of the field; unique on the page
   * @param {string} options.label what is looked for
   * @param {import('./classes.js').Class[]} options.classes in the participant's order
   * @param {(chosen: import('./classes.js').Class) => void} options.choose given a class that was chosen
   * @param {(id: number) => string|null} options.refusal why a class cannot be chosen, as a sentence
   * @param {() => void} options.refused called when a class was chosen that cannot be; the sentence is shown here
   */
  constructor({ id, label, classes, choose, refusal, refused }) {
    this.#id = id;
    this.#classes = classes;
    this.#choose = choose;
    this.#refusal = refusal;
    this.#refused = refused;
    const listId = `${id}-list`;
    this.input = element('input', {
      id,
      type: 'text',
      class: 'cp-input',
      role: 'combobox',
      autocomplete: 'off',
      autocapitalize: 'none',
      spellcheck: 'false',
      enterkeyhint: 'done',
      'aria-autocomplete': 'list',
      'aria-expanded': 'false',
      'aria-controls': listId,
      'aria-describedby': `${id}-hint`,
      on: {
        input: () => this.#open(),
        click: () => this.#open(),
        keydown: (event) => this.#key(event),
        blur: () => this.#close(),
      },
    });
    this.#list = element('ul', {
      id: listId,
      class: 'cp-list',
      role: 'listbox',
      'aria-label': label,
      hidden: true,
      on: {
        // The field keeps the focus while the list is used.
        mousedown: (event) => event.preventDefault(),
        click: (event) => this.#pick(this.#placeOf(event.target)),
      },
    });
    this.#status = element('p', { class: 'cp-status', role: 'status' });
    this.node = element(
      'div',
      { class: 'cp' },
      element('label', { for: id, class: 'cp-label' }, label),
      element('div', { class: 'cp-field' }, this.input, this.#list),
      element(
        'p',
        { id: `${id}-hint`, class: 'cp-hint' },
        say('class_search_hint', { count: classes.length }),
      ),
      this.#status,
    );
  }

  #open() {
    const query = this.input.value;
    this.#found = matching(this.#classes, query);
    this.#list.replaceChildren(...this.#found.map((found) => this.#option(found)));
    this.#list.hidden = this.#found.length === 0;
    this.#list.scrollTop = 0;
    this.input.setAttribute('aria-expanded', String(this.#found.length > 0));
    const first = this.#found.findIndex(({ id }) => this.#refusal(id) === null);
    this.#activate(query.trim() ? Math.max(first, 0) : -1);
    this.#status.textContent = this.#found.length
      ? say('classes_found', { count: this.#found.length })
      : say('classes_none_found', { query });
  }

  #close() {
    this.#found = [];
    this.#list.hidden = true;
    this.#list.replaceChildren();
    this.input.setAttribute('aria-expanded', 'false');
    this.#activate(-1);
    this.#status.textContent = '';
  }

  get #isOpen() {
    return !this.#list.hidden;
  }

  #option({ id, name }) {
    const why = this.#refusal(id);
    const attributes = {
      id: `${this.#id}-${id}`,
      class: 'cp-option',
      role: 'option',
      'aria-selected': 'false',
    };
    if (!why) return element('li', attributes, name);
    const note = element('span', { class: 'cp-why' }, why);
    return element('li', { ...attributes, 'aria-disabled': 'true' }, element('span', {}, name), note);
  }

  #placeOf(target) {
    return [...this.#list.children].indexOf(target.closest('[role=option]'));
  }

  #activate(place) {
    const options = this.#list.children;
    options[this.#active]?.setAttribute('aria-selected', 'false');
    this.#active = place < options.length ? place : -1;
    const active = options[this.#active];
    if (!active) return this.input.removeAttribute('aria-activedescendant');
    active.setAttribute('aria-selected', 'true');
    active.scrollIntoView({ block: 'nearest' });
    return this.input.setAttribute('aria-activedescendant', active.id);
  }

  #key(event) {
    const act = {
      ArrowDown: () => this.#walk(1),
      ArrowUp: () => this.#walk(-1),
      Enter: () => this.#pick(this.#active),
      Escape: () => this.#escape(),
    }[event.key];
    if (!act || event.isComposing) return;
    event.preventDefault();
    act();
  }

  #walk(step) {
    if (!this.#isOpen) this.#open();
    const count = this.#found.length;
    const from = this.#active < 0 && step < 0 ? count : this.#active;
    if (count) this.#activate((from + step + count) % count);
  }

  #escape() {
    if (!this.#isOpen) this.input.value = '';
    this.#close();
  }

  #pick(place) {
    const chosen = this.#found[place];
    if (!chosen) return;
    const why = this.#refusal(chosen.id);
    if (why) {
      this.#status.textContent = why;
      this.#refused();
      return;
    }
    this.input.value = '';
    this.#close();
    this.#choose(chosen);
  }
}

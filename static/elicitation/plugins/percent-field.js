/**
 * One percent that is given with a bar or with a number beside it, by key, by mouse or by touch. It shows what it
 * is told and says what the person does; what other percents make of that is the caller's.
 */

import { element } from '../dom.js';
import { say } from '../messages.js';
import { inSentence } from '../words.js';

const WHOLE = /^\s*(\d{1,3})\s*$/;

export class PercentField {
  #percent = null;
  #isSet = false;
  #unsettled = false;
  #changed;
  #settled;
  #refused;

  /**
   * @param {object} options
   * @param {string} options.id of the bar; unique on the page
   * @param {string} options.label what the percent is of, visible
   * @param {(percent: number) => void} options.changed called at every step of a change
   * @param {(percent: number) => void} options.settled called when a change has ended
   * @param {() => void} options.refused called when what was typed is no whole number from 0 to 100
   */
  constructor({ id, label, changed, settled, refused }) {
    this.#changed = changed;
    this.#settled = settled;
    this.#refused = refused;
    this.range = element('input', {
      id,
      type: 'range',
      min: 0,
      max: 100,
      step: 1,
      value: 0,
      class: 'pf-range',
      on: {
        input: () => this.#changed(this.range.valueAsNumber),
        change: () => this.#settle(this.range.valueAsNumber),
        // A press or key that leaves the bar where it was changes no value; on one not set it still is an answer.
        click: () => this.#keep(),
        keydown: (event) => this.#keepByKey(event),
      },
    });
    this.number = element('input', {
      id: `${id}-number`,
      type: 'text',
      inputmode: 'numeric',
      autocomplete: 'off',
      maxlength: 3,
      class: 'pf-number',
      'aria-label': say('percent_of', { name: inSentence(label) }),
      on: {
        focus: () => this.number.select(),
        input: () => this.#typed(),
        change: () => this.#entered(),
        keydown: (event) => this.#step(event),
      },
    });
    /** Label, bar and number, for the caller to put where they belong. */
    this.nodes = [
      element('label', { for: id, class: 'pf-label' }, element('bdi', {}, label)),
      this.range,
      element('span', { class: 'pf-amount' }, this.number, element('span', { 'aria-hidden': 'true' }, '%')),
    ];
  }

  /**
   * @param {number|null} percent what to show; null shows nothing
   * @param {boolean} isSet whether the person gave it; without that the bar looks unset
   */
  show(percent, isSet) {
    this.#percent = percent;
    this.#isSet = isSet;
    this.range.value = percent ?? 0;
    this.range.style.setProperty('--share', (percent ?? 0) / 100);
    this.range.toggleAttribute('data-untouched', !isSet);
    this.range.toggleAttribute('data-empty', percent === null);
    this.range.setAttribute('aria-valuetext', percent === null ? say('not_set') : this.#words());
    // What somebody is typing is theirs until they leave the field.
    if (whole(this.number.value) !== percent) this.number.value = percent ?? '';
  }

  /** @param {boolean} disabled true where there is nothing to choose */
  set disabled(disabled) {
    this.range.disabled = disabled;
    this.number.disabled = disabled;
  }

  /** Where to put right what is missing. A bar, because a number field would open a phone's keyboard. */
  get control() {
    return this.range;
  }

  /** Go on here with the keyboard. */
  focus() {
    this.number.focus();
  }

  #words() {
    return say(this.#isSet ? 'percent_set' : 'percent_follows', { percent: this.#percent });
  }

  #keep() {
    if (!this.#isSet) this.#settle(this.range.valueAsNumber);
  }

  #keepByKey(event) {
    if (!['Enter', ' '].includes(event.key)) return;
    event.preventDefault();
    this.#keep();
  }

  #settle(percent) {
    this.#unsettled = false;
    this.#changed(percent);
    this.#settled(percent);
  }

  #typed() {
    const percent = whole(this.number.value);
    if (percent === null) return;
    this.#unsettled = true;
    this.#changed(percent);
  }

  #entered() {
    const percent = whole(this.number.value);
    if (percent !== null) return this.#settle(percent);
    this.number.value = this.#percent ?? '';
    if (this.#unsettled) this.#settle(this.#percent);
    return this.#refused();
  }

  #step(event) {
    const step = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    // A number that stands there already is kept by Enter; one that was typed is a change of its own.
    if (event.key === 'Enter' && !this.#isSet) this.#entered();
    if (!step) return;
    event.preventDefault();
    this.number.value = Math.min(100, Math.max(0, (this.#percent ?? 0) + step));
    this.#entered();
  }
}

/** The whole percent that a text is, or null. */
export function whole(text) {
  const percent = Number(WHOLE.exec(text)?.[1] ?? NaN);
  return percent <= 100 ? percent : null;
}

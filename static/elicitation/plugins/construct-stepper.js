/**
 * jsPsych plugin `construct-stepper`: one picture out of a row, and keys, buttons or a slider that step along
 * the row until the picture shows as much of one class as of the other.
 *
 * Only the picture changes: no control is ever replaced, so the keyboard works wherever the focus is. After
 * the published *construct* interface (Collins et al. 2023), which lost the focus, and at both ends of the
 * row the picture.
 */

import { element, endsOf } from '../dom.js';
import { say } from '../messages.js';
import { inSentence } from '../words.js';
import { threePictures } from './examples.js';
import { DATA, PARAMETERS, Shell } from './shell.js';
import { simulate } from './simulating.js';
import { Walk } from './walk.js';

const MOST_STEPS_KEPT = 500;
const SOURCES = { keys: ['key'], buttons: ['button'], slider: ['slider'], all: ['button', 'key', 'slider'] };

const info = {
  name: 'construct-stepper',
  version: '1.0.0',
  // `pictures` is the row from left to right. `shown` holds the names `left_class` and `right_class` of its ends, `n`,
  // and `start`, the place where the trial starts. `person.keys` names the keys, `{left, right}`. `options`: `controls`
  // (`keys`, `buttons`, `slider` or `all`) and `min_steps`. `wording` holds `question`.
  parameters: PARAMETERS,
  // `payload` holds `start_step` and `final_step`, places in the row; `path` of `[t, place, source]`; `n_steps`,
  // `n_reversals`, `visited_min`, `visited_max`, and `hit_bound`, whether somebody tried to step beyond an end.
  data: DATA,
};

export default class ConstructStepperPlugin {
  static info = info;

  /** @param {object} jsPsych the running instance */
  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  /**
   * @param {HTMLElement} display emptied by jsPsych
   * @param {object} trial values of `info.parameters`
   */
  trial(display, trial) {
    new Stepper(display, trial, (data) => this.jsPsych.finishTrial(data)).show();
  }

  /** Answer by itself, for tests and rehearsals; see `simulating.js`. */
  simulate(trial, mode, options, load_callback) {
    const { n, start } = trial.shown;
    const source = sourcesOf(trial)[0];
    const draw = ({ final_step: final = this.jsPsych.randomization.randomInt(0, n - 1) }) => {
      const path = [];
      const walk = new Walk({ n, start, record: (place) => path.push([null, place, source]) });
      for (const place of wayTo(final, walk, trial.options.min_steps)) walk.go(place, source);
      return { ...walk.answer, path };
    };
    const operate = (display, { path }) => {
      for (const [, place, by] of path) operateOne(display, place, by, trial.person.keys);
    };
    simulate(this, trial, mode, options, load_callback, { draw, operate });
  }

  /** What somebody did, for a replay: the steps that were kept. */
  static acts({ path }, { person }) {
    return path.map(([t, place, by]) => [t, (display) => operateOne(display, place, by, person.keys)]);
  }

  /** Answers of three people to one row, for the worked example. */
  static example(trial) {
    return threePictures(trial, say('example_row'));
  }
}

function sourcesOf({ options }) {
  return SOURCES[options.controls ?? 'all'];
}

/** Places from where a walk is to `final`; to and fro at its end until there are at least `least` steps. */
function wayTo(final, { place }, least = 0) {
  const direction = Math.sign(final - place);
  const places = Array.from(
    { length: Math.abs(final - place) },
    (_, index) => place + direction * (index + 1),
  );
  while (places.length < least) places.push(final === 0 ? 1 : final - 1, final);
  return places;
}

function operateOne(display, place, source, keys) {
  const slider = display.querySelector('#cs-place');
  const side = place < Number(display.querySelector('.cs').dataset.place) ? 'left' : 'right';
  if (source === 'slider') {
    slider.value = place;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  } else if (source === 'button') display.querySelector(`#cs-${side}`).click();
  else document.dispatchEvent(new KeyboardEvent('keydown', { key: keys[side], bubbles: true }));
}

/** The controls of one trial. */
class Stepper {
  #trial;
  #shell;
  #walk;
  #box;
  #picture;
  #place;
  #slider = null;
  #keys = new AbortController();

  constructor(display, trial, finish) {
    this.#trial = trial;
    this.#shell = new Shell(display, trial, {
      finish: (data) => {
        this.#keys.abort();
        finish(data);
      },
      missing: () => this.#missing(),
      answer: () => ({ ...this.#walk.answer, path: this.#shell.history.entries }),
      sentences: () => this.#sentences(),
      history_limit: MOST_STEPS_KEPT,
    });
    this.#walk = new Walk({
      ...trial.shown,
      record: (place, source) => this.#shell.history.add(place, source),
    });
  }

  show() {
    const { left_class: left, right_class: right, start } = this.#trial.shown;
    this.#picture = this.#shell.picture(start, { label: this.#text() });
    this.#place = element('p', { class: 'cs-place', role: 'status' }, this.#text());
    this.#box = element(
      'div',
      { class: 'cs', 'data-place': start },
      endsOf(left, right),
      this.#buttons(),
      this.#track(),
      this.#place,
      this.#keyHint(),
    );
    this.#shell.show(
      this.#picture,
      element('p', { class: 'trial-question' }, this.#shell.words('question')),
      this.#box,
    );
  }

  #has(source) {
    return sourcesOf(this.#trial).includes(source);
  }

  #buttons() {
    if (!this.#has('button')) return null;
    const { left_class: left, right_class: right } = this.#trial.shown;
    const step = (id, label, mark, by) =>
      element(
        'button',
        {
          type: 'button',
          id,
          class: 'button cs-step',
          'aria-label': label,
          on: { click: () => this.#go(this.#walk.place + by, 'button') },
        },
        mark,
      );
    return element(
      'div',
      { class: 'cs-steps' },
      step('cs-left', say('step_left', { name: inSentence(left) }), '←', -1),
      step('cs-right', say('step_right', { name: inSentence(right) }), '→', 1),
    );
  }

  #track() {
    if (!this.#has('slider')) return null;
    this.#slider = element('input', {
      id: 'cs-place',
      type: 'range',
      class: 'range',
      min: 0,
      max: this.#trial.shown.n - 1,
      step: 1,
      value: this.#trial.shown.start,
      'aria-label': say('row_slider'),
      'aria-valuetext': this.#text(),
      on: { input: () => this.#go(this.#slider.valueAsNumber, 'slider') },
    });
    return this.#slider;
  }

  #keyHint() {
    if (!this.#has('key')) return null;
    const { left, right } = this.#trial.person.keys;
    const { signal } = this.#keys;
    document.addEventListener('keydown', (event) => this.#key(event), { signal });
    const names = { left: left.toUpperCase(), right: right.toUpperCase() };
    return element('p', { class: 'cs-keys' }, say('row_keys', names));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { left, right } = this.#trial.person.keys;
    // By place on the keyboard as well: with a Hebrew or Russian layout the same key gives another letter.
    const is = (key) => event.key.toLowerCase() === key || event.code === `Key${key.toUpperCase()}`;
    if (is(left)) this.#go(this.#walk.place - 1, 'key');
    else if (is(right)) this.#go(this.#walk.place + 1, 'key');
  }

  #go(place, source) {
    if (this.#walk.go(place, source)) {
      this.#shell.swap(this.#picture, place, this.#text());
      this.#place.textContent = this.#text();
      this.#box.dataset.place = place;
      if (this.#slider) {
        this.#slider.value = place;
        this.#slider.setAttribute('aria-valuetext', this.#text());
      }
    }
    this.#shell.touched('place');
  }

  #text() {
    return say('row_picture', { number: this.#walk.place + 1, total: this.#trial.shown.n });
  }

  #missing() {
    const least = this.#trial.options.min_steps ?? 0;
    if (this.#walk.answer.n_steps >= least) return null;
    return { text: say('missing_steps', { least }), control: this.#box.querySelector('button, input') };
  }

  #sentences() {
    const { left_class: left, right_class: right, n } = this.#trial.shown;
    const names = { left: inSentence(left), right: inSentence(right) };
    const { direction, place } = this.#walk;
    const moved = {
      '-1': () => say('practice_row_left', { name: names.left }),
      1: () => say('practice_row_right', { name: names.right }),
    };
    return [
      say('practice_row_ends', names),
      ...(direction ? [moved[direction]()] : []),
      say('practice_row', { number: place + 1, total: n }),
      ...(this.#walk.atEnd ? [say('practice_row_end')] : []),
    ];
  }
}

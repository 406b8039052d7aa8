/**
 * jsPsych plugin `mixture-sliders`: one picture, one slider from the left class to the right class, one
 * slider for confidence, and "I cannot tell".
 *
 * A slider has no position until it is touched, and nothing can be submitted before both have one or "I
 * cannot tell" is chosen. After the published *infer* interface (Collins et al. 2023), whose untouched
 * sliders could not be told from answers of 50.
 */

import { element, endsOf } from '../dom.js';
import { say } from '../messages.js';
import { inSentence, mixtureText } from '../words.js';
import { DATA, PARAMETERS, Shell } from './shell.js';
import { simulate } from './simulating.js';

const SLIDERS = ['mixing', 'confidence'];
const START = 50;
/** Chosen to differ and to be no share that any example is mixed with; the page says that none is right. */
const EXAMPLE_ANSWERS = [{ mixing: 15, confidence: 85 }, { mixing: 60, confidence: 30 }, null];

const info = {
  name: 'mixture-sliders',
  version: '2.0.0',
  // `shown` holds the names `left_class` and `right_class` as they stand at the slider's ends, and `order`, the sliders
  // from top to bottom. `wording` holds `question` and `confidence_question`.
  parameters: PARAMETERS,
  // `payload` holds `cannot_tell`; `mixing_percent` (0 = all of the left class) and `confidence_percent`, null with
  // `cannot_tell`; `touched` and `n_moves` of both sliders; `slider_start`, null: none stands anywhere before it is
  // touched; `history` of `[t, slider, position]`.
  data: DATA,
};

export default class MixtureSlidersPlugin {
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
    new Sliders(display, trial, (data) => this.jsPsych.finishTrial(data)).show();
  }

  /** Answer by itself, for tests and rehearsals; see `simulating.js`. */
  simulate(trial, mode, options, load_callback) {
    const { randomization } = this.jsPsych;
    const draw = ({ cannot_tell: cannotTell = false }) => ({
      cannot_tell: cannotTell,
      mixing_percent: cannotTell ? null : randomization.randomInt(0, 100),
      confidence_percent: cannotTell ? null : randomization.randomInt(0, 100),
      touched: { mixing: !cannotTell, confidence: !cannotTell },
      n_moves: { mixing: Number(!cannotTell), confidence: Number(!cannotTell) },
      slider_start: null,
      history: [],
    });
    simulate(this, trial, mode, options, load_callback, { draw, operate });
  }

  /** What somebody did, for a replay: the settings that were kept, then the answer. */
  static acts(payload) {
    const settings = (payload.history ?? []).map(([t, name, value]) => [
      t,
      (display) => setSlider(display, name, value),
    ]);
    return [...settings, [null, (display) => operate(display, payload)]];
  }

  /** Answers of three people to one picture, for the worked example. */
  static example({ shown: { left_class: left, right_class: right } }) {
    const confidenceEnds = [say('not_sure'), say('sure')];
    return EXAMPLE_ANSWERS.map((answer) => {
      if (!answer) return { node: null, text: say('example_cannot_tell') };
      const node = element(
        'div',
        { class: 'example-sliders', 'aria-hidden': 'true' },
        still(answer.mixing, [left, right], 'ms-mixing'),
        still(answer.confidence, confidenceEnds, 'ms-confidence'),
      );
      const mixture = mixtureText(answer.mixing, left, right);
      return {
        node,
        text: say('example_sliders', { mixture, confidence: confidenceText(answer.confidence) }),
      };
    });
  }
}

function operate(display, payload) {
  if (payload.cannot_tell) {
    display.querySelector('#ms-cannot-tell').click();
    return;
  }
  for (const name of SLIDERS) setSlider(display, name, payload[`${name}_percent`]);
}

function setSlider(display, name, value) {
  const slider = display.querySelector(`#ms-${name}`);
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  slider.dispatchEvent(new Event('change', { bubbles: true }));
}

/** A slider to look at; the sentence beside it says the same. */
function still(value, ends, look) {
  const slider = element('input', { type: 'range', class: 'range', min: 0, max: 100, value, disabled: true });
  return element('div', { class: look }, slider, endsOf(...ends));
}

/** "72% sure". */
function confidenceText(percent) {
  return say('confidence', { percent: say('percent', { number: percent }) });
}

/** The controls of one trial. */
class Sliders {
  #trial;
  #shell;
  #sliders = {};
  #readings = {};
  #cannotTell;
  #moves = { mixing: 0, confidence: 0 };

  constructor(display, trial, finish) {
    this.#trial = trial;
    this.#shell = new Shell(display, trial, {
      finish,
      missing: () => this.#missing(),
      answer: () => this.#answer(),
      sentences: () => this.#sentences(),
    });
  }

  show() {
    const { left_class: left, right_class: right, order = SLIDERS } = this.#trial.shown;
    const ends = { mixing: [left, right], confidence: [say('not_sure'), say('sure')] };
    const questions = {
      mixing: this.#shell.words('question'),
      confidence: this.#shell.words('confidence_question'),
    };
    this.#shell.show(
      this.#shell.picture(0),
      ...order.map((name) => this.#slider(name, questions[name], ends[name])),
      this.#cannotTellBox(),
    );
    this.#reflect();
  }

  #slider(name, question, [leftEnd, rightEnd]) {
    const id = `ms-${name}`;
    // Seen only: the slider's aria-valuetext says the same to a screen reader.
    const reading = element('p', { class: 'slider-reading', 'aria-hidden': 'true' });
    const input = element('input', {
      id,
      type: 'range',
      min: 0,
      max: 100,
      step: 1,
      value: START,
      class: 'range',
      'data-untouched': true,
      on: {
        input: () => this.#touched(name),
        change: () => this.#moved(name),
        // A press exactly on the middle changes no value, so neither event above fires for it.
        click: () => this.#isTouched(name) || this.#moved(name),
        keydown: (event) => this.#keepMiddle(event, name),
      },
    });
    this.#sliders[name] = input;
    this.#readings[name] = reading;
    return element(
      'div',
      { class: `slider ${id}` },
      element('label', { for: id }, question),
      input,
      endsOf(leftEnd, rightEnd),
      reading,
    );
  }

  #cannotTellBox() {
    this.#cannotTell = element('input', {
      type: 'checkbox',
      id: 'ms-cannot-tell',
      'aria-describedby': 'ms-cannot-tell-hint',
      on: { change: () => this.#touched() },
    });
    const label = element('label', { for: 'ms-cannot-tell' }, this.#cannotTell, say('cannot_tell'));
    const hint = element('p', { id: 'ms-cannot-tell-hint' }, say('cannot_tell_hint'));
    return element('div', { class: 'ms-cannot-tell' }, label, hint);
  }

  #isTouched(name) {
    return this.#shell.usage.touched.has(name);
  }

  #touched(name) {
    this.#shell.touched(name);
    this.#reflect();
  }

  #moved(name) {
    this.#moves[name] += 1;
    this.#shell.history.add(name, this.#sliders[name].valueAsNumber);
    this.#touched(name);
  }

  /** Enter or Space on an untouched slider answers its middle, which no arrow key reaches in one step. */
  #keepMiddle(event, name) {
    if (!['Enter', ' '].includes(event.key) || this.#isTouched(name)) return;
    event.preventDefault();
    this.#moved(name);
  }

  /** Make the sliders say what they are at. */
  #reflect() {
    const cannotTell = this.#cannotTell.checked;
    for (const name of SLIDERS) {
      const slider = this.#sliders[name];
      const touched = this.#isTouched(name);
      const text = touched ? this.#text(name, slider.valueAsNumber) : say('not_set');
      slider.toggleAttribute('data-untouched', !touched);
      slider.disabled = cannotTell;
      slider.setAttribute('aria-valuetext', text);
      const hint = cannotTell ? say('not_needed') : say('set_hint');
      this.#readings[name].textContent = touched && !cannotTell ? text : hint;
      this.#readings[name].toggleAttribute('data-unset', !touched || cannotTell);
    }
  }

  #text(name, value) {
    const { left_class: left, right_class: right } = this.#trial.shown;
    return name === 'mixing' ? mixtureText(value, left, right) : confidenceText(value);
  }

  #missing() {
    if (this.#cannotTell.checked) return null;
    const lacking = SLIDERS.filter((name) => !this.#isTouched(name));
    if (!lacking.length) return null;
    const control = this.#sliders[lacking[0]];
    if (lacking.length === 2) return { text: say('missing_both'), control };
    return { text: say(lacking[0] === 'mixing' ? 'missing_mixing' : 'missing_confidence'), control };
  }

  #answer() {
    const cannotTell = this.#cannotTell.checked;
    const of = (value) => Object.fromEntries(SLIDERS.map((name) => [name, value(name)]));
    const percent = (name) => (cannotTell ? null : this.#sliders[name].valueAsNumber);
    return {
      cannot_tell: cannotTell,
      mixing_percent: percent('mixing'),
      confidence_percent: percent('confidence'),
      touched: of((name) => this.#isTouched(name)),
      n_moves: of((name) => this.#moves[name]),
      slider_start: null,
      history: this.#shell.history.entries,
    };
  }

  #sentences() {
    if (this.#cannotTell.checked) return [say('practice_cannot_tell'), say('practice_slider_keys')];
    return [this.#aboutMixing(), this.#aboutConfidence(), say('practice_slider_keys')];
  }

  #aboutMixing() {
    const { left_class: left, right_class: right } = this.#trial.shown;
    if (!this.#isTouched('mixing'))
      return say('practice_mixing_none', { left: inSentence(left), right: inSentence(right) });
    const value = this.#sliders.mixing.valueAsNumber;
    if (value === START) return say('practice_mixing_middle');
    const name = inSentence(value < START ? left : right);
    if (value === 0 || value === 100) return say('practice_mixing_end', { name });
    return say('practice_mixing_side', { name, reading: mixtureText(value, left, right) });
  }

  #aboutConfidence() {
    if (!this.#isTouched('confidence')) return say('practice_confidence_none');
    return say('practice_confidence', { reading: confidenceText(this.#sliders.confidence.valueAsNumber) });
  }
}

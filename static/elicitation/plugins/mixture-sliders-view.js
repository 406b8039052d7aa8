/**
 * What the plugin `mixture-sliders` shows and what it reads off: builds the controls once, keeps every word on the
 * screen in step with them, and hands over one complete answer. It knows nothing of jsPsych.
 */

import { confidenceText, enlargement, missing, mixtureText, Usage, withNames } from '../controls.js';
import { button, element, endsOf, focusOn, pictureBox } from '../dom.js';
import { messages } from '../messages.js';

/** From top to bottom. */
export const SLIDERS = ['mixing', 'confidence'];

const START = 50;
const PAGE_MARGIN_PX = 48;
const SCREEN_SHARE = 0.42;
const KEYS_THAT_ONLY_WALK = new Set(['Tab', 'Shift', 'Control', 'Alt', 'Meta', 'CapsLock']);

/** One trial on the screen. */
export class View {
  #display;
  #trial;
  #finish;
  #usage;
  #sliders = {};
  #readings = {};
  #image;
  #cannotTell;
  #continue;
  #status;
  #onResize = () => this.#fit();

  /**
   * @param {HTMLElement} display
   * @param {object} trial parameters of the plugin
   * @param {(data: object) => void} finish given the plugin's data, once
   */
  constructor(display, trial, finish) {
    this.#display = display;
    this.#trial = trial;
    this.#finish = finish;
  }

  show() {
    const heading = element('h1', { class: 'ms-title' }, this.#trial.title);
    this.#image = element('img', { class: 'ms-image', src: this.#trial.src, alt: messages.pictureAlt });
    this.#display.replaceChildren(
      element(
        'div',
        {
          class: 'ms',
          on: { pointerdown: (event) => this.#pointer(event), keydown: (event) => this.#key(event) },
        },
        heading,
        ...this.#questions(),
        this.#cannotTellBox(),
        this.#end(),
      ),
    );
    window.addEventListener('resize', this.#onResize);
    this.#fit();
    this.#usage = new Usage();
    this.#update();
    focusOn(heading);
  }

  #questions() {
    const { perspective, question, confidence_question, left_class: left, right_class: right } = this.#trial;
    const words = (text) => withNames(text, left, right);
    return [
      perspective && element('p', { class: 'ms-perspective' }, words(perspective)),
      pictureBox(this.#image),
      this.#slider('mixing', words(question), [left, right]),
      this.#slider('confidence', words(confidence_question), messages.confidenceEnds),
    ];
  }

  #cannotTellBox() {
    this.#cannotTell = element('input', {
      type: 'checkbox',
      id: 'ms-cannot-tell',
      'aria-describedby': 'ms-cannot-tell-hint',
      on: { change: () => this.#update() },
    });
    const label = element('label', { for: 'ms-cannot-tell' }, this.#cannotTell, messages.cannotTell);
    const hint = element('p', { id: 'ms-cannot-tell-hint' }, messages.cannotTellHint);
    return element('div', { class: 'ms-cannot-tell' }, label, hint);
  }

  #end() {
    this.#status = element('p', { id: 'ms-status', class: 'ms-status', role: 'status' });
    const attributes = { id: 'ms-continue', 'aria-describedby': 'ms-status' };
    this.#continue = button(this.#trial.button_label, () => this.#submit(), attributes);
    return element('div', { class: 'ms-end' }, this.#status, this.#continue);
  }

  #slider(name, question, [leftEnd, rightEnd]) {
    const id = `ms-${name}`;
    // Seen only: the slider's aria-valuetext says the same to a screen reader.
    const reading = element('p', { id: `${id}-reading`, class: 'ms-reading', 'aria-hidden': 'true' });
    const input = element('input', {
      id,
      type: 'range',
      min: 0,
      max: 100,
      step: 1,
      value: START,
      class: 'ms-range',
      'data-untouched': true,
      on: {
        input: () => this.#touched(name),
        change: () => this.#moved(name),
        // A press exactly on the middle changes no value, so neither event above fires for it.
        click: () => this.#usage.touched[name] || this.#moved(name),
        keydown: (event) => this.#keepMiddle(event, name),
      },
    });
    this.#sliders[name] = input;
    this.#readings[name] = reading;
    return element(
      'div',
      { class: `ms-question ms-${name}` },
      element('label', { for: id }, question),
      element('div', { class: 'ms-track' }, input),
      endsOf(leftEnd, rightEnd),
      reading,
    );
  }

  #touched(name) {
    this.#usage.touch(name);
    this.#update();
  }

  #moved(name) {
    this.#usage.move(name);
    this.#update();
  }

  /** Enter or Space on an untouched slider answers its middle, which no arrow key reaches in one step. */
  #keepMiddle(event, name) {
    if (!['Enter', ' '].includes(event.key) || this.#usage.touched[name]) return;
    event.preventDefault();
    this.#moved(name);
  }

  #pointer(event) {
    this.#usage.interacted(event.pointerType === 'mouse' ? 'mouse' : 'touch');
  }

  #key(event) {
    if (!KEYS_THAT_ONLY_WALK.has(event.key)) this.#usage.interacted('keyboard');
  }

  /** Make everything on the screen say what the controls are at. */
  #update() {
    const { left_class: left, right_class: right, on_reading: onReading } = this.#trial;
    const { touched } = this.#usage;
    const cannotTell = this.#cannotTell.checked;
    const words = { mixing: (value) => mixtureText(value, left, right), confidence: confidenceText };
    for (const name of SLIDERS) {
      const slider = this.#sliders[name];
      const text = touched[name] ? words[name](slider.valueAsNumber) : messages.notSet;
      slider.toggleAttribute('data-untouched', !touched[name]);
      slider.disabled = cannotTell;
      slider.setAttribute('aria-valuetext', text);
      const set = touched[name] && !cannotTell;
      const hint = cannotTell ? messages.cannotTellReading : messages.setHint;
      this.#readings[name].textContent = set ? text : hint;
      this.#readings[name].toggleAttribute('data-unset', !set);
    }
    const lacking = missing(touched, cannotTell);
    this.#continue.setAttribute('aria-disabled', String(lacking !== null));
    this.#status.classList.remove('ms-status-asked');
    this.#say(lacking ? messages.missing[lacking] : messages.ready);
    onReading?.({ ...this.#percents(), cannot_tell: cannotTell });
  }

  #say(text) {
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  #percents() {
    const { touched } = this.#usage;
    const value = (name) =>
      touched[name] && !this.#cannotTell.checked ? this.#sliders[name].valueAsNumber : null;
    return { mixing: value('mixing'), confidence: value('confidence') };
  }

  #fit() {
    const times = enlargementOf(this.#trial);
    this.#image.width = this.#trial.width * times;
    this.#image.height = this.#trial.height * times;
  }

  #submit() {
    const lacking = missing(this.#usage.touched, this.#cannotTell.checked);
    if (lacking) {
      this.#status.classList.add('ms-status-asked');
      this.#sliders[lacking === 'confidence' ? 'confidence' : 'mixing'].focus();
      return;
    }
    window.removeEventListener('resize', this.#onResize);
    const { mixing, confidence } = this.#percents();
    const rt = this.#usage.elapsed();
    this.#finish({
      cannot_tell: this.#cannotTell.checked,
      mixing_percent: mixing,
      confidence_percent: confidence,
      touched: this.#usage.touched,
      n_moves: this.#usage.moves,
      first_interaction_ms: this.#usage.firstInteraction ?? rt,
      input_method: this.#usage.method,
      viewport: viewport(),
      image_css_px: this.#image.width,
      rt,
    });
  }
}

/** Whole times that the picture of a trial is enlarged in this window. */
export function enlargementOf({ width, height, enlargement: wanted }) {
  const roomX = document.documentElement.clientWidth - PAGE_MARGIN_PX;
  return enlargement({ width, height, wanted, roomX, roomY: window.innerHeight * SCREEN_SHARE });
}

/** Width and height of the window in css pixels, and device pixels for each. */
export function viewport() {
  return [window.innerWidth, window.innerHeight, window.devicePixelRatio];
}

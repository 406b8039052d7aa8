/**
 * jsPsych plugin `mixture-sliders`: one picture, one slider from the left class to the right class, one
 * slider for confidence, and "I cannot tell".
 *
 * A slider has no position until it is touched, and nothing can be submitted before both have one or
 * "I cannot tell" is chosen. It neither loads pictures nor saves answers. After the published *infer*
 * interface (Collins et al. 2023), whose untouched sliders could not be told from answers of 50.
 */

import { confidenceText, enlargement, missing, mixtureText, Usage, withNames } from '../controls.js';
import { element, focusOn } from '../dom.js';
import { messages } from '../messages.js';

const { ParameterType } = globalThis.jsPsychModule;

const SLIDERS = ['mixing', 'confidence'];
const START = 50;
const PAGE_MARGIN_PX = 48;
const SCREEN_SHARE = 0.42;
const KEYS_THAT_ONLY_WALK = new Set(['Tab', 'Shift', 'Control', 'Alt', 'Meta', 'CapsLock']);

const info = {
  name: 'mixture-sliders',
  version: '1.0.0',
  parameters: {
    /** Object URL of the decoded picture. */
    src: { type: ParameterType.STRING, default: undefined },
    /** Native width of the picture in pixels. */
    width: { type: ParameterType.INT, default: undefined },
    /** Native height of the picture in pixels. */
    height: { type: ParameterType.INT, default: undefined },
    /** How often each pixel is repeated, whole; null takes the largest that fits about 320 css pixels and the screen. */
    enlargement: { type: ParameterType.INT, default: null },
    /** Name of the class at the left end, as shown. */
    left_class: { type: ParameterType.STRING, default: undefined },
    /** Name of the class at the right end, as shown. */
    right_class: { type: ParameterType.STRING, default: undefined },
    /** Heading, for example "Picture 3 of 32". */
    title: { type: ParameterType.STRING, default: undefined },
    /** How to look at the picture, in one sentence; null for none. Plain text; {left} and {right} are filled in. */
    perspective: { type: ParameterType.STRING, default: null },
    /** Question of the first slider. Plain text; {left} and {right} are filled in. */
    question: { type: ParameterType.STRING, default: undefined },
    /** Question of the second slider. Plain text; {left} and {right} are filled in. */
    confidence_question: { type: ParameterType.STRING, default: undefined },
    /** Label of the button that ends the trial. */
    button_label: { type: ParameterType.STRING, default: messages.next },
    /** Called after every change with the readings so far, `{mixing, confidence, cannot_tell}`; null for unset. */
    on_reading: { type: ParameterType.FUNCTION, default: null },
  },
  data: {
    /** True when the participant chose "I cannot tell"; both percents are then null. */
    cannot_tell: { type: ParameterType.BOOL },
    /** 0 = 100 % left class, 100 = 100 % right class, whole. */
    mixing_percent: { type: ParameterType.INT },
    /** 0 = not sure at all, 100 = completely sure, whole. */
    confidence_percent: { type: ParameterType.INT },
    /** Which sliders were given a position, `{mixing, confidence}`. */
    touched: { type: ParameterType.OBJECT },
    /** How often each slider was put somewhere, `{mixing, confidence}`. */
    n_moves: { type: ParameterType.OBJECT },
    /** Milliseconds from the picture's appearance to the first press or key. */
    first_interaction_ms: { type: ParameterType.INT },
    /** `mouse`, `touch`, `keyboard` or `mixed`. */
    input_method: { type: ParameterType.STRING },
    /** Width and height of the window in css pixels, and device pixels for each. */
    viewport: { type: ParameterType.FLOAT, array: true },
    /** Width of the picture on the screen in css pixels: a whole multiple of its native width. */
    image_css_px: { type: ParameterType.INT },
    /** Milliseconds from the picture's appearance to the end of the trial. */
    rt: { type: ParameterType.INT },
  },
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
    const view = new View(display, trial, (data) => this.jsPsych.finishTrial(data));
    view.show();
  }

  /**
   * Answer by itself, for tests and rehearsals.
   *
   * @param {object} trial
   * @param {'data-only'|'visual'} mode
   * @param {{data?: object}} options `data` overrides what is drawn
   * @param {() => void} load_callback
   */
  simulate(trial, mode, options, load_callback) {
    const data = this.#simulatedData(trial, options);
    if (mode === 'data-only') {
      load_callback();
      this.jsPsych.finishTrial(data);
      return;
    }
    const display = this.jsPsych.getDisplayElement();
    this.trial(display, trial);
    load_callback();
    this.#operate(display, data);
  }

  #simulatedData(trial, options) {
    const { randomization, pluginAPI } = this.jsPsych;
    const rt = randomization.sampleExGaussian(6000, 1500, 1 / 3000, true);
    const defaults = {
      cannot_tell: false,
      mixing_percent: randomization.randomInt(0, 100),
      confidence_percent: randomization.randomInt(0, 100),
      touched: { mixing: true, confidence: true },
      n_moves: { mixing: 1, confidence: 1 },
      first_interaction_ms: Math.round(rt / 3),
      input_method: 'mouse',
      viewport: viewport(),
      image_css_px: trial.width * enlargementOf(trial),
      rt,
    };
    const data = pluginAPI.mergeSimulationData(defaults, options);
    if (data.cannot_tell) {
      Object.assign(data, { mixing_percent: null, confidence_percent: null });
      Object.assign(data, { touched: { mixing: false, confidence: false }, n_moves: { mixing: 0, confidence: 0 } });
    }
    pluginAPI.ensureSimulationDataConsistency(trial, data);
    return data;
  }

  #operate(display, data) {
    const { pluginAPI } = this.jsPsych;
    const set = (name, value) => {
      const slider = display.querySelector(`#ms-${name}`);
      slider.value = value;
      slider.dispatchEvent(new Event('input', { bubbles: true }));
      slider.dispatchEvent(new Event('change', { bubbles: true }));
    };
    pluginAPI.setTimeout(() => {
      if (data.cannot_tell) display.querySelector('#ms-cannot-tell').click();
      else SLIDERS.forEach((name) => set(name, data[`${name}_percent`]));
    }, data.first_interaction_ms);
    pluginAPI.clickTarget(display.querySelector('#ms-continue'), data.rt);
  }
}

/** One trial on the screen. */
class View {
  #display;
  #trial;
  #finish;
  #usage;
  #sliders = {};
  #readings = {};
  #onResize = () => this.#fit();

  constructor(display, trial, finish) {
    this.#display = display;
    this.#trial = trial;
    this.#finish = finish;
  }

  show() {
    const { title, perspective, question, confidence_question: confidenceQuestion, left_class: left, right_class: right } = this.#trial;
    const heading = element('h1', { class: 'ms-title' }, title);
    this.image = element('img', { class: 'ms-image', src: this.#trial.src, alt: messages.pictureAlt });
    this.cannotTell = element('input', {
      type: 'checkbox',
      id: 'ms-cannot-tell',
      'aria-describedby': 'ms-cannot-tell-hint',
      on: { change: () => this.#update() },
    });
    this.button = element('button', { type: 'button', id: 'ms-continue', class: 'button button-primary', 'aria-describedby': 'ms-status', on: { click: () => this.#submit() } }, this.#trial.button_label);
    this.status = element('p', { id: 'ms-status', class: 'ms-status', role: 'status' });
    const root = element(
      'div',
      { class: 'ms', on: { pointerdown: (event) => this.#pointer(event), keydown: (event) => this.#key(event) } },
      heading,
      perspective && element('p', { class: 'ms-perspective' }, withNames(perspective, left, right)),
      element('div', { class: 'ms-picture' }, this.image),
      this.#slider('mixing', withNames(question, left, right), [left, right]),
      this.#slider('confidence', withNames(confidenceQuestion, left, right), messages.confidenceEnds),
      element(
        'div',
        { class: 'ms-cannot-tell' },
        element('label', { for: 'ms-cannot-tell' }, this.cannotTell, element('span', {}, messages.cannotTell)),
        element('p', { id: 'ms-cannot-tell-hint' }, messages.cannotTellHint),
      ),
      element('div', { class: 'ms-end' }, this.status, this.button),
    );
    this.#display.replaceChildren(root);
    window.addEventListener('resize', this.#onResize);
    this.#fit();
    this.#usage = new Usage();
    this.#update();
    focusOn(heading);
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
      element('div', { class: 'ms-ends', 'aria-hidden': 'true' }, element('span', {}, leftEnd), element('span', {}, rightEnd)),
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
    const cannotTell = this.cannotTell.checked;
    const words = { mixing: (value) => mixtureText(value, left, right), confidence: confidenceText };
    for (const name of SLIDERS) {
      const slider = this.#sliders[name];
      const text = touched[name] ? words[name](slider.valueAsNumber) : messages.notSet;
      slider.toggleAttribute('data-untouched', !touched[name]);
      slider.disabled = cannotTell;
      slider.setAttribute('aria-valuetext', text);
      this.#readings[name].textContent = cannotTell ? messages.cannotTellReading : touched[name] ? text : messages.setHint;
      this.#readings[name].toggleAttribute('data-unset', cannotTell || !touched[name]);
    }
    const lacking = missing(touched, cannotTell);
    this.button.setAttribute('aria-disabled', String(lacking !== null));
    this.status.classList.remove('ms-status-asked');
    this.#say(lacking ? messages.missing[lacking] : messages.ready);
    onReading?.({ ...this.#percents(), cannot_tell: cannotTell });
  }

  #say(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  #percents() {
    const { touched } = this.#usage;
    const value = (name) => (touched[name] && !this.cannotTell.checked ? this.#sliders[name].valueAsNumber : null);
    return { mixing: value('mixing'), confidence: value('confidence') };
  }

  #fit() {
    const times = enlargementOf(this.#trial);
    this.image.width = this.#trial.width * times;
    this.image.height = this.#trial.height * times;
  }

  #submit() {
    const lacking = missing(this.#usage.touched, this.cannotTell.checked);
    if (lacking) {
      this.status.classList.add('ms-status-asked');
      this.#sliders[lacking === 'confidence' ? 'confidence' : 'mixing'].focus();
      return;
    }
    window.removeEventListener('resize', this.#onResize);
    const { mixing, confidence } = this.#percents();
    const rt = this.#usage.elapsed();
    this.#finish({
      cannot_tell: this.cannotTell.checked,
      mixing_percent: mixing,
      confidence_percent: confidence,
      touched: this.#usage.touched,
      n_moves: this.#usage.moves,
      first_interaction_ms: this.#usage.firstInteraction ?? rt,
      input_method: this.#usage.method,
      viewport: viewport(),
      image_css_px: this.image.width,
      rt,
    });
  }
}

function enlargementOf({ width, height, enlargement: wanted }) {
  const roomX = document.documentElement.clientWidth - PAGE_MARGIN_PX;
  return enlargement({ width, height, wanted, roomX, roomY: window.innerHeight * SCREEN_SHARE });
}

function viewport() {
  return [window.innerWidth, window.innerHeight, window.devicePixelRatio];
}

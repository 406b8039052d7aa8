/**
 * jsPsych plugin `mixture-sliders`: one picture, one slider from the left class to the right class, one
 * slider for confidence, and "I cannot tell".
 *
 * A slider has no position until it is touched, and nothing can be submitted before both have one or
 * "I cannot tell" is chosen. It neither loads pictures nor saves answers. After the published *infer*
 * interface (Collins et al. 2023), whose untouched sliders could not be told from answers of 50.
 */

import { messages } from '../messages.js';
import { enlargementOf, SLIDERS, View, viewport } from './mixture-sliders-view.js';

const { ParameterType } = globalThis.jsPsychModule;

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
      Object.assign(data, {
        touched: { mixing: false, confidence: false },
        n_moves: { mixing: 0, confidence: 0 },
      });
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

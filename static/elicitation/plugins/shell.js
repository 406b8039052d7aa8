/**
 * What all plugins share: heading, perspective, picture, status line and Continue around the plugin's own
 * controls, and the fields that every answer has. A plugin says what is missing and what the answer is; the
 * shell does the rest.
 *
 *     class MyPlugin {  // the default of its module
 *       static info = { name: 'my-plugin', version: '1.0.0', parameters: PARAMETERS, data: DATA };
 *       constructor(jsPsych) { this.jsPsych = jsPsych; }
 *       trial(display, trial) {
 *         const shell = new Shell(display, trial, {
 *           finish: (data) => this.jsPsych.finishTrial(data),
 *           missing: () => (input.value ? null : { text: say('my_missing'), control: input }),
 *           answer: () => ({ value: input.value }),
 *           sentences: () => [say('my_reading', { value: input.value })],
 *         });
 *         const input = element('input', { id: 'my-input', on: { input: () => shell.touched('value') } });
 *         shell.show(shell.picture(0), input);
 *       }
 *       simulate(trial, mode, options, load_callback) {  // with `simulate` of simulating.js
 *         simulate(this, trial, mode, options, load_callback, { draw, operate });
 *       }
 *       static example(trial) { return [{ node, text }, …]; }  // optional: three answers, for the worked example
 *       static acts(payload, trial) { return [[t, (display) => …], …]; }  // optional: an answer step by step, for a replay
 *     }
 *
 * It neither loads pictures nor saves answers.
 */

import { button, element, focusOn } from '../dom.js';
import { Exposure } from '../exposure.js';
import { say } from '../messages.js';
import { paint, paintMask, possibleResampling, seedOf, take } from '../render.js';
import { History, Usage, viewport } from '../usage.js';
import { withNames } from '../words.js';
import { pictureBox, sizeIn } from './picture.js';

const { ParameterType } = globalThis.jsPsychModule;

const KEYS_THAT_ONLY_WALK = new Set(['Tab', 'Shift', 'Control', 'Alt', 'AltGraph', 'Meta', 'CapsLock']);

/** The parameters that `steps.js` gives to every plugin. */
export const PARAMETERS = {
  /** The pictures in the order shown, `{src, width, height, image}`: object URL, native size, decoded element. */
  pictures: { type: ParameterType.OBJECT, array: true, default: undefined },
  /** What the server says about this trial: names of classes, order, start. */
  shown: { type: ParameterType.OBJECT, default: {} },
  /** What stays the same for this participant. */
  person: { type: ParameterType.OBJECT, default: {} },
  /** The study's options of this interface. */
  options: { type: ParameterType.OBJECT, default: {} },
  /** The study's words by name, plain text; {left} and {right} are filled in. */
  wording: { type: ParameterType.OBJECT, default: {} },
  /** `{enlargement, pixels, resampling, exposure_ms}`. */
  display: { type: ParameterType.OBJECT, default: {} },
  /** True where the study keeps times and focus events. */
  timing: { type: ParameterType.BOOL, default: false },
  /** Heading, for example "Picture 3 of 32". */
  title: { type: ParameterType.STRING, default: '' },
  /** Label of the button that ends the trial. */
  button_label: { type: ParameterType.STRING, default: '' },
  /** Called after every change with sentences about the controls, for practice. */
  on_reading: { type: ParameterType.FUNCTION, default: null },
};

/** What every plugin hands over. */
export const DATA = {
  /** The answer as it is sent: the plugin's fields and those that every answer has. */
  payload: { type: ParameterType.OBJECT },
  /** Milliseconds from the picture's appearance to the end of the trial. */
  rt: { type: ParameterType.INT },
};

/** One trial on the screen. */
export class Shell {
  #display;
  #trial;
  #plugin;
  #pictures = new Map();
  #exposure = null;
  #showButton = null;
  #failed = false;
  #resampling;
  #continue;
  #status;
  #listeners = new AbortController();
  #refitting = null;
  /** @type {Usage} which controls were touched, with what, and how the window was left */
  usage = new Usage();
  /** @type {History} `history.add('confidence', 40)`; its `entries` are `[t, …]`, t null where times are not kept */
  history;

  /**
   * @param {HTMLElement} display_element emptied by jsPsych
   * @param {object} trial values of `PARAMETERS`
   * @param {object} plugin
   * @param {(data: {payload: object, rt: number}) => void} plugin.finish called once
   * @param {() => ({text: string, control?: HTMLElement}|null)} plugin.missing what keeps the answer from being
   *   complete, in words, and where to put it right; null when it is complete
   * @param {() => object} plugin.answer the plugin's own fields of the payload
   * @param {() => string[]} [plugin.sentences] what the controls are at, for practice; about the controls only
   * @param {number} [plugin.history_limit] how many entries of `history` are kept
   */
  constructor(display_element, trial, { finish, missing, answer, sentences = () => [], history_limit }) {
    this.#display = display_element;
    this.#trial = trial;
    this.#plugin = { finish, missing, answer, sentences };
    this.#resampling = possibleResampling(trial.display.resampling ?? 'nearest');
    this.history = new History({
      time: trial.timing ? () => this.usage.elapsed() : null,
      limit: history_limit,
    });
  }

  /**
   * Put the trial on the screen: heading, perspective, `children`, status and Continue.
   *
   * A picture box among the children stands beside the others where there is room, above them where there is not.
   *
   * @param {...(HTMLElement|null)} children
   */
  show(...children) {
    const given = children.filter(Boolean);
    const beside = given.filter((child) => this.#pictures.has(child));
    const controls = given.filter((child) => !this.#pictures.has(child));
    const heading = element('h1', { class: 'trial-title' }, this.#trial.title);
    const on = { pointerdown: (event) => this.#pointer(event) };
    this.#display.replaceChildren(
      element(
        'div',
        { class: 'trial', on },
        heading,
        this.#perspective(),
        element(
          'div',
          { class: 'trial-body' },
          ...beside,
          element('div', { class: 'trial-controls' }, ...controls, this.#end()),
        ),
      ),
    );
    this.#listen();
    this.usage.start();
    this.update();
    focusOn(heading);
  }

  /** The study's wording `name` with the class names of this trial filled in; empty when the study has none. */
  words(name) {
    const { wording, shown } = this.#trial;
    return withNames(wording[name] ?? '', shown.left_class ?? '', shown.right_class ?? '');
  }

  /**
   * A box with the picture `index` of `pictures`, enlarged as the study says, kept at its size when the window changes.
   *
   * @param {number} index
   * @param {object} [room]
   * @param {number} [room.across] how many stand side by side where the window decides their size
   * @param {number} [room.comfortable] css pixels it may take where the window decides its size
   * @param {number} [room.frame] css pixels around it
   * @param {string|null} [room.label] for screen readers; null where an element around it has the name
   * @returns {HTMLElement}
   */
  picture(index, { label = say('picture_alt'), ...room } = {}) {
    const { box, canvas } = pictureBox(label);
    this.#pictures.set(box, { canvas, index, room });
    if (this.#trial.display.exposure_ms != null) this.#cover(box);
    this.#paint(box);
    return box;
  }

  /**
   * Show another picture in the same place.
   *
   * @param {HTMLElement} box from `picture`
   * @param {number} index
   * @param {string} [label] for screen readers
   */
  swap(box, index, label) {
    const place = this.#pictures.get(box);
    place.index = index;
    if (label) place.canvas.setAttribute('aria-label', label);
    this.#paint(box);
  }

  /** Something was set: the control `name` of the plugin, if it has several. */
  touched(name) {
    this.usage.touch(name);
    this.update();
  }

  /** Make status, Continue and practice say what the controls are at. */
  update() {
    const lacking = this.#lacking();
    this.#continue.setAttribute('aria-disabled', String(lacking !== null));
    this.#status.classList.remove('trial-status-asked');
    const text = lacking?.text ?? say('ready');
    if (this.#status.textContent !== text) this.#status.textContent = text;
    this.#trial.on_reading?.(this.#plugin.sentences());
  }

  #perspective() {
    const text = this.words('perspective');
    return text ? element('p', { class: 'trial-perspective' }, text) : null;
  }

  #end() {
    this.#status = element('p', { id: 'trial-status', class: 'trial-status', role: 'status' });
    const attributes = { id: 'trial-continue', 'aria-describedby': 'trial-status' };
    this.#continue = button(this.#trial.button_label || say('next'), () => this.#submit(), attributes);
    return element('div', { class: 'trial-end' }, this.#status, this.#continue);
  }

  #listen() {
    const { signal } = this.#listeners;
    window.addEventListener('resize', () => this.#refit(), { signal });
    window.addEventListener('blur', () => this.usage.blurred(), { signal });
    const hiding = () => this.usage.visibility(document.visibilityState === 'hidden');
    document.addEventListener('visibilitychange', hiding, { signal });
    // Before the plugin's own listeners, wherever the focus is.
    document.addEventListener('keydown', (event) => this.#key(event), { capture: true, signal });
  }

  #pointer(event) {
    this.usage.interacted(event.pointerType === 'mouse' ? 'mouse' : 'touch');
  }

  #key(event) {
    if (!KEYS_THAT_ONLY_WALK.has(event.key)) this.usage.interacted('keyboard');
  }

  #refit() {
    cancelAnimationFrame(this.#refitting);
    this.#refitting = requestAnimationFrame(() => {
      for (const box of this.#pictures.keys()) this.#paint(box);
    });
  }

  /** With a limited exposure the participant asks for the picture, so that nobody misses it. */
  #cover(box) {
    const { canvas } = this.#pictures.get(box);
    this.#showButton = button(say('show_picture'), () => this.#expose(), { class: 'button picture-show' });
    box.classList.add('picture-brief');
    box.append(this.#showButton);
    this.#exposure = new Exposure({
      ms: this.#trial.display.exposure_ms,
      on: () => {
        this.#paint(box);
        this.usage.start();
      },
      off: () => {
        canvas.setAttribute('aria-label', say('picture_covered'));
        this.#paint(box);
      },
    });
  }

  #expose() {
    this.#showButton.remove();
    this.#exposure.start();
    this.update();
    focusOn(this.#display.querySelector('.trial-title'));
  }

  #paint(box) {
    const place = this.#pictures.get(box);
    const { canvas, index, room } = place;
    const picture = this.#trial.pictures[index];
    const size = sizeIn(this.#display, picture, this.#trial.display, room);
    place.size = size;
    try {
      if (!this.#exposure || this.#exposure.showing) paint(canvas, picture, size, this.#resampling);
      else if (!this.#exposure.started || this.#exposure.measured === null) take(canvas, size);
      else paintMask(canvas, picture, size, seedOf(this.#trial.title));
    } catch {
      this.#failed = true;
      take(canvas, size);
    }
  }

  #lacking() {
    if (this.#exposure && !this.#exposure.started)
      return { text: say('show_first'), control: this.#showButton };
    return this.#plugin.missing();
  }

  #submit() {
    const lacking = this.#lacking();
    if (lacking) {
      this.#status.classList.add('trial-status-asked');
      lacking.control?.focus();
      return;
    }
    const rt = this.usage.elapsed();
    const payload = { ...this.#plugin.answer(), ...this.#common(rt) };
    this.#listeners.abort();
    this.#exposure?.end();
    this.#plugin.finish({ payload, rt });
  }

  #common(rt) {
    const { timing } = this.#trial;
    const { size } = this.#pictures.values().next().value ?? {};
    if (timing) this.usage.visibility(false);
    return {
      input_method: this.usage.method,
      viewport: viewport(),
      image_css_px: size && Math.round(size.cssWidth * 100) / 100,
      image_device_px: size?.deviceWidth,
      enlargement: size?.times,
      resampling: this.#resampling,
      exposure_ms: this.#exposure?.measured ?? null,
      ...(this.#failed && { image_load_error: true }),
      ...(timing && {
        first_interaction_ms: this.usage.firstInteraction ?? rt,
        blur_count: this.usage.blurCount,
        hidden_ms: this.usage.hiddenMs,
      }),
    };
  }
}

/**
 * jsPsych plugin `more-of`, of a toy interface: one picture and a button for each of its two classes.
 */

import { button, element } from '../dom.js';
import { DATA, PARAMETERS, Shell } from './shell.js';
import { simulate } from './simulating.js';

const SIDES = ['left', 'right'];

const info = {
  name: 'more-of',
  version: '1.0.0',
  // `shown` holds the names `left_class` and `right_class`; `person` holds `upper`, the side whose button is above.
  parameters: PARAMETERS,
  // `payload` holds `side`, left or right.
  data: DATA,
};

export default class MoreOfPlugin {
  static info = info;

  /** @param {object} jsPsych the running instance */
  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  trial(display, trial) {
    let side = null;
    const choose = (chosen) => {
      side = chosen;
      buttons.forEach((one) => one.setAttribute('aria-pressed', String(one.id === `mo-${chosen}`)));
      shell.touched('side');
    };
    const order = trial.person.upper === 'right' ? [...SIDES].reverse() : SIDES;
    const buttons = order.map((one) =>
      button(trial.shown[`${one}_class`], () => choose(one), { id: `mo-${one}`, 'aria-pressed': 'false' }),
    );
    const shell = new Shell(display, trial, {
      finish: (data) => this.jsPsych.finishTrial(data),
      missing: () => (side ? null : { text: shell.words('question'), control: buttons[0] }),
      answer: () => ({ side }),
    });
    shell.show(shell.picture(0), element('p', { class: 'question-text' }, shell.words('question')), ...buttons);
  }

  simulate(trial, mode, options, load_callback) {
    const draw = ({ side = this.jsPsych.randomization.sampleWithoutReplacement(SIDES, 1)[0] }) => ({ side });
    const operate = (display, { side }) => display.querySelector(`#mo-${side}`).click();
    simulate(this, trial, mode, options, load_callback, { draw, operate });
  }
}

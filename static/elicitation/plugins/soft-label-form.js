/**
 * jsPsych plugin `soft-label-form`: what a picture most probably is, what else it could be, how probable each is,
 * and what it is definitely not.
 *
 * Up to 12 classes are listed, more are searched for. What contradicts itself cannot be submitted: a class in one
 * place is not to be had in another, and both percents come to at most 100. After the published *soft label* interface
 * (Collins et al. 2023), whose answers held all of these contradictions.
 */

import { element } from '../dom.js';
import { say } from '../messages.js';
import { inSentence } from '../words.js';
import { ClassList, ClassSearch } from './class-choices.js';
import { Choice, SHOWN_AT_ONCE } from './classes.js';
import { PercentField } from './percent-field.js';
import { DATA, PARAMETERS, Shell } from './shell.js';
import { simulate } from './simulating.js';

const NONE = 'none';
/** Chosen to differ; the page says that none is right. */
const EXAMPLE_ANSWERS = [[70, 20], [55, 45], [95]];

const info = {
  name: 'soft-label-form',
  version: '1.0.0',
  // `person` holds `classes`, `[{id, name}]` in the participant's order. `wording` holds `question`,
  // `percent_question`, `second_question`, `second_percent_question` and `excluded_question`.
  parameters: PARAMETERS,
  // `payload` holds `most_probable` (a class's id) and `percent`; `second` and `second_percent`, both null for no
  // alternative; `excluded` ids; `edits`, how often something was changed; `warnings_shown`, how often the form said
  // that something does not fit together.
  data: DATA,
};

export default class SoftLabelFormPlugin {
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
    new Form(display, trial, (data) => this.jsPsych.finishTrial(data)).show();
  }

  /** Answer by itself, for tests and rehearsals; see `simulating.js`. */
  simulate(trial, mode, options, load_callback) {
    const { randomization } = this.jsPsych;
    const draw = () => {
      const [most, second, ...others] = randomization.shuffle(trial.person.classes).map(({ id }) => id);
      const percent = randomization.randomInt(0, 100);
      return {
        most_probable: most,
        percent,
        second,
        second_percent: randomization.randomInt(0, Math.min(percent, 100 - percent)),
        excluded: others.slice(0, 1),
        edits: 4,
        warnings_shown: 0,
      };
    };
    const operate = (display, payload) => fillIn(display, trial.person.classes, payload);
    simulate(this, trial, mode, options, load_callback, { draw, operate });
  }

  /** What somebody did, for a replay: of a form only what it said in the end is kept. */
  static acts(payload, { person }) {
    return [[null, (display) => fillIn(display, person.classes, payload)]];
  }

  /** Answers of three people to one picture, for the worked example. */
  static example() {
    return EXAMPLE_ANSWERS.map(([percent, second]) => ({
      node: null,
      text:
        second === undefined
          ? say('example_form_none', { percent })
          : say('example_form', { percent, second }),
    }));
  }
}

/** Work the controls as a person does. */
function fillIn(display, classes, payload) {
  const choose = (place, id) => {
    const listed = display.querySelector(`#sl-${place}-${id}`);
    if (listed) return listed.click();
    const field = display.querySelector(`#sl-${place}`);
    field.value = classes.find((one) => one.id === id).name;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    return display.querySelector(`#sl-${place}-${id}`).click();
  };
  const set = (place, percent) => {
    const bar = display.querySelector(`#sl-${place}-percent`);
    bar.value = percent;
    bar.dispatchEvent(new Event('change', { bubbles: true }));
  };
  choose('most', payload.most_probable);
  set('most', payload.percent);
  choose('second', payload.second ?? NONE);
  if (payload.second !== null) set('second', payload.second_percent);
  for (const id of payload.excluded) choose('excluded', id);
}

/** The controls of one trial. */
class Form {
  #trial;
  #shell;
  #choice = new Choice();
  #lists = {};
  #percents = {};
  #notice = element('p', { class: 'sl-notice', role: 'status' });
  #edits = 0;
  #warnings = 0;

  constructor(display, trial, finish) {
    this.#trial = trial;
    this.#shell = new Shell(display, trial, {
      finish,
      missing: () => this.#missing(),
      answer: () => ({
        ...this.#choice.answer(),
        edits: this.#edits,
        warnings_shown: this.#warnings,
      }),
      sentences: () => this.#sentences(),
    });
  }

  show() {
    this.#percents = {
      percent: this.#percent('percent', 'sl-most-percent', 'percent_question'),
      secondPercent: this.#percent('secondPercent', 'sl-second-percent', 'second_percent_question'),
    };
    this.#shell.show(
      this.#shell.picture(0),
      this.#part('most', 'question', this.#box('percent')),
      this.#part('second', 'second_question', this.#box('secondPercent')),
      this.#part('excluded', 'excluded_question'),
      this.#notice,
    );
    this.#reflect();
  }

  get #areMany() {
    return this.#trial.person.classes.length > SHOWN_AT_ONCE;
  }

  #part(place, question, ...more) {
    const legend = this.#shell.words(question);
    const id = `sl-${place}`;
    const shared = {
      id,
      classes: this.#trial.person.classes,
      many: place === 'excluded',
      held: (one) => this.#held(one, place),
      changed: (one, chosen) => this.#changed(place, one, chosen),
    };
    // A list shows by its marks what was chosen in it; a search finds it again, and has to refuse it.
    const search = {
      label: say('class_search'),
      held: (one) => this.#held(one, null),
      refused: () => this.#warned(),
    };
    const others = place === 'second' ? [{ id: NONE, name: say('no_alternative') }] : [];
    const list = { others, refused: (one) => this.#refuse(one, place) };
    this.#lists[place] = this.#areMany
      ? new ClassSearch({ ...shared, ...search })
      : new ClassList({ ...shared, ...list });
    const none = this.#areMany && others.length ? this.#noneBox() : null;
    return element(
      'fieldset',
      { class: 'sl-part' },
      element('legend', {}, legend),
      this.#lists[place].node,
      none,
      ...more,
    );
  }

  /** "No alternative" beside a search field. */
  #noneBox() {
    const change = () => {
      this.#lists.second.clear();
      this.#lists.second.node.hidden = box.checked;
      this.#changed('second', NONE, box.checked);
    };
    const box = element('input', { type: 'checkbox', id: `sl-second-${NONE}`, on: { change } });
    return element('div', { class: 'co-list' }, element('label', {}, box, say('no_alternative')));
  }

  #percent(name, id, question) {
    return new PercentField({
      id,
      label: this.#shell.words(question),
      changed: (percent) => {
        this.#choice[name] = percent;
        this.#reflect(name);
      },
      settled: () => {
        this.#edits += 1;
        this.#countIfOver();
      },
      refused: () => this.#warned(say('percent_refused')),
    });
  }

  #box(name) {
    return element('div', { class: 'sl-percent', id: `sl-${name}` }, ...this.#percents[name].nodes);
  }

  #held(id, place) {
    const there = this.#choice.heldElsewhere(id, place);
    return there && say(`class_is_${there}`);
  }

  #refuse({ id, name }, place) {
    this.#warned(say('class_taken', { name: inSentence(name), reason: this.#held(id, place) }));
  }

  /** Something does not fit together; the caller may have said so itself. */
  #warned(text = '') {
    this.#warnings += 1;
    this.#notice.textContent = text;
  }

  #changed(place, id, chosen) {
    const choose = {
      most: () => this.#choice.chooseMost(chosen ? id : null),
      second: () => this.#choice.chooseSecond(chosen ? id : null),
      excluded: () => this.#choice.exclude(id, chosen),
    };
    choose[place]();
    this.#edits += 1;
    this.#reflect(place);
    this.#countIfOver();
    if (this.#areMany && chosen && id !== NONE) this.#afterSearch(place);
  }

  /** The search field is gone once one was found: go on where its percent is given. */
  #afterSearch(place) {
    if (place === 'most') this.#percents.percent.focus();
    if (place === 'second') this.#percents.secondPercent.focus();
  }

  /** The status line says that the percents do not fit; here it counts. */
  #countIfOver() {
    if (this.#choice.sum > 100) this.#warned();
    else this.#notice.textContent = '';
  }

  /** Make everything on the screen say what was chosen. */
  #reflect(name) {
    const { percent, secondPercent, second } = this.#choice;
    for (const list of Object.values(this.#lists)) list.refresh();
    this.#percents.percent.show(percent, percent !== null);
    this.#percents.secondPercent.show(secondPercent, secondPercent !== null);
    document.getElementById('sl-secondPercent').hidden = typeof second !== 'number';
    if (name) this.#shell.touched(name);
  }

  #missing() {
    const { most, second } = this.#lists;
    const { percent, secondPercent } = this.#percents;
    const what = this.#choice.missing;
    if (what === null) return null;
    const { control } = {
      most,
      percent,
      second,
      second_percent: secondPercent,
      sum: secondPercent,
      order: secondPercent,
    }[what];
    return { text: say(`missing_form_${what}`, { sum: this.#choice.sum }), control };
  }

  #sentences() {
    const { most, percent, second, secondPercent, excluded } = this.#choice;
    const name = (id) => inSentence(this.#trial.person.classes.find((one) => one.id === id).name);
    const shown = (value) => (value === null ? '?' : value);
    const said = [];
    if (most === null) said.push(say('practice_form_none'));
    else said.push(say('practice_form_most', { name: name(most), percent: shown(percent) }));
    if (second === NONE) said.push(say('practice_form_no_second'));
    else if (second !== null)
      said.push(say('practice_form_second', { name: name(second), percent: shown(secondPercent) }));
    if (excluded.size)
      said.push(say('practice_form_excluded', { names: [...excluded].map(name).join(', ') }));
    return [...said, say(this.#areMany ? 'practice_search_keys' : 'practice_form_keys')];
  }
}

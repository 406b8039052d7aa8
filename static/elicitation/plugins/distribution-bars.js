/**
 * jsPsych plugin `distribution-bars`: a whole soft label, one bar a class, linked so that they always come to 100.
 *
 * Up to 12 classes each have a bar from the start; with more, a bar is opened by searching for its class, and
 * "anything else" holds what is left. Each bar has a number field beside it. Nothing can be submitted before a bar was
 * set, nor while an opened one was not: where untouched bars stand is no answer.
 */

import { element } from '../dom.js';
import { say } from '../messages.js';
import { inSentence } from '../words.js';
import { removeButton } from './class-choices.js';
import { ClassPicker } from './class-picker.js';
import { SHOWN_AT_ONCE } from './classes.js';
import { Linked, split } from './linked.js';
import { PercentField } from './percent-field.js';
import { DATA, PARAMETERS, Shell } from './shell.js';
import { simulate } from './simulating.js';

const REST = 'rest';
/** Chosen to differ; the page says that none is right. */
const EXAMPLE_ANSWERS = [
  [70, 20, 10],
  [50, 50, 0],
  [5, 95, 0],
];

const info = {
  name: 'distribution-bars',
  version: '1.0.0',
  // `person` holds `classes`, `[{id, name}]` in the participant's order. `wording` holds `question`.
  parameters: PARAMETERS,
  // `payload` holds `percents`, a class's id → whole percent, for every bar; `rest_percent`, of anything else, 0 where
  // every class has a bar; `touched`, true; `n_changes`, how often a bar was set; `history` of `[t, id|'rest', percent]`.
  data: DATA,
};

export default class DistributionBarsPlugin {
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
    new Bars(display, trial, (data) => this.jsPsych.finishTrial(data)).show();
  }

  /** Answer by itself, for tests and rehearsals; see `simulating.js`. */
  simulate(trial, mode, options, load_callback) {
    const { classes } = trial.person;
    const draw = () => this.#drawn(classes);
    const operate = (display, payload) => setBars(display, classes, payload);
    simulate(this, trial, mode, options, load_callback, { draw, operate });
  }

  #drawn(classes) {
    const { randomization } = this.jsPsych;
    const searched = classes.length > SHOWN_AT_ONCE;
    const bars = searched ? randomization.sampleWithoutReplacement(classes, 2) : classes;
    const shares = split(
      100,
      [...bars, ...(searched ? [REST] : [])].map(() => Math.random()),
    );
    return {
      percents: Object.fromEntries(bars.map(({ id }, place) => [id, shares[place]])),
      rest_percent: searched ? shares.at(-1) : 0,
      touched: true,
      n_changes: bars.length,
      history: [],
    };
  }

  /** What somebody did, for a replay: the settings that were kept, then all bars. */
  static acts({ history, percents }, { person }) {
    const settings = (history ?? []).map(([t, id, percent]) => [t, { [id]: percent }]);
    return [...settings, [null, percents]].map(([t, set]) => [
      t,
      (display) => setBars(display, person.classes, { percents: set }),
    ]);
  }

  /** Answers of three people to one picture, for the worked example. */
  static example() {
    const things = [say('example_thing1'), say('example_thing2'), say('example_thing3')];
    return EXAMPLE_ANSWERS.map((shares) => {
      const said = shares.map((percent, place) => say('share_of', { percent, name: things[place] }));
      const node = element(
        'div',
        { 'aria-hidden': 'true' },
        ...shares.map((percent, place) => still(things[place], percent)),
      );
      return { node, text: say('example_bars', { shares: said.join(', ') }) };
    });
  }
}

/** A bar to look at; the sentence beside it says the same. */
function still(name, percent) {
  const bar = element('input', {
    type: 'range',
    class: 'pf-range',
    max: 100,
    value: percent,
    disabled: true,
  });
  bar.style.setProperty('--share', percent / 100);
  return element('div', { class: 'db-still' }, element('span', {}, name), bar, `${percent}%`);
}

/** Work the controls as a person does. */
function setBars(display, classes, { percents }) {
  for (const [id, percent] of Object.entries(percents)) {
    if (!display.querySelector(`#db-${id}`)) {
      const field = display.querySelector('#db-search');
      field.value = classes.find((one) => one.id === Number(id)).name;
      field.dispatchEvent(new Event('input', { bubbles: true }));
      display.querySelector(`#db-search-${id}`).click();
    }
    const bar = display.querySelector(`#db-${id}`);
    bar.value = percent;
    bar.dispatchEvent(new Event('change', { bubbles: true }));
  }
}

/** The controls of one trial. */
class Bars {
  #classes;
  #names;
  #shell;
  #linked;
  #fields = new Map();
  #rows = element('ul', { class: 'db-bars' });
  #summary = element('p', { class: 'db-summary', role: 'status' });
  #picker = null;
  #changes = 0;
  #latest = null;

  constructor(display, trial, finish) {
    this.#classes = trial.person.classes;
    this.#names = new Map(this.#classes.map(({ id, name }) => [id, inSentence(name)]));
    this.#names.set(REST, say('anything_else'));
    const searched = this.#classes.length > SHOWN_AT_ONCE;
    this.#linked = new Linked(searched ? [REST] : this.#classes.map(({ id }) => id));
    this.#shell = new Shell(display, trial, {
      finish,
      missing: () => this.#missing(),
      answer: () => this.#answer(),
      sentences: () => this.#sentences(),
    });
    if (searched) this.#picker = this.#search();
    else this.#classes.forEach((one) => this.#rows.append(this.#row(one)));
  }

  show() {
    const rest =
      this.#picker && element('div', { class: 'pf db-rest' }, ...this.#bar(REST, say('anything_else')));
    this.#summarise();
    this.#shell.show(
      this.#shell.picture(0),
      element(
        'fieldset',
        { class: 'db' },
        element('legend', {}, this.#shell.words('question')),
        this.#rows,
        this.#picker?.node,
        rest,
      ),
      this.#summary,
    );
    this.#reflect();
  }

  #search() {
    return new ClassPicker({
      id: 'db-search',
      label: say('class_search'),
      classes: this.#classes,
      refusal: (id) => this.#refusal(id),
      refused: () => {},
      choose: (one) => this.#open(one),
    });
  }

  /** The last class without a bar is what the bar of anything else stands for already. */
  #refusal(id) {
    if (this.#fields.has(id)) return say('class_has_bar');
    return this.#linked.names.length === this.#classes.length ? say('class_is_rest') : null;
  }

  #open(one) {
    this.#linked.add(one.id, REST);
    this.#rows.append(this.#row(one, () => this.#close(one.id)));
    this.#reflect();
    this.#shell.touched();
    this.#fields.get(one.id).focus();
  }

  #close(id) {
    this.#linked.remove(id, REST);
    this.#fields.get(id).control.closest('li').remove();
    this.#fields.delete(id);
    if (this.#latest === id) this.#latest = null;
    this.#reflect();
    this.#summarise();
    this.#shell.touched();
    this.#picker.input.focus();
  }

  #row({ id, name }, remove = null) {
    return element('li', { class: 'pf' }, ...this.#bar(id, name), remove && removeButton(name, remove));
  }

  #bar(id, label) {
    const field = new PercentField({
      id: `db-${id}`,
      label,
      changed: (percent) => this.#put(id, percent),
      settled: () => this.#settled(id),
      refused: () => this.#say(say('percent_refused')),
    });
    this.#fields.set(id, field);
    return field.nodes;
  }

  #put(id, percent) {
    this.#linked.put(id, percent);
    this.#latest = id;
    this.#reflect();
    this.#shell.touched(String(id));
  }

  #settled(id) {
    this.#changes += 1;
    this.#shell.history.add(id, this.#linked.get(id));
    this.#summarise();
  }

  /** Make every bar stand where it is. */
  #reflect() {
    for (const [id, field] of this.#fields) {
      field.show(this.#linked.get(id), this.#linked.isSet(id));
      field.disabled = this.#linked.names.length === 1;
    }
  }

  /** Say what was set once a change has ended: saying every step of it would be too much to listen to. */
  #summarise() {
    const set = this.#linked.names.filter((id) => this.#linked.isSet(id));
    if (!set.length) return this.#say(say('bars_none'));
    const shares = set.map((id) =>
      say('share_of', { percent: this.#linked.get(id), name: this.#names.get(id) }),
    );
    const rest = 100 - set.reduce((sum, id) => sum + this.#linked.get(id), 0);
    return this.#say(say('bars_now', { shares: shares.join(', '), rest }));
  }

  #say(text) {
    this.#summary.textContent = text;
  }

  #missing() {
    const opened = this.#linked.names.filter((id) => id !== REST);
    if (!opened.length) return { text: say('missing_search'), control: this.#picker.input };
    const unset = opened.filter((id) => !this.#linked.isSet(id));
    if (this.#picker && unset.length) {
      const text = say('missing_bar', { name: this.#names.get(unset[0]) });
      return { text, control: this.#fields.get(unset[0]).control };
    }
    if (this.#linked.touched) return null;
    return { text: say('missing_bars'), control: this.#fields.get(opened[0]).control };
  }

  #answer() {
    const bars = this.#linked.names.filter((id) => id !== REST);
    return {
      percents: Object.fromEntries(bars.map((id) => [id, this.#linked.get(id)])),
      rest_percent: this.#linked.get(REST) ?? 0,
      touched: this.#linked.touched,
      n_changes: this.#changes,
      history: this.#shell.history.entries,
    };
  }

  #sentences() {
    const keys = this.#picker ? [say('practice_search_keys')] : [];
    keys.push(say('practice_bars_keys'));
    if (this.#latest === null) return [say('practice_bars_none'), ...keys];
    const percent = this.#linked.get(this.#latest);
    const values = { name: this.#names.get(this.#latest), percent, rest: 100 - percent };
    return [say('practice_bar', values), ...keys];
  }
}

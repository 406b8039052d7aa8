/**
 * jsPsych plugin `select-shuffled-grid`: all pictures of a pair at once, in an order the server drew, of
 * which the participant chooses the one that shows as much of one class as of the other.
 *
 * A radio group with a roving tab stop: arrows go from picture to picture, Space, Enter, a press or a touch
 * chooses. After the published *select shuffled* interface (Collins et al. 2023), whose choice was marked by
 * a colour only.
 */

import { element } from '../dom.js';
import { say } from '../messages.js';
import { columnsFor, placeAfter } from './columns.js';
import { threePictures } from './examples.js';
import { DATA, PARAMETERS, Shell } from './shell.js';
import { simulate } from './simulating.js';

/** Css pixels of a picture in the grid where the window decides its size. */
const TILE_PX = 160;
/** What surrounds each picture: padding, border, the gap to the next and its part of the grid's own padding. */
const TILE_FRAME_PX = 22;
const NARROW_PX = 600;

const info = {
  name: 'select-shuffled-grid',
  version: '1.0.0',
  // `pictures` is the grid, row by row. `shown` holds `n` and the names `left_class` and `right_class`, as the question
  // names them. `wording` holds `question`.
  parameters: PARAMETERS,
  // `payload` holds `selected`, a place in the grid; `selection_history` of `[t, place]`; `n_changes`.
  data: DATA,
};

export default class SelectShuffledGridPlugin {
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
    new Grid(display, trial, (data) => this.jsPsych.finishTrial(data)).show();
  }

  /** Answer by itself, for tests and rehearsals; see `simulating.js`. */
  simulate(trial, mode, options, load_callback) {
    const { randomInt } = this.jsPsych.randomization;
    const draw = ({ selected = randomInt(0, trial.pictures.length - 1) }) => ({
      selected,
      selection_history: [[null, selected]],
      n_changes: 0,
    });
    const operate = (display, { selected }) => choose(display, selected);
    simulate(this, trial, mode, options, load_callback, { draw, operate });
  }

  /** What somebody did, for a replay: the choices that were kept, then the last one. */
  static acts({ selection_history: history, selected }) {
    return [...history, [null, selected]].map(([t, place]) => [t, (display) => choose(display, place)]);
  }

  /** Answers of three people to one grid, for the worked example. */
  static example(trial) {
    return threePictures(trial, say('example_grid'));
  }
}

function choose(display, place) {
  display.querySelectorAll('[role="radio"]')[place].click();
}

/** The controls of one trial. */
class Grid {
  #trial;
  #display;
  #shell;
  #tiles = [];
  #columns = 1;
  #selected = null;
  #changes = 0;

  constructor(display, trial, finish) {
    this.#trial = trial;
    this.#display = display;
    this.#shell = new Shell(display, trial, {
      finish,
      missing: () => this.#missing(),
      answer: () => ({
        selected: this.#selected,
        selection_history: this.#shell.history.entries,
        n_changes: this.#changes,
      }),
      sentences: () => this.#sentences(),
    });
  }

  show() {
    this.#tiles = this.#trial.pictures.map((_, index) => this.#tile(index));
    const grid = element(
      'div',
      {
        class: 'sg',
        role: 'radiogroup',
        'aria-labelledby': 'sg-question',
        on: { keydown: (event) => this.#key(event) },
      },
      ...this.#tiles,
    );
    this.#shell.show(
      element('p', { class: 'trial-question', id: 'sg-question' }, this.#shell.words('question')),
      grid,
    );
    // The pictures themselves change their size with the window, and some time after it.
    const resized = new ResizeObserver(() => this.#arrange(grid));
    for (const node of [grid, this.#tiles[0]]) resized.observe(node);
  }

  #arrange(grid) {
    const { columnGap, paddingLeft, paddingRight } = getComputedStyle(grid);
    const gap = parseFloat(columnGap);
    const width = grid.getBoundingClientRect().width - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const tile = this.#tiles[0].getBoundingClientRect().width;
    // Without a size it is not on the page any more.
    if (tile === 0) return;
    const room = Math.max(1, Math.floor((width + gap) / (tile + gap)));
    this.#columns = columnsFor(this.#tiles.length, room);
    grid.style.setProperty('--columns', this.#columns);
  }

  #tile(index) {
    const across = this.#display.clientWidth < NARROW_PX ? 3 : 4;
    const room = { across, comfortable: TILE_PX, frame: TILE_FRAME_PX, label: null };
    return element(
      'button',
      {
        type: 'button',
        class: 'sg-tile',
        role: 'radio',
        'aria-checked': 'false',
        'aria-label': say('grid_picture', { number: index + 1, total: this.#trial.pictures.length }),
        tabindex: index === 0 ? 0 : -1,
        on: { click: () => this.#choose(index) },
      },
      this.#shell.picture(index, room),
    );
  }

  #choose(index) {
    if (index !== this.#selected) {
      if (this.#selected !== null) this.#changes += 1;
      this.#selected = index;
      this.#shell.history.add(index);
      this.#tiles.forEach((tile, place) => tile.setAttribute('aria-checked', String(place === index)));
    }
    this.#stop(index);
    this.#shell.touched('picture');
  }

  /** The one tile that Tab reaches. */
  #stop(index) {
    this.#tiles.forEach((tile, place) => (tile.tabIndex = place === index ? 0 : -1));
    this.#tiles[index].focus();
  }

  #key(event) {
    const here = this.#tiles.indexOf(event.target);
    const place = placeAfter(event.key, here, { n: this.#tiles.length, columns: this.#columns });
    if (here < 0 || place === null) return;
    event.preventDefault();
    this.#stop(place);
  }

  #missing() {
    return this.#selected === null ? { text: say('missing_selection'), control: this.#tiles[0] } : null;
  }

  #sentences() {
    const chosen = { number: this.#selected + 1, total: this.#tiles.length };
    const state = this.#selected === null ? say('practice_grid_none') : say('practice_grid', chosen);
    return [state, say('practice_grid_keys')];
  }
}

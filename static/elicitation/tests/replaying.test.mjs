import assert from 'node:assert/strict';
import { test } from 'node:test';

import { replay } from '../replaying.js';

/** A plugin that notes what happens to it. */
function recorder({ acts } = {}) {
  const done = [];
  class Plugin {
    constructor(jsPsych) {
      this.jsPsych = jsPsych;
    }
    trial() {
      done.push('shown');
      done.continue = () => this.jsPsych.finishTrial({ payload: {}, rt: 1 });
    }
    simulate(_trial, mode, { data }) {
      done.push(`${mode} ${data.payload.place}`);
    }
  }
  if (acts) Plugin.acts = ({ path }) => path.map(([t, place]) => [t, () => done.push(place)]);
  return { Plugin, done };
}

const stage = { querySelector: () => null };

async function played(parts, answer, more = {}) {
  const waits = [];
  const wait = async (ms) => waits.push(ms);
  await replay({ Plugin: parts.Plugin, stage, values: {}, answer, finished: () => {}, wait, ...more });
  return waits;
}

test('an answer is acted out step by step, as fast as it was given but never slower than a person watches', async () => {
  const parts = recorder({ acts: true });
  const path = [
    [1000, 'a'],
    [1300, 'b'],
    [60_000, 'c'],
    [null, 'd'],
  ];
  const waits = await played(parts, { payload: { path }, rt: 61_000 });
  assert.deepEqual([...parts.done], ['shown', 'a', 'b', 'c', 'd']);
  assert.deepEqual(waits.slice(1), [1000, 300, 2000, 500]);
});

test('a trial without an answer is only shown', async () => {
  const parts = recorder({ acts: true });
  await played(parts, null);
  assert.deepEqual([...parts.done], ['shown']);
});

test('a plugin that tells no steps is set to the answer', async () => {
  const parts = recorder();
  await played(parts, { payload: { place: 7 }, rt: 900 });
  assert.deepEqual([...parts.done], ['visual 7']);
});

test('a picture that is shown for a moment is asked for first', async () => {
  const parts = recorder({ acts: true });
  const brief = { querySelector: () => ({ click: () => parts.done.push('asked') }) };
  await played(parts, { payload: { path: [[null, 'a']] }, rt: 900 }, { stage: brief });
  assert.deepEqual([...parts.done], ['shown', 'asked', 'a']);
});

test('whoever presses Continue goes on, and what the plugin hands over goes nowhere', async () => {
  const parts = recorder({ acts: true });
  const handed = [];
  await played(parts, null, { finished: (...data) => handed.push(data.length) });
  parts.done.continue();
  assert.deepEqual(handed, [0]);
});

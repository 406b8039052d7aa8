import assert from 'node:assert/strict';
import { test } from 'node:test';

import { History, Usage } from '../usage.js';

function clocked() {
  const clock = { now: 100 };
  return { clock, usage: new Usage(() => clock.now) };
}

test('the first interaction is counted from the picture’s appearance', () => {
  const { clock, usage } = clocked();
  clock.now = 350.4;
  usage.interacted('keyboard');
  clock.now = 500;
  usage.touch('mixing');
  assert.equal(usage.firstInteraction, 250);
  assert.deepEqual([...usage.touched], ['mixing']);
});

test('pressing the button that shows the picture is no interaction with it', () => {
  const { clock, usage } = clocked();
  usage.interacted('mouse');
  clock.now = 1000;
  usage.start();
  assert.equal(usage.firstInteraction, null);
  clock.now = 1200;
  usage.touch();
  assert.equal(usage.firstInteraction, 200);
  assert.equal(usage.elapsed(), 200);
  assert.equal(usage.method, 'mouse');
});

test('two ways of using the controls are mixed', () => {
  const { usage } = clocked();
  usage.interacted('keyboard');
  assert.equal(usage.method, 'keyboard');
  usage.interacted('touch');
  assert.equal(usage.method, 'mixed');
});

test('assistive technology that sends neither key nor press counts as keyboard', () => {
  const { usage } = clocked();
  usage.touch('confidence');
  assert.equal(usage.method, 'keyboard');
});

test('time with the page hidden adds up, and being shown without having been hidden adds none', () => {
  const { clock, usage } = clocked();
  usage.visibility(false);
  usage.visibility(true);
  clock.now += 300;
  usage.visibility(true);
  clock.now += 200;
  usage.visibility(false);
  assert.equal(usage.hiddenMs, 500);
  usage.visibility(true);
  clock.now += 50;
  usage.visibility(false);
  assert.equal(usage.hiddenMs, 550);
});

test('a history has times only where the study keeps them', () => {
  const timed = new History({ time: () => 12 });
  const untimed = new History({ time: null });
  timed.add('mixing', 40);
  untimed.add('mixing', 40);
  assert.deepEqual(timed.entries, [[12, 'mixing', 40]]);
  assert.deepEqual(untimed.entries, [[null, 'mixing', 40]]);
});

test('a history keeps its first entries and grows no further', () => {
  const history = new History({ time: null, limit: 3 });
  [1, 2, 3, 4].forEach((place) => history.add(place));
  assert.deepEqual(history.entries, [
    [null, 1],
    [null, 2],
    [null, 3],
  ]);
});

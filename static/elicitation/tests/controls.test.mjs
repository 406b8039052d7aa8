import assert from 'node:assert/strict';
import { test } from 'node:test';

import { enlargement, missing, mixtureText, Usage, withNames } from '../controls.js';

const desktop = { roomX: 1232, roomY: 400 };
const phone = { roomX: 342, roomY: 354 };

test('without a setting the picture takes the largest whole multiple of about 320 pixels', () => {
  assert.equal(enlargement({ width: 8, height: 8, wanted: null, ...desktop }), 40);
  assert.equal(enlargement({ width: 32, height: 32, wanted: null, ...desktop }), 10);
  assert.equal(enlargement({ width: 28, height: 28, wanted: null, ...phone }), 11);
  assert.equal(enlargement({ width: 32, height: 32, wanted: null, roomX: 1232, roomY: 200 }), 6);
});

test('the study’s own enlargement is kept unless the picture would be wider than the screen', () => {
  assert.equal(enlargement({ width: 32, height: 32, wanted: 4, ...desktop }), 4);
  assert.equal(enlargement({ width: 32, height: 32, wanted: 20, ...desktop }), 20);
  assert.equal(enlargement({ width: 32, height: 32, wanted: 20, ...phone }), 10);
});

test('a picture wider than the screen is still shown at its native size', () => {
  assert.equal(enlargement({ width: 500, height: 500, wanted: null, ...phone }), 1);
});

test('a position is said with the larger share first', () => {
  assert.equal(mixtureText(36, 'ship', 'cat'), '64 % ship, 36 % cat');
  assert.equal(mixtureText(64, 'ship', 'cat'), '64 % cat, 36 % ship');
  assert.equal(mixtureText(0, 'ship', 'cat'), '100 % ship, 0 % cat');
  assert.equal(mixtureText(50, 'ship', 'cat'), '50 % ship, 50 % cat');
});

test('a class that is a number is quoted in a sentence', () => {
  assert.equal(mixtureText(20, '3', '8'), '80 % “3”, 20 % “8”');
});

test('names in a question are taken as they are', () => {
  assert.equal(withNames('More {left} or more {right}?', 'a$&', '{left}'), 'More a$& or more {left}?');
});

test('an answer needs both sliders, or "I cannot tell" and neither', () => {
  assert.equal(missing({ mixing: false, confidence: false }, false), 'both');
  assert.equal(missing({ mixing: true, confidence: false }, false), 'confidence');
  assert.equal(missing({ mixing: false, confidence: true }, false), 'mixing');
  assert.equal(missing({ mixing: true, confidence: true }, false), null);
  assert.equal(missing({ mixing: false, confidence: false }, true), null);
});

test('how the controls were used is counted from the trial’s start', () => {
  let now = 100;
  const usage = new Usage(() => now);
  now = 350.4;
  usage.interacted('keyboard');
  now = 500;
  usage.move('mixing');
  usage.move('mixing');
  assert.equal(usage.firstInteraction, 250);
  assert.deepEqual(usage.moves, { mixing: 2, confidence: 0 });
  assert.deepEqual(usage.touched, { mixing: true, confidence: false });
  assert.equal(usage.method, 'keyboard');
  usage.interacted('mouse');
  assert.equal(usage.method, 'mixed');
});

test('assistive technology that sends neither key nor press counts as keyboard', () => {
  const usage = new Usage();
  usage.move('confidence');
  assert.equal(usage.method, 'keyboard');
  assert.ok(Number.isInteger(usage.firstInteraction));
});

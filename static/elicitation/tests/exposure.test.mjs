import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Exposure } from '../exposure.js';

/** A screen that paints when the test says so. */
function screen(ms) {
  const waiting = [];
  const seen = [];
  const exposure = new Exposure({
    ms,
    on: () => seen.push('picture'),
    off: () => seen.push('mask'),
    frame: (callback) => waiting.push(callback),
  });
  const paintAt = (time) => waiting.splice(0).forEach((callback) => callback(time));
  return { exposure, seen, paintAt, waiting };
}

test('the picture is covered in the frame nearest to the wanted time, and the time is measured', () => {
  const { exposure, seen, paintAt } = screen(50);
  exposure.start();
  assert.deepEqual(seen, []);
  for (const time of [1000, 1016.7, 1033.3]) paintAt(time);
  assert.deepEqual(seen, ['picture']);
  assert.ok(exposure.showing);
  paintAt(1049.9); // a hair before 50 ms: one more frame would make it 66
  assert.deepEqual(seen, ['picture', 'mask']);
  assert.equal(exposure.measured, 49.9);
  assert.ok(!exposure.showing);
});

test('a picture that stood longer because no frame came is measured as it was', () => {
  const { exposure, paintAt } = screen(50);
  exposure.start();
  paintAt(0);
  paintAt(16.7);
  paintAt(4000);
  assert.equal(exposure.measured, 4000);
});

test('asking twice shows the picture once', () => {
  const { exposure, seen, paintAt, waiting } = screen(50);
  exposure.start();
  exposure.start();
  assert.equal(waiting.length, 1);
  paintAt(0);
  paintAt(60);
  exposure.end();
  assert.deepEqual(seen, ['picture', 'mask']);
});

test('an answer during the exposure ends it, and what was seen until then counts', () => {
  const { exposure, seen, paintAt } = screen(500);
  exposure.start();
  paintAt(0);
  paintAt(100);
  exposure.end();
  paintAt(600);
  assert.deepEqual(seen, ['picture', 'mask']);
  assert.equal(exposure.measured, 100);
});

test('before it is asked for, nothing has been shown', () => {
  const { exposure } = screen(500);
  assert.equal(exposure.measured, null);
  assert.ok(!exposure.started && !exposure.showing);
});

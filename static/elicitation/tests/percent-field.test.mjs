import assert from 'node:assert/strict';
import { test } from 'node:test';

import { whole } from '../plugins/percent-field.js';

test('a whole number from 0 to 100 is a percent, with or without spaces', () => {
  assert.deepEqual(['0', '7', ' 42 ', '100', '007'].map(whole), [0, 7, 42, 100, 7]);
});

test('nothing else is', () => {
  const others = ['', ' ', '101', '-1', '+5', '3.5', '1e1', '5%', 'ten', '1 2', '0x1', '1000'];
  assert.deepEqual(
    others.map(whole),
    others.map(() => null),
  );
});

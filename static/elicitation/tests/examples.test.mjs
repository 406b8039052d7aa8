import assert from 'node:assert/strict';
import { test } from 'node:test';

import { examplePlaces } from '../plugins/examples.js';

for (let n = 3; n <= 21; n += 1) {
  test(`in a row of ${n} nobody stops in the middle, and neither does their mean`, () => {
    const places = examplePlaces(n);
    const middle = (n - 1) / 2;
    assert.equal(places.length, 3);
    assert.ok(places.every((place) => Number.isInteger(place) && place >= 0 && place < n));
    assert.ok(!places.includes(middle), `${places}`);
    assert.notEqual(places.reduce((sum, place) => sum + place, 0), 3 * middle, `${places}`);
  });
}

test('where there is room the three stop at different pictures', () => {
  for (let n = 4; n <= 21; n += 1) assert.equal(new Set(examplePlaces(n)).size, 3);
});

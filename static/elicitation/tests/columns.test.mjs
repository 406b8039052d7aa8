import assert from 'node:assert/strict';
import { test } from 'node:test';

import { columnsFor, placeAfter } from '../plugins/columns.js';

/** The lengths of the rows. */
function rows(n, room) {
  const columns = columnsFor(n, room);
  return Array.from({ length: Math.ceil(n / columns) }, (_, row) => Math.min(columns, n - row * columns));
}

test('eleven pictures never end with one alone where another number of columns fills the row', () => {
  assert.deepEqual(rows(11, 6), [6, 5]);
  assert.deepEqual(rows(11, 5), [4, 4, 3]);
  assert.deepEqual(rows(11, 4), [4, 4, 3]);
  assert.deepEqual(rows(11, 3), [3, 3, 3, 2]);
});

test('pictures that fit into one row stand in one, and where only one fits there is one column', () => {
  assert.deepEqual(rows(5, 5), [5]);
  assert.deepEqual(rows(3, 8), [3]);
  assert.deepEqual(rows(3, 1), [1, 1, 1]);
});

test('for every list and every room all stand in the room, with at most one row more than it asks for', () => {
  for (let n = 3; n <= 21; n += 1) {
    for (let room = 1; room <= 8; room += 1) {
      const columns = columnsFor(n, room);
      assert.ok(columns >= 1 && columns <= room);
      assert.ok(rows(n, room).length <= Math.ceil(n / room) + 1);
      const widest = Math.min(n, room);
      assert.ok(rows(n, room).at(-1) / columns >= (((n - 1) % widest) + 1) / widest);
    }
  }
});

test('arrows lead to the next picture in their direction, and not beyond the grid', () => {
  const grid = { n: 11, columns: 4 };
  const after = (key, here) => placeAfter(key, here, grid);
  assert.deepEqual([after('ArrowRight', 3), after('ArrowLeft', 4)], [4, 3]);
  assert.deepEqual([after('ArrowDown', 2), after('ArrowUp', 9)], [6, 5]);
  assert.deepEqual([after('Home', 6), after('End', 6)], [0, 10]);
  assert.deepEqual(
    [after('ArrowLeft', 0), after('ArrowUp', 3), after('ArrowDown', 7), after('ArrowRight', 10)],
    [0, 3, 7, 10],
  );
  assert.equal(after('Tab', 3), null);
});

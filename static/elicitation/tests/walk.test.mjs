import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Walk } from '../plugins/walk.js';

function walked(n, start, places, source = 'button') {
  const path = [];
  const walk = new Walk({ n, start, record: (place, by) => path.push([place, by]) });
  for (const place of places) walk.go(place, source);
  return { walk, path };
}

test('a walk that was never begun ends where it started', () => {
  assert.deepEqual(walked(11, 1, []).walk.answer, {
    start_step: 1,
    final_step: 1,
    n_steps: 0,
    n_reversals: 0,
    visited_min: 1,
    visited_max: 1,
    hit_bound: false,
  });
});

test('steps, turns and the places seen are counted', () => {
  const { walk, path } = walked(11, 1, [2, 3, 4, 3, 4]);
  const { final_step, n_steps, n_reversals, visited_min, visited_max } = walk.answer;
  assert.deepEqual([final_step, n_steps, n_reversals, visited_min, visited_max], [4, 5, 2, 1, 4]);
  assert.deepEqual(path.at(-1), [4, 'button']);
});

test('both ends of the row can be reached, and nothing lies beyond', () => {
  const { walk, path } = walked(3, 1, [0, -1, 1, 2, 3]);
  assert.equal(walk.place, 2);
  assert.deepEqual(
    path.map(([place]) => place),
    [0, 1, 2],
  );
  assert.deepEqual([walk.answer.hit_bound, walk.answer.visited_min, walk.answer.visited_max], [true, 0, 2]);
});

test('a slider that stays where it is makes no step', () => {
  const { walk, path } = walked(11, 5, [5, 9, 9], 'slider');
  assert.equal(walk.answer.n_steps, 1);
  assert.deepEqual(path, [[9, 'slider']]);
});

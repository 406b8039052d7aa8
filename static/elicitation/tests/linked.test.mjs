import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Linked, split } from '../plugins/linked.js';

const all = (linked) => linked.names.map((name) => linked.get(name));
const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);

/** Numbers that look random and are the same every time (a linear congruential generator). */
function numbers(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('what does not divide evenly goes to the largest remainders', () => {
  assert.deepEqual(split(100, [1, 1, 1]), [34, 33, 33]);
  assert.deepEqual(split(10, [55, 25, 20]), [6, 2, 2]);
  assert.deepEqual(split(7, [0, 1, 3]), [0, 2, 5]);
});

test('weights of nothing but zeros share evenly', () => {
  assert.deepEqual(split(5, [0, 0]), [3, 2]);
  assert.deepEqual(split(0, [0, 0]), [0, 0]);
  assert.deepEqual(split(3, []), []);
});

test('a weight of zero gets nothing beside one that is not', () => {
  assert.deepEqual(split(100, [0, 1, 0]), [0, 100, 0]);
});

test('at first every class has the same, and none is set', () => {
  const linked = new Linked(['a', 'b', 'c']);
  assert.deepEqual(all(linked), [34, 33, 33]);
  assert.equal(linked.touched, false);
});

test('those not set give way before those set', () => {
  const linked = new Linked(['a', 'b', 'c', 'd']);
  linked.put('a', 60);
  assert.deepEqual(all(linked), [60, 14, 13, 13]);
  linked.put('b', 30);
  assert.deepEqual(all(linked), [60, 30, 5, 5]);
  linked.put('c', 10);
  assert.deepEqual(all(linked), [60, 30, 10, 0]);
});

test('those set give way in proportion once nothing else is left', () => {
  const linked = new Linked(['a', 'b', 'c']);
  linked.put('a', 60);
  linked.put('b', 30);
  linked.put('c', 40);
  assert.deepEqual(all(linked), [40, 20, 40]);
});

test('going to 100 and back in one go leaves the others as they were', () => {
  const linked = new Linked(['a', 'b', 'c']);
  linked.put('b', 50);
  linked.put('c', 20);
  linked.put('a', 100);
  assert.deepEqual(all(linked), [100, 0, 0]);
  linked.put('a', 30);
  assert.deepEqual(all(linked), [30, 50, 20]);
});

test('one alone stays at 100', () => {
  const linked = new Linked(['rest']);
  linked.put('rest', 40);
  assert.deepEqual(all(linked), [100]);
});

test('a class that is added has nothing; one that is removed leaves its percent to the rest', () => {
  const linked = new Linked(['rest']);
  linked.add('a', 'rest');
  linked.add('b', 'rest');
  assert.deepEqual(linked.names, ['a', 'b', 'rest']);
  linked.put('a', 70);
  linked.put('b', 20);
  assert.deepEqual(all(linked), [70, 20, 10]);
  linked.remove('a', 'rest');
  assert.deepEqual(
    [linked.names, all(linked)],
    [
      ['b', 'rest'],
      [20, 80],
    ],
  );
  assert.equal(linked.isSet('b'), true);
  linked.add('a', 'rest');
  assert.equal(linked.isSet('a'), false);
});

test('a thousand changes of every kind never leave the sum of 100, nor a whole number of at least 0', () => {
  for (const n of [2, 3, 10, 12, 100, 1000]) {
    const draw = numbers(n);
    const linked = new Linked([...Array(n).keys()]);
    for (let change = 0; change < 1000; change += 1) {
      const [name, percent] = [draw(n), draw(101)];
      linked.put(name, percent);
      const percents = all(linked);
      assert.equal(linked.get(name), percent);
      assert.equal(sum(percents), 100);
      assert.ok(percents.every((value) => Number.isInteger(value) && value >= 0));
    }
  }
});

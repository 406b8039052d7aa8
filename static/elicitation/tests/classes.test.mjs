import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Choice, matching } from '../plugins/classes.js';

const classes = ['polar bear', 'maple_tree', 'bear', 'Éclair', 'streetcar', 'car'].map((name, id) => ({
  id,
  name,
}));
const found = (query) => matching(classes, query).map(({ name }) => name);

test('names that begin with the search come first, then words that do, then the rest', () => {
  assert.deepEqual(found('bear'), ['bear', 'polar bear']);
  assert.deepEqual(found('car'), ['car', 'streetcar']);
  assert.deepEqual(found('r'), ['polar bear', 'maple_tree', 'bear', 'Éclair', 'streetcar', 'car']);
});

test('case, accents and underscores make no difference', () => {
  assert.deepEqual(found('ECLAIR'), ['Éclair']);
  assert.deepEqual(found('  maple tree '), ['maple_tree']);
  assert.deepEqual(found('tree'), ['maple_tree', 'streetcar']);
});

test('a search for nothing finds everything in the order given, one for nonsense nothing', () => {
  assert.equal(found('').length, 6);
  assert.equal(found('')[0], 'polar bear');
  assert.deepEqual(found('zz.*'), []);
});

/** A choice with everything said. */
function complete() {
  const choice = new Choice();
  choice.chooseMost(3);
  choice.percent = 60;
  choice.chooseSecond(5);
  choice.secondPercent = 30;
  return choice;
}

test('what is missing is said from top to bottom', () => {
  const choice = new Choice();
  const seen = [choice.missing];
  choice.chooseMost(3);
  seen.push(choice.missing);
  choice.percent = 0;
  seen.push(choice.missing);
  choice.chooseSecond(5);
  seen.push(choice.missing);
  choice.secondPercent = 100;
  seen.push(choice.missing);
  choice.percent = 1;
  seen.push(choice.missing);
  choice.percent = 50;
  choice.secondPercent = 50;
  seen.push(choice.missing);
  assert.deepEqual(seen, ['most', 'percent', 'second', 'second_percent', 'order', 'sum', null]);
});

test('a complete choice is the answer that the server takes', () => {
  const choice = complete();
  choice.exclude(9, true);
  choice.exclude(7, true);
  choice.exclude(9, false);
  assert.deepEqual(choice.answer(), {
    most_probable: 3,
    percent: 60,
    second: 5,
    second_percent: 30,
    excluded: [7],
  });
});

test('no alternative needs no second percent, and takes back one that was given', () => {
  const choice = complete();
  choice.chooseSecond('none');
  assert.equal(choice.missing, null);
  assert.equal(choice.answer().second, null);
  assert.equal(choice.answer().second_percent, null);
});

test('percents of more than 100 together are not complete', () => {
  const choice = complete();
  choice.secondPercent = 41;
  assert.equal(choice.sum, 101);
  assert.equal(choice.missing, 'sum');
  choice.secondPercent = 40;
  assert.equal(choice.missing, null);
});

test('a class is in one place only, and says where it already is', () => {
  const choice = complete();
  choice.exclude(7, true);
  assert.equal(choice.heldElsewhere(3, 'second'), 'most');
  assert.equal(choice.heldElsewhere(5, 'excluded'), 'second');
  assert.equal(choice.heldElsewhere(7, 'most'), 'excluded');
  assert.equal(choice.heldElsewhere(3, 'most'), null);
  assert.equal(choice.heldElsewhere(8, 'most'), null);
  assert.throws(() => choice.chooseSecond(3), /Class 3 cannot be second: it is most/);
  assert.throws(() => choice.exclude(5, true), /cannot be excluded: it is second/);
  assert.throws(() => choice.chooseMost(7), /cannot be most: it is excluded/);
});

test('a class that was taken back can be chosen elsewhere', () => {
  const choice = complete();
  choice.chooseSecond(null);
  choice.exclude(5, true);
  assert.equal(choice.missing, 'second');
  assert.deepEqual([...choice.excluded], [5]);
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, test } from 'node:test';

import { say, useMessages } from '../messages.js';
import { inSentence, mixtureText, withNames } from '../words.js';

const here = new URL('..', import.meta.url);
const wording = readFileSync(new URL('../../elicitation/flow/wording.py', here), 'utf8');
const sentences = Object.fromEntries(
  [...wording.matchAll(/^ {4}"(\w+)": _\(([^]*?)\),$/gm)].map(([, name, strings]) => [
    name,
    [...strings.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => part).join(''),
  ]),
);

beforeEach(() => useMessages(sentences));

test('a position is said with the larger share first', () => {
  assert.equal(mixtureText(36, 'ship', 'cat'), '64% ship, 36% cat');
  assert.equal(mixtureText(64, 'ship', 'cat'), '64% cat, 36% ship');
  assert.equal(mixtureText(0, 'ship', 'cat'), '100% ship, 0% cat');
  assert.equal(mixtureText(50, 'ship', 'cat'), '50% ship, 50% cat');
});

test('a class that is a number is quoted in a sentence', () => {
  assert.equal(mixtureText(20, '3', '8'), '80% “3”, 20% “8”');
  assert.equal(inSentence('cat'), 'cat');
});

test('names in a question are taken as they are', () => {
  assert.equal(withNames('More {left} or more {right}?', 'a$&', '{left}'), 'More a$& or more {left}?');
});

test('in a right-to-left sentence a name keeps to itself', () => {
  useMessages(sentences, 'rtl');
  assert.equal(withNames('{left}?', 'ship', 'cat'), '\u2068ship\u2069?');
  assert.equal(say('saved', { saved: 3, total: 9 }), 'Saved 3/9');
});

test('a hole without a value stays, and so does a name without a sentence', () => {
  useMessages({ greeting: 'Hello {name}, {constructor}' });
  assert.equal(say('greeting', { name: 'you' }), 'Hello you, {constructor}');
  assert.equal(say('farewell'), 'farewell');
});

/** Our modules without their comments, tests left out. */
const modules = [here, new URL('plugins/', here)].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8').replace(/^ +\*.*$/gm, '')),
);
const found = (pattern) => modules.flatMap((text) => [...text.matchAll(pattern)].map(([, name]) => name));

test('every sentence that the page has is said somewhere', () => {
  const quoted = new Set(found(/'(\w+)'/g));
  const beginnings = found(/\bsay\(`(\w+)\$\{/g);
  const isSaid = (name) => quoted.has(name) || beginnings.some((beginning) => name.startsWith(beginning));
  assert.ok(Object.keys(sentences).length > 60);
  assert.deepEqual(
    Object.keys(sentences).filter((name) => !isSaid(name)),
    [],
  );
});

test('every sentence that the page says is there to be translated', () => {
  assert.deepEqual(
    found(/\bsay\(\s*'(\w+)'/g).filter((name) => !(name in sentences)),
    [],
  );
});

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { test } from 'node:test';

import { Visit, uuid } from '../visit.js';
import { memoryStorage } from '../storage.js';

const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const data = {
  rt: 812,
  cannot_tell: true,
  mixing_percent: null,
  trial_type: 'mixture-sliders',
  time_elapsed: 9,
};

function open(storage = memoryStorage()) {
  const sent = [];
  let ids = 0;
  const visit = new Visit({
    outbox: { put: (channel, body) => sent.push({ channel, ...body }) },
    storage,
    newId: () => `id-${(ids += 1)}`,
    now: () => new Date('2026-01-01T00:00:00Z'),
  });
  return { visit, sent, storage };
}

test('an answer has the identifier that was drawn when its trial began', () => {
  const { visit, sent } = open();
  visit.begin({ position: 4 });
  visit.event('hidden', {});
  visit.answer({ position: 4 }, data);
  const [event, answer] = sent;
  assert.deepEqual([event.id, answer.id], ['id-2', 'id-1']);
});

test('a trial that ends twice is one answer', () => {
  const { visit, sent } = open();
  visit.begin({ position: 4 });
  visit.answer({ position: 4 }, data);
  visit.answer({ position: 4 }, data);
  assert.equal(sent.length, 1);
});

test('only the interface’s own fields are sent as payload', () => {
  const { visit, sent } = open();
  visit.begin({ position: 0, attempt: 1 });
  visit.answer({ position: 0 }, data);
  const { payload, rt_ms: rt, attempt, position } = sent[0];
  assert.deepEqual({ rt, attempt, position }, { rt: 812, attempt: 1, position: 0 });
  assert.equal(payload.cannot_tell, true);
  assert.ok(!('trial_type' in payload) && !('time_elapsed' in payload) && !('rt' in payload));
});

test('a trial that was left without an answer is told, and its next attempt counts on', async () => {
  const storage = memoryStorage();
  open(storage).visit.begin({ position: 2, attempt: 1 });
  const { visit, sent } = open(storage);
  await visit.resume({ answered: 2, trials: [{ position: 2 }, { position: 3 }] });
  assert.deepEqual([sent[0].channel, sent[0].kind], ['events', 'resume']);
  assert.deepEqual(sent[0].data, {
    answered: 2,
    position: 2,
    attempt: 1,
    started_at: '2026-01-01T00:00:00.000Z',
  });
  visit.begin({ position: 2, attempt: 1 });
  visit.answer({ position: 2 }, data);
  visit.begin({ position: 3, attempt: 1 });
  visit.answer({ position: 3 }, data);
  assert.deepEqual(
    sent.slice(1).map(({ attempt }) => attempt),
    [2, 1],
  );
});

test('a trial that was answered before the page was left is no interrupted one', async () => {
  const storage = memoryStorage();
  open(storage).visit.begin({ position: 2, attempt: 1 });
  const { visit, sent } = open(storage);
  await visit.resume({ answered: 3, trials: [{ position: 3 }] });
  assert.deepEqual(sent[0].data, { answered: 3 });
});

test('the first opening of the page is no resume', async () => {
  const { visit, sent } = open();
  await visit.resume({ answered: 0, trials: [{ position: 0 }] });
  assert.deepEqual(sent, []);
});

test('identifiers are random UUIDs with and without the browser’s own function', () => {
  const bare = { getRandomValues: (bytes) => webcrypto.getRandomValues(bytes) };
  assert.match(uuid(bare), UUID4);
  assert.match(uuid(webcrypto), UUID4);
  assert.notEqual(uuid(bare), uuid(bare));
});

import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { randomUUID } from 'node:crypto';
import * as idb from 'idb-keyval';

import { Api } from '../api.js';
import { Outbox, pause } from '../outbox.js';
import { memoryStorage, openStorage } from '../storage.js';
import { startServer } from './server.mjs';

let server;
let prefix;
let clock;
const outboxes = [];

beforeEach(async () => {
  server = await startServer();
  prefix = `hm:demo:${randomUUID()}:`;
  clock = 0;
});

afterEach(() => {
  server.close();
  // An outbox that still waits would keep the process alive with its timer.
  outboxes.splice(0).forEach((outbox) => (outbox.abandoned = true));
});

/** A page: an outbox on this computer's store, sending to the server. Failed calls are tried again at once. */
async function page({ storage } = {}) {
  const api = new Api({ base: server.base, token: 'secret', timeout: 2000 });
  const outbox = new Outbox({
    storage: storage ?? (await openStorage({ idb }, prefix)),
    send: (kind, bodies) =>
      outbox.abandoned
        ? new Promise(() => {})
        : kind === 'responses'
          ? api.saveResponses(1, bodies)
          : api.saveEvents(bodies),
    random: () => 0.999,
    now: () => clock,
  });
  outboxes.push(outbox);
  await outbox.open();
  return outbox;
}

const answer = (position) => ({ id: randomUUID(), position, payload: { cannot_tell: true } });
const stored = async () => [...(await (await openStorage({ idb }, prefix)).all()).values()];
const failed = (outbox) =>
  new Promise((resolve) =>
    outbox.addEventListener('change', function look() {
      if (outbox.failing) resolve(outbox.removeEventListener('change', look));
    }),
  );

test('an answer is sent, acknowledged and forgotten here', async () => {
  const outbox = await page();
  outbox.put('responses', answer(0));
  assert.equal(await outbox.drained(), true);
  assert.equal(server.state.answers.size, 1);
  assert.deepEqual(await stored(), []);
  assert.equal(server.state.calls[0].headers.authorization, 'Participation secret');
});

test('an answer is on this computer before it is sent', async () => {
  const outbox = await page();
  let seen;
  server.state.trouble = (when) => when === 'before' && !seen && (seen = stored()) && 503;
  outbox.put('responses', answer(0));
  await failed(outbox);
  assert.equal((await seen).length, 1);
});

test('a reply lost after commit is not saved twice', async () => {
  const outbox = await page();
  let lost = 0;
  server.state.trouble = (when) => when === 'after' && lost++ === 0;
  const given = answer(3);
  outbox.put('responses', given);
  await failed(outbox);
  assert.equal(server.state.answers.get(3), given.id);
  outbox.wake();
  await outbox.drained();
  assert.equal(server.state.calls.length, 2);
  assert.equal(server.state.calls[1].body.responses[0].id, given.id);
  assert.equal(server.state.answers.size, 1);
});

test('a page that is closed while the server is away loses nothing', async () => {
  server.state.trouble = (when) => when === 'before' && 503;
  const first = await page();
  const given = [answer(0), answer(1)];
  given.forEach((body) => first.put('responses', body));
  await failed(first);
  first.abandoned = true;
  server.state.trouble = () => null;
  const second = await page();
  assert.deepEqual(second.unsent(), given);
  second.wake();
  await second.drained();
  assert.equal(server.state.answers.size, 2);
  assert.deepEqual(await stored(), []);
});

test('another participation on the same computer is left alone', async () => {
  const outbox = await page();
  server.state.trouble = (when) => when === 'before' && 503;
  outbox.put('responses', answer(0));
  await failed(outbox);
  const other = await openStorage({ idb }, `hm:demo:${randomUUID()}:`);
  assert.equal((await other.all()).size, 0);
  await other.clear();
  assert.equal((await stored()).length, 1);
});

test('answers go out one call at a time, in order, at most twenty together', async () => {
  const outbox = await page();
  let under = 0;
  let most = 0;
  server.state.trouble = (when) => {
    most = Math.max(most, (under += when === 'before' ? 1 : -1));
  };
  for (let position = 0; position < 45; position += 1) outbox.put('responses', answer(position));
  await outbox.drained();
  const sent = server.state.calls.map(({ body }) => body.responses.map(({ position }) => position));
  assert.deepEqual(sent.flat(), [...Array(45).keys()]);
  assert.ok(sent.every((batch) => batch.length <= 20));
  assert.equal(most, 1);
});

test('the same answer put twice is sent once', async () => {
  const outbox = await page();
  const given = answer(0);
  outbox.put('responses', given);
  outbox.put('responses', given);
  await outbox.drained();
  assert.equal(server.state.calls.flatMap(({ body }) => body.responses).length, 1);
});

test('an answer that another window gave first is let go', async () => {
  server.state.answers.set(0, randomUUID());
  const outbox = await page();
  outbox.put('responses', answer(0));
  await outbox.drained();
  assert.deepEqual(outbox.setAside, []);
  assert.deepEqual(await stored(), []);
});

for (const status of ['invalid', 'unknown', 'conflict']) {
  test(`an answer refused as ${status} is set aside, told, and does not stop the others`, async () => {
    const outbox = await page();
    const [bad, good] = [answer(0), answer(1)];
    server.state.reply = (reply) => ({
      ...reply,
      results: reply.results.map((result) => (result.id === bad.id ? { id: bad.id, status } : result)),
    });
    const told = [];
    outbox.addEventListener('refused', ({ detail }) => told.push(detail));
    outbox.put('responses', bad);
    outbox.put('responses', good);
    await outbox.drained();
    assert.deepEqual(outbox.setAside, [bad]);
    assert.equal(told[0].result.status, status);
    const later = await page();
    assert.deepEqual(later.unsent(), []);
    assert.deepEqual(later.setAside, [bad]);
  });
}

test('one answer that makes the server refuse the whole call is found and set aside', async () => {
  const outbox = await page();
  const bad = answer(7);
  server.state.trouble = (when, { body }) =>
    when === 'before' && body.responses.some(({ position }) => position === 7) && 400;
  const all = [answer(5), answer(6), bad, answer(8)];
  all.forEach((body) => outbox.put('responses', body));
  await outbox.drained();
  assert.deepEqual(outbox.setAside, [bad]);
  assert.deepEqual([...server.state.answers.keys()].sort(), [5, 6, 8]);
});

test('a finished participation stops the sending and keeps what was not taken', async () => {
  const outbox = await page();
  server.state.reply = (reply) => ({
    ...reply,
    results: reply.results.map(({ id }) => ({ id, status: 'closed' })),
  });
  outbox.put('responses', answer(0));
  assert.equal(await outbox.drained(), false);
  assert.equal(outbox.stopped, 'closed');
  assert.equal(outbox.unsent().length, 1);
});

test('a token that is no longer accepted stops the sending and loses nothing', async () => {
  const outbox = await page();
  server.state.trouble = (when) => when === 'before' && 401;
  outbox.put('responses', answer(0));
  assert.equal(await outbox.drained(), false);
  assert.equal(outbox.stopped, 'unauthorised');
  assert.equal((await stored()).length, 1);
});

test('a reply that names none of the items is a failure, not a success', async () => {
  const outbox = await page();
  server.state.reply = (reply) => ({ ...reply, results: [] });
  outbox.put('responses', answer(0));
  await failed(outbox);
  assert.equal(outbox.unsent().length, 1);
});

test('the next trial waits when more than five answers are unsent', async () => {
  server.state.trouble = (when) => when === 'before' && 503;
  const outbox = await page();
  for (let position = 0; position < 5; position += 1) outbox.put('responses', answer(position));
  await failed(outbox);
  assert.equal(outbox.holding, false);
  outbox.put('responses', answer(5));
  assert.equal(outbox.holding, true);
});

test('the next trial waits after twenty seconds without a connection, and goes on once it is back', async () => {
  server.state.trouble = (when) => when === 'before' && 503;
  const outbox = await page();
  outbox.put('responses', answer(0));
  await failed(outbox);
  clock = 20_001;
  assert.equal(outbox.holding, true);
  server.state.trouble = () => null;
  outbox.wake();
  await outbox.drained();
  assert.equal(outbox.holding, false);
  assert.equal(outbox.failing, false);
});

test('answers go before events, and both arrive', async () => {
  const outbox = await page();
  outbox.put('events', { id: randomUUID(), kind: 'hidden' });
  outbox.put('responses', answer(0));
  await outbox.drained();
  assert.equal(server.state.events.length, 1);
  assert.equal(server.state.answers.size, 1);
});

test('a browser that stores nothing still sends, and says that nothing is durable', async () => {
  const outbox = await page({ storage: memoryStorage() });
  assert.equal(outbox.durable, false);
  outbox.put('responses', answer(0));
  await outbox.drained();
  assert.equal(server.state.answers.size, 1);
});

test('a full disk does not stop an answer from being sent, and nothing is called safe meanwhile', async () => {
  const full = { ...memoryStorage(), durable: true, put: () => Promise.reject(new Error('quota')) };
  const outbox = await page({ storage: full });
  server.state.trouble = (when) => when === 'before' && 503;
  assert.equal(outbox.durable, true);
  outbox.put('responses', answer(0));
  await failed(outbox);
  assert.equal(outbox.durable, false);
  server.state.trouble = () => null;
  outbox.wake();
  await outbox.drained();
  assert.equal(server.state.answers.size, 1);
});

test('a disk that never answers does not keep an answer from being sent', async () => {
  const silent = { ...memoryStorage(), put: () => new Promise(() => {}) };
  const outbox = await page({ storage: silent });
  outbox.put('responses', answer(0));
  await outbox.drained();
  assert.equal(server.state.answers.size, 1);
});

test('an answer is called kept once it is written, not before', async () => {
  let write;
  const slow = { ...memoryStorage(), put: () => new Promise((resolve) => (write = resolve)) };
  const outbox = await page({ storage: slow });
  server.state.trouble = (when) => when === 'before' && 503;
  outbox.put('responses', answer(0));
  assert.deepEqual([outbox.unsent().length, outbox.kept], [1, 0]);
  write();
  await failed(outbox);
  assert.equal(outbox.kept, 1);
});

test('long answers are split over calls that may outlive their page', async () => {
  const outbox = await page();
  const long = (position) => ({ ...answer(position), payload: { path: 'x'.repeat(15_000) } });
  for (let position = 0; position < 6; position += 1) outbox.put('responses', long(position));
  await outbox.drained();
  const sizes = server.state.calls.map(({ body }) => JSON.stringify(body).length);
  assert.equal(server.state.answers.size, 6);
  assert.ok(Math.max(...sizes) < 64_000);
});

test('pauses grow from one to thirty seconds, with up to half taken off', () => {
  const longest = [1, 2, 3, 4, 5, 6, 7, 50].map((failures) => pause(failures, () => 0));
  assert.deepEqual(longest, [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  assert.equal(
    pause(3, () => 0.5),
    3000,
  );
});

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { test } from 'node:test';

import { Opening, uuid } from '../opening.js';
import { memoryStorage } from '../storage.js';

const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const data = { rt: 812.4, payload: { cannot_tell: true }, trial_type: 'mixture-sliders', time_elapsed: 9 };
const plan = { answered: 0, next_index: 0, elapsed_ms: 0, trials: [{ position: 0 }] };

function open({ storage = memoryStorage(), timing = true } = {}) {
  const sent = [];
  const clocks = { steady: 5_000, date: new Date('2026-01-01T12:00:00Z') };
  let ids = 0;
  const opening = new Opening({
    outbox: { put: (channel, body) => sent.push({ channel, ...body }) },
    storage,
    timing,
    newId: () => `id-${(ids += 1)}`,
    clock: () => clocks.steady,
    date: () => clocks.date,
  });
  return { opening, sent, storage, clocks };
}

test('an answer has the identifier that was drawn when its trial began', () => {
  const { opening, sent } = open();
  opening.begin({ position: 4 });
  opening.event('hidden', {});
  opening.answer({ position: 4 }, data);
  const [event, answer] = sent;
  assert.deepEqual([event.id, answer.id], ['id-2', 'id-1']);
});

test('a trial that ends twice is one answer', () => {
  const { opening, sent } = open();
  opening.begin({ position: 4 });
  opening.answer({ position: 4 }, data);
  opening.answer({ position: 4 }, data);
  assert.equal(sent.length, 1);
});

test('what the plugin says is sent as it is, and nothing of jsPsych’s own', () => {
  const { opening, sent } = open();
  opening.begin({ position: 0, attempt: 1 });
  opening.answer({ position: 0 }, data);
  const { payload, rt_ms: rt, attempt, position } = sent[0];
  assert.deepEqual({ rt, attempt, position }, { rt: 812, attempt: 1, position: 0 });
  assert.deepEqual(payload, { cannot_tell: true });
  assert.ok(!('trial_type' in sent[0]) && !('time_elapsed' in sent[0]));
});

test('a trial that was left without an answer is told, and its next attempt counts on', async () => {
  const storage = memoryStorage();
  open({ storage }).opening.begin({ position: 2, attempt: 1 });
  const { opening, sent } = open({ storage });
  await opening.resume({ ...plan, answered: 2, trials: [{ position: 2 }, { position: 3 }] });
  assert.deepEqual([sent[0].channel, sent[0].kind], ['events', 'resume']);
  assert.deepEqual(sent[0].data, {
    answered: 2,
    position: 2,
    attempt: 1,
    started_at: '2026-01-01T12:00:00.000Z',
  });
  opening.begin({ position: 2, attempt: 1 });
  opening.answer({ position: 2 }, data);
  opening.begin({ position: 3, attempt: 1 });
  opening.answer({ position: 3 }, data);
  assert.deepEqual(
    sent.slice(1).map(({ attempt }) => attempt),
    [2, 1],
  );
});

test('opening the page again before the interrupted trial is shown is no attempt at it', async () => {
  const storage = memoryStorage();
  open({ storage }).opening.begin({ position: 2, attempt: 1 });
  const trials = [{ position: 2 }];
  await open({ storage }).opening.resume({ ...plan, answered: 2, trials });
  const { opening, sent } = open({ storage });
  await opening.resume({ ...plan, answered: 2, trials });
  assert.deepEqual(sent[0].data, { answered: 2 });
  opening.begin({ position: 2, attempt: 2 }); // as the server says, who was told of the first attempt
  opening.answer({ position: 2 }, data);
  assert.equal(sent.at(-1).attempt, 2);
});

test('a trial that was answered before the page was left is no interrupted one', async () => {
  const storage = memoryStorage();
  open({ storage }).opening.begin({ position: 2, attempt: 1 });
  const { opening, sent } = open({ storage });
  await opening.resume({ ...plan, answered: 3, trials: [{ position: 3 }] });
  assert.deepEqual(sent[0].data, { answered: 3 });
});

test('the first opening of the page is no resume', async () => {
  const { opening, sent } = open();
  await opening.resume(plan);
  assert.deepEqual(sent, []);
});

/** The number and the elapsed time of an answer given `after` ms in a window that resumed `resumed`. */
async function numbered(resumed, after, unsent) {
  const { opening, sent, clocks } = open();
  await opening.resume({ ...plan, ...resumed }, unsent);
  clocks.steady += after;
  opening.begin({ position: 7 });
  opening.answer({ position: 7 }, data);
  const { trial_index: index, time_elapsed_ms: elapsed } = sent.at(-1);
  return { index, elapsed };
}

test('numbers and elapsed time go on in another window where the server says they stopped', async () => {
  assert.deepEqual(await numbered({ next_index: 12, elapsed_ms: 90_000 }, 500), {
    index: 12,
    elapsed: 90_500,
  });
});

test('answers that wait on this computer count on as well', async () => {
  const unsent = [
    { position: 4, trial_index: 12, time_elapsed_ms: 91_000 },
    { position: 5, trial_index: 13, time_elapsed_ms: 95_000 },
  ];
  assert.deepEqual(await numbered({ next_index: 12, elapsed_ms: 90_000 }, 500, unsent), {
    index: 14,
    elapsed: 95_500,
  });
});

test('a computer’s clock that is set back in a trial does not reverse its times', () => {
  const { opening, sent, clocks } = open();
  opening.begin({ position: 0 });
  clocks.steady += 2_000;
  clocks.date = new Date('2019-01-01T00:00:00Z');
  opening.answer({ position: 0 }, data);
  opening.event('js_error', {});
  assert.deepEqual(
    [sent[0].started_at, sent[0].ended_at],
    ['2026-01-01T12:00:00.000Z', '2026-01-01T12:00:02.000Z'],
  );
  assert.equal(sent[0].time_elapsed_ms, 2_000);
  assert.equal(sent[1].t_ms, 2_000);
});

test('without a reason for times none is sent or kept', async () => {
  const { opening, sent, storage, clocks } = open({ timing: false });
  opening.begin({ position: 0 });
  clocks.steady += 2_000;
  assert.deepEqual((await storage.all()).get('open-trial'), { position: 0, attempt: 1 });
  opening.answer({ position: 0 }, data);
  opening.event('practice', {});
  assert.deepEqual(Object.keys(sent[0]).sort(), [
    'attempt',
    'channel',
    'id',
    'payload',
    'position',
    'trial_index',
  ]);
  assert.equal(sent[1].t_ms, 0);
});

test('identifiers are random UUIDs with and without the browser’s own function', () => {
  const bare = { getRandomValues: (bytes) => webcrypto.getRandomValues(bytes) };
  assert.match(uuid(bare), UUID4);
  assert.match(uuid(webcrypto), UUID4);
  assert.notEqual(uuid(bare), uuid(bare));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Api, ApiError } from '../api.js';

const BASE = 'http://study.test/api/v1/participation/';
const json = (status, body) => new Response(JSON.stringify(body), { status });
const apiThat = (fetch, options = {}) => new Api({ base: BASE, token: 't0', fetch, ...options });

test('a picture may be named by a path of its own or relative to the API', async () => {
  const asked = [];
  const api = apiThat(async (url) => asked.push(url.href) && new Response('png'));
  await api.image('/api/v1/participation/images/a/');
  await api.image('images/b/');
  assert.deepEqual(asked, [`${BASE}images/a/`, `${BASE}images/b/`]);
});

test('pictures may come from the browser’s cache, and no other call', async () => {
  const seen = [];
  const api = apiThat(async (_, { cache }) => seen.push(cache) && json(200, {}));
  await api.image('images/a/');
  await api.plan();
  await api.saveResponses(1, []);
  await api.complete(0);
  assert.deepEqual(seen, ['default', 'no-store', 'no-store', 'no-store']);
});

test('how long a busy server asks to wait is in the error, and at least a second', async () => {
  const waits = [];
  for (const [status, headers] of [
    [429, { 'Retry-After': '12' }],
    [429, { 'Retry-After': '0' }],
    [429, {}],
    [429, { 'Retry-After': 'Wed, 21 Oct 2026 07:28:00 GMT' }],
    [503, { 'Retry-After': '12' }],
  ]) {
    const api = apiThat(async () => new Response('{}', { status, headers }));
    waits.push((await api.image('a/').catch((error) => error)).waitMs);
  }
  assert.deepEqual(waits, [12_000, 1_000, null, null, null]);
});

test('a call carries the token and no cookie', async () => {
  let init;
  await apiThat(async (_, given) => (init = given) && json(200, {})).complete(3);
  assert.equal(init.headers.Authorization, 'Participation t0');
  assert.equal(init.credentials, 'omit');
  assert.equal(init.body, '{"count":3}');
});

for (const [status, retryable] of [
  [400, false],
  [404, false],
  [408, true],
  [413, false],
  [425, true],
  [429, true],
  [500, true],
  [503, true],
]) {
  test(`a reply ${status} is ${retryable ? '' : 'not '}worth another try`, async () => {
    const error = await apiThat(async () => json(status, { detail: 'why' }))
      .plan()
      .catch((reason) => reason);
    assert.ok(error instanceof ApiError);
    assert.equal(error.retryable, retryable);
    assert.equal(error.message, 'why');
  });
}

test('the positions that a refused completion names are in the error', async () => {
  const error = await apiThat(async () => json(409, { missing_positions: [4] }))
    .complete(1)
    .catch((reason) => reason);
  assert.deepEqual(error.body.missing_positions, [4]);
});

test('no answer within the time limit is a failure that may pass', async () => {
  const never = (_, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const error = await apiThat(never, { timeout: 10 })
    .plan()
    .catch((reason) => reason);
  assert.equal(error.retryable, true);
  assert.equal(error.status, 0);
});

test('an answer that is not JSON is a failure that may pass', async () => {
  const error = await apiThat(async () => new Response('<html>'))
    .plan()
    .catch((reason) => reason);
  assert.equal(error.retryable, true);
});

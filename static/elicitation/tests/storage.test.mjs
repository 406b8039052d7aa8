import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as idb from 'idb-keyval';

import { openStorage } from '../storage.js';

const refused = () => {
  throw new Error('refused');
};

/** What the browser's localStorage does, on a map. */
function localStorage(values = new Map()) {
  return {
    values,
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, String(value)),
    removeItem: (key) => void values.delete(key),
  };
}

const browsers = {
  'with IndexedDB': () => ({ idb, local: refused }),
  'that refuses IndexedDB': (local) => ({ idb: { createStore: refused }, local: () => local }),
  'that refuses to store anything': () => ({ idb: { createStore: refused }, local: refused }),
};

for (const [which, browser] of Object.entries(browsers)) {
  test(`a browser ${which} gives back what was put, and keeps participations apart`, async () => {
    const local = localStorage();
    const mine = await openStorage(browser(local), `hm:${which}:a:`);
    const other = await openStorage(browser(local), `hm:${which}:b:`);
    await mine.put('1', { position: 1 });
    await mine.put('2', { position: 2 });
    await other.put('1', { position: 9 });
    await mine.remove('2');
    assert.deepEqual([...(await mine.all())], [['1', { position: 1 }]]);
    await mine.clear();
    assert.equal((await mine.all()).size, 0);
    assert.deepEqual([...(await other.all())], [['1', { position: 9 }]]);
  });
}

test('what localStorage holds is there for the next page', async () => {
  const local = localStorage();
  const browser = { idb: { createStore: refused }, local: () => local };
  const first = await openStorage(browser, 'hm:study:a:');
  await first.put('1', { position: 1 });
  const second = await openStorage(browser, 'hm:study:a:');
  assert.equal(second.durable, true);
  assert.deepEqual((await second.all()).get('1'), { position: 1 });
});

test('only memory is not durable', async () => {
  const stores = await Promise.all(
    Object.values(browsers).map((browser) => openStorage(browser(localStorage()), 'hm:durable:a:')),
  );
  assert.deepEqual(
    stores.map(({ durable }) => durable),
    [true, true, false],
  );
});

test('an IndexedDB that never answers is given up', async () => {
  const silent = { createStore: () => ({}), set: () => new Promise(() => {}) };
  const local = localStorage();
  const store = await openStorage({ idb: silent, local: () => local, patience: 20 }, 'hm:silent:a:');
  await store.put('1', { position: 1 });
  assert.equal(local.values.size, 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Api } from '../api.js';
import { Preloader } from '../preload.js';
import { startServer } from './server.mjs';

const urls = (n) => Array.from({ length: n }, (_, index) => `images/${index}/`);
const picture = (url) => ({ src: `blob:${url}`, width: 8, height: 8, bytes: 10 });
const delay = () => Promise.resolve();

test('every picture is loaded once, six at a time', async () => {
  let under = 0;
  let most = 0;
  const asked = [];
  const load = async (url) => {
    asked.push(url);
    most = Math.max(most, (under += 1));
    await new Promise((resolve) => setTimeout(resolve, 1));
    under -= 1;
    return picture(url);
  };
  const pictures = new Preloader({ urls: [...urls(20), ...urls(20)], load, delay });
  assert.equal(await pictures.run(), true);
  assert.deepEqual(asked, urls(20));
  assert.equal(most, 6);
  assert.equal(pictures.bytes, 200);
  assert.deepEqual(pictures.picture('images/3/'), { src: 'blob:images/3/', width: 8, height: 8 });
});

test('a picture that fails twice arrives at the third try', async () => {
  let tries = 0;
  const load = async (url) => {
    if (url === 'images/1/' && (tries += 1) < 3) throw new Error('503');
    return picture(url);
  };
  const pictures = new Preloader({ urls: urls(3), load, delay });
  assert.equal(await pictures.run(), true);
  assert.equal(pictures.retried, 2);
  assert.deepEqual(pictures.failed, []);
});

test('a picture that keeps failing is named with its reason, and the others are there', async () => {
  const load = async (url) => {
    if (url === 'images/1/') throw new Error('not found');
    return picture(url);
  };
  const pictures = new Preloader({ urls: urls(3), load, delay });
  assert.equal(await pictures.run(), false);
  assert.deepEqual(pictures.failed, [{ url: 'images/1/', message: 'not found' }]);
  assert.equal(pictures.loaded, 2);
});

test('trying again asks only for what is missing', async () => {
  let broken = true;
  const asked = [];
  const load = async (url) => {
    asked.push(url);
    if (broken && url === 'images/2/') throw new Error('offline');
    return picture(url);
  };
  const pictures = new Preloader({ urls: urls(4), load, delay });
  await pictures.run();
  broken = false;
  asked.length = 0;
  assert.equal(await pictures.run(), true);
  assert.deepEqual(asked, ['images/2/']);
  assert.deepEqual(pictures.failed, []);
});

test('a second call joins the one under way', async () => {
  let asked = 0;
  const pictures = new Preloader({ urls: urls(2), load: async (url) => (asked += 1) && picture(url), delay });
  await Promise.all([pictures.run(), pictures.run()]);
  assert.equal(asked, 2);
});

test('a server that asks to wait is waited for, however often, and no try is used up', async (context) => {
  const server = await startServer();
  context.after(server.close);
  let refusals = 5;
  server.state.trouble = (when) => when === 'before' && refusals-- > 0 && 429;
  const api = new Api({ base: server.base, token: 't0' });
  const waited = [];
  const pictures = new Preloader({
    urls: urls(1),
    load: async (url) => ({ ...picture(url), bytes: (await api.image(url)).size }),
    delay: async (ms) => waited.push(ms),
  });
  assert.equal(await pictures.run(), true);
  assert.deepEqual(waited, Array(5).fill(7000));
  assert.deepEqual(pictures.failed, []);
});

test('failures are still counted between waits', async () => {
  const said = [{ waitMs: 9000 }, {}, { waitMs: 9000 }, {}, {}];
  const waited = [];
  const pictures = new Preloader({
    urls: urls(1),
    load: async () => Promise.reject(Object.assign(new Error('busy'), said.shift())),
    delay: async (ms) => waited.push(ms),
  });
  assert.equal(await pictures.run(), false);
  assert.deepEqual(waited, [9000, 400, 9000, 800]);
});

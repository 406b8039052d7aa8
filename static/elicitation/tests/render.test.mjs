import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { bicubic, noise, seedOf, sizeOf } from '../render.js';

const asTheWindowDecides = { enlargement: null, pixels: 'css', ratio: 1, comfortable: 320 };
const desktop = { ...asTheWindowDecides, roomX: 1232, roomY: 400 };
const phone = { ...asTheWindowDecides, ratio: 3, roomX: 327, roomY: 354 };

const times = (options) => sizeOf(options).times;

test('without a setting the picture takes the largest whole multiple of about 320 pixels', () => {
  assert.equal(times({ width: 8, height: 8, ...desktop }), 40);
  assert.equal(times({ width: 32, height: 32, ...desktop }), 10);
  assert.equal(times({ width: 28, height: 28, ...phone }), 11);
  assert.equal(times({ width: 32, height: 32, ...desktop, roomY: 200 }), 6);
});

test('the study’s own enlargement is kept unless the picture would be wider than the window', () => {
  assert.equal(times({ width: 32, height: 32, ...desktop, enlargement: 4 }), 4);
  assert.equal(times({ width: 32, height: 32, ...desktop, enlargement: 20 }), 20);
  assert.equal(times({ width: 32, height: 32, ...phone, enlargement: 20 }), 10);
});

test('a picture wider than the window is still shown at its native size', () => {
  assert.equal(times({ width: 500, height: 500, ...phone }), 1);
});

test('counted in css pixels, a picture has more device pixels on a dense screen', () => {
  const size = sizeOf({ width: 32, height: 28, ...phone, enlargement: 4 });
  assert.deepEqual(size, { times: 4, deviceWidth: 384, deviceHeight: 336, cssWidth: 128, cssHeight: 112 });
});

test('counted in device pixels, every native pixel is equally large on any screen', () => {
  const size = sizeOf({
    width: 32,
    height: 32,
    ...desktop,
    ratio: 1.5,
    pixels: 'device',
    enlargement: 10,
  });
  assert.deepEqual([size.times, size.deviceWidth], [10, 320]);
  assert.ok(Math.abs(size.cssWidth - 320 / 1.5) < 1e-9);
});

test('a picture fills whole device pixels where a css pixel is no whole number of them', () => {
  const { deviceWidth, cssWidth } = sizeOf({ width: 28, height: 28, ...desktop, ratio: 1.1, enlargement: 9 });
  assert.equal(deviceWidth, 277);
  assert.equal(cssWidth, 277 / 1.1);
});

/** Colours that the same lines make in Python; opaque. */
function colours(width, height) {
  let state = 1;
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let place = 0; place < pixels.length; place += 1) {
    if (place % 4 === 3) continue;
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[place] = state >>> 24;
  }
  return pixels;
}

const withoutAlpha = (pixels) => pixels.filter((_, place) => place % 4 !== 3);

test('bicubic enlargement is Pillow’s, value by value', () => {
  const red = bicubic(colours(4, 3), 4, 3, 8, 6).filter((_, place) => place % 4 === 0);
  assert.deepEqual(
    [...red],
    [
      41, 74, 145, 188, 200, 196, 180, 173, 69, 102, 171, 206, 200, 178, 143, 127, 129, 161, 227, 242, 201,
      140, 64, 29, 123, 149, 204, 224, 204, 158, 88, 56, 51, 69, 105, 153, 209, 228, 211, 203, 17, 31, 59,
      120, 211, 255, 255, 255,
    ],
  );
});

// sha256 of PIL.Image.fromarray(colours, "RGB").resize((toWidth, toHeight), BICUBIC), first 16 digits.
for (const [from, to, digest] of [
  [[32, 32], [320, 320], '888f569bb0e1e603'],
  [[28, 20], [370, 264], '4b9c3ce895f467d2'],
  [[5, 7], [5, 70], '550fa668d79cfd96'],
  [[8, 8], [12, 12], '695cb80e7d556359'],
]) {
  test(`bicubic from ${from.join('×')} to ${to.join('×')} is Pillow’s`, () => {
    const large = bicubic(colours(...from), ...from, ...to);
    assert.equal(large.length, 4 * to[0] * to[1]);
    assert.ok(large.every((value, place) => place % 4 !== 3 || value === 255));
    const found = createHash('sha256').update(withoutAlpha(large)).digest('hex');
    assert.equal(found.slice(0, 16), digest);
  });
}

test('a mask is the same for the same seed, opaque and grey', () => {
  const mask = noise(8, 4, seedOf('Picture 3 of 32'));
  assert.deepEqual(mask, noise(8, 4, seedOf('Picture 3 of 32')));
  assert.notDeepEqual(mask, noise(8, 4, seedOf('Picture 4 of 32')));
  for (let place = 0; place < mask.length; place += 4) {
    assert.equal(mask[place], mask[place + 2]);
    assert.equal(mask[place + 3], 255);
  }
  assert.ok(new Set(mask).size > 16);
});

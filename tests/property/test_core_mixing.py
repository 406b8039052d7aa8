from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hilmix.core.mixing import from_png, lambda_e4_from_text, lambda_text, mix, pixel_sha256, to_png

lambdas = st.integers(0, 10_000)
shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))
pictures = shapes.flatmap(lambda shape: arrays(np.uint8, shape))
pairs = shapes.flatmap(lambda shape: st.tuples(arrays(np.uint8, shape), arrays(np.uint8, shape)))


@given(pairs, lambdas)
def test_a_mix_lies_between_its_parents_and_within_half_a_step_of_the_exact_value(pair, lambda_e4):
    first, second = pair
    mixed = mix(first, second, lambda_e4)
    assert np.all(mixed >= np.minimum(first, second))
    assert np.all(mixed <= np.maximum(first, second))
    exact = (lambda_e4 * first.astype(float) + (10_000 - lambda_e4) * second.astype(float)) / 10_000
    assert np.all(np.abs(mixed - exact) <= 0.5)


@given(pairs, st.integers(0, 10).map(lambda step: 1000 * step))
def test_a_published_mix_truncates(pair, lambda_e4):
    first, second = pair
    exact = (lambda_e4 * first.astype(float) + (10_000 - lambda_e4) * second.astype(float)) / 10_000
    difference = exact - mix(first, second, lambda_e4, "hmix@1")
    assert np.all((difference > -1e-9) & (difference < 1 + 1e-9))


@given(pairs)
def test_the_ends_are_the_parents(pair):
    first, second = pair
    assert np.array_equal(mix(first, second, 10_000), first)
    assert np.array_equal(mix(first, second, 0), second)


@given(lambdas)
def test_lambda_survives_being_written(lambda_e4):
    text = lambda_text(lambda_e4)
    assert lambda_e4_from_text(text) == lambda_e4
    assert float(text) == lambda_e4 / 10_000


@given(pictures)
def test_a_png_gives_back_every_pixel(image):
    decoded = from_png(to_png(image))
    assert np.array_equal(decoded, image)
    assert pixel_sha256(decoded) == pixel_sha256(image)

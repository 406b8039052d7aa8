"""Each corruption against a plain form of it: one picture, loops, and other libraries than the ones it uses."""

from __future__ import annotations

import colorsys
import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from training.evaluation.corruptions import TRANSFORMS, corrupted
from training.evaluation.corruptions.draws import generators
from training.evaluation.corruptions.sampling import plasma, zoomed

SHAPES = [(16, 16, 3), (8, 8, 1), (7, 10, 3)]


def picture(shape, seed=0):
    """A picture with edges, colours, pure black, pure white and a grey."""
    rng = np.random.default_rng(seed)
    image = np.clip(ndimage.gaussian_filter(rng.normal(128, 300, shape), (1, 1, 0)), 0, 255).astype(np.uint8)
    image[0, 0], image[0, 1], image[1, 1] = 0, 255, 100
    return image


def mirrored(i, size):
    while not 0 <= i < size:
        i = -i if i < 0 else 2 * (size - 1) - i
    return i


def looked_up(x, row, column):
    """Bilinear, one pixel."""
    top, left = math.floor(row), math.floor(column)
    total = np.zeros(x.shape[2])
    for r, weight_r in ((top, 1 - (row - top)), (top + 1, row - top)):
        for c, weight_c in ((left, 1 - (column - left)), (left + 1, column - left)):
            total += weight_r * weight_c * x[mirrored(r, x.shape[0]), mirrored(c, x.shape[1])]
    return total


def remapped(x, place):
    out = np.empty_like(x)
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[r, c] = looked_up(x, *place(r, c))
    return out


def blurred(x, sigma):
    """A Gaussian as a sum over all taps within 4σ, edge pixels repeated."""
    reach = int(4 * sigma + 0.5)
    taps = np.arange(-reach, reach + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    out = np.zeros_like(x)
    h, w = x.shape[:2]
    for r in range(h):
        for c in range(w):
            for a, wa in zip(taps, weights, strict=True):
                for b, wb in zip(taps, weights, strict=True):
                    out[r, c] += wa * wb * x[min(max(r + a, 0), h - 1), min(max(c + b, 0), w - 1)]
    return out


def streak(x, radius, sigma, degrees):
    h, w = x.shape[:2]
    weights = [math.exp(-i * i / (2 * sigma * sigma)) for i in range(2 * radius + 1)]
    dy, dx = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    out = np.zeros_like(x)
    for r in range(h):
        for c in range(w):
            for i, weight in enumerate(weights):
                rr, cc = min(max(r + round(i * dy), 0), h - 1), min(max(c + round(i * dx), 0), w - 1)
                out[r, c] += weight / sum(weights) * x[rr, cc]
    return out


def magnified(x, factor):
    """Cropped to whole pixels, enlarged by scipy, trimmed at the top left first."""
    kept = [math.ceil(side / factor) for side in x.shape[:2]]
    top, left = ((side - part) // 2 for side, part in zip(x.shape[:2], kept, strict=True))
    wide = ndimage.zoom(x[top : top + kept[0], left : left + kept[1]], (factor, factor, 1), order=1)
    down, right = ((wide.shape[axis] - x.shape[axis]) // 2 for axis in (0, 1))
    return wide[down : down + x.shape[0], right : right + x.shape[1]]


def hsv(x, change):
    out = np.empty_like(x)
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[r, c] = colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*x[r, c])))
    return out


def gaussian_noise(x, rng, sd):
    return x + rng.standard_normal(x.shape, dtype=np.float32) * sd


def shot_noise(x, rng, photons):
    return rng.poisson(x.astype(np.float32) * np.float32(photons)) / photons


def impulse_noise(x, rng, share):
    u = rng.random(x.shape, dtype=np.float32)
    x[u < share] = 0
    x[u < share / 2] = 1
    return x


def speckle_noise(x, rng, sd):
    return x * (1 + sd * rng.standard_normal(x.shape, dtype=np.float32))


def gaussian_blur(x, rng, sigma):
    return blurred(x, sigma)


def defocus_blur(x, rng, radius, softness):
    disk = np.array([[float(a * a + b * b <= radius * radius) for a in range(-8, 9)] for b in range(-8, 9)])
    soft = np.array([math.exp(-i * i / (2 * softness**2)) for i in (-1, 0, 1)])
    kernel = ndimage.correlate(disk / disk.sum(), np.outer(soft, soft) / soft.sum() ** 2, mode="mirror")
    return ndimage.correlate(x, kernel[..., None], mode="mirror")


def glass_blur(x, rng, sigma, reach, times):
    x = blurred(x, sigma)
    h, w = x.shape[:2]
    moves = rng.integers(-reach, reach, (times, h - 2 * reach, w - 2 * reach, 2))
    for t in range(times):
        for i, r in enumerate(range(h - reach, reach, -1)):
            for j, c in enumerate(range(w - reach, reach, -1)):
                x[r, c] = x[r + moves[t, i, j, 0], c + moves[t, i, j, 1]]
    return blurred(x, sigma)


def motion_blur(x, rng, radius, sigma):
    return streak(x, radius, sigma, rng.uniform(-45, 45))


def zoom_blur(x, rng, zooms):
    end = {7: 1.06, 12: 1.11, 16: 1.16, 21: 1.21, 26: 1.26}[zooms]  # as the constants were published
    return np.mean([x] + [magnified(x, factor) for factor in np.arange(1, end, 0.01)], axis=0)


def brightness(x, rng, more):
    if x.shape[2] == 1:
        return np.minimum(x + more, 1)
    return hsv(x, lambda h, s, v: (h, s, min(v + more, 1)))


def saturate(x, rng, factor, more):
    if x.shape[2] == 1:
        return x
    return hsv(x, lambda h, s, v: (h, min(max(s * factor + more, 0), 1), v))


def contrast(x, rng, factor):
    for channel in range(x.shape[2]):
        mean = x[..., channel].mean()
        x[..., channel] = mean + factor * (x[..., channel] - mean)
    return x


def diamond_square(rng, size, decay):
    """Point by point on a torus, the squares' centres first, then the middles of their sides."""
    cloud = np.zeros((size, size))

    def at(r, c):
        return cloud[r % size, c % size]

    step, amplitude = size, 1.0
    while step > 1:
        half, cells = step // 2, size // step
        noise = amplitude * (2 * rng.random((3, cells, cells), dtype=np.float32).astype(float) - 1)
        for i in range(cells):
            for j in range(cells):
                r, c = i * step, j * step
                four = at(r, c) + at(r + step, c) + at(r, c + step) + at(r + step, c + step)
                cloud[r + half, c + half] = four / 4 + noise[0, i, j]
        for i in range(cells):
            for j in range(cells):
                for r, c, n in ((i * step, j * step + half, 1), (i * step + half, j * step, 2)):
                    four = at(r - half, c) + at(r + half, c) + at(r, c - half) + at(r, c + half)
                    cloud[r % size, c % size] = four / 4 + noise[n, i, j]
        step, amplitude = half, amplitude / decay**2
    return (cloud - cloud.min()) / (cloud.max() - cloud.min())


def fog(x, rng, strength, decay):
    size = 2 ** math.ceil(math.log2(max(x.shape[:2])))
    cloud = diamond_square(rng, size, decay)[: x.shape[0], : x.shape[1], None]
    return (x + strength * cloud) * x.max() / (x.max() + strength)


def luma(x):
    return x if x.shape[2] == 1 else (0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2])[..., None]


def snow(x, rng, mean, sd, zoom, least, radius, sigma, keep):
    layer = mean + sd * rng.standard_normal((*x.shape[:2], 1), dtype=np.float32).astype(float)
    layer = magnified(layer, zoom)
    layer[layer < least] = 0
    layer = streak(np.clip(layer, 0, 1), radius, sigma, rng.uniform(-135, -45))
    return keep * x + (1 - keep) * np.maximum(x, luma(x) * 1.5 + 0.5) + layer + np.rot90(layer, 2)


def spatter(x, rng, mean, sd, sigma, least, strength, mud):
    layer = blurred(
        (mean + sd * rng.standard_normal(x.shape[:2], dtype=np.float32).astype(float))[..., None], sigma
    )
    layer = layer[..., 0]
    drops = layer > least
    colour = np.array([63, 42, 20] if mud else [175, 238, 238]) / 255
    colour = colour if x.shape[2] == 3 else luma(colour[None, None])[0, 0]
    if mud:
        cover = blurred(drops.astype(float)[..., None], strength)
        cover[cover < 0.8] = 0
        return x * (1 - cover) + cover * colour
    if not drops.any():
        return x
    h, w = drops.shape
    outline = [
        (r, c)
        for r, c in zip(*np.nonzero(drops), strict=True)
        if not all(
            drops[a, b] for a in range(r - 1, r + 2) for b in range(c - 1, c + 2) if 0 <= a < h and 0 <= b < w
        )
    ]
    depth = np.full((h, w), 20.0)
    for r, c in np.ndindex(h, w):
        depth[r, c] = min([20.0, *(math.hypot(r - a, c - b) for a, b in outline)])
    box = np.full((3, 3), 1 / 9)
    depth = np.floor(ndimage.correlate(depth, box, mode="mirror") + 1e-4).astype(int)
    below = {level: (depth <= level).sum() for level in range(21)}
    first = below[depth.min()]
    spread = max(depth.size - first, 1)
    equal = np.array(
        [[round(255 * (below[level] - first) / spread) for level in row] for row in depth], dtype=float
    )
    emboss = np.clip(
        ndimage.correlate(equal, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]), mode="mirror"), 0, 255
    )
    light = layer * drops * ndimage.correlate(emboss, box, mode="mirror")
    return x + (strength * light / light.max())[..., None] * colour if light.max() else x


def pixelate(x, rng, factor):
    """Pillow's box: the mean of the pixels whose middles lie in the big pixel; back by the nearest."""
    h, w = x.shape[:2]
    rows, columns = (shrink(side, max(1, int(side * factor))) for side in (h, w))
    narrow = np.floor(np.einsum("rcd,jc->rjd", np.rint(x * 255), columns) + 0.5)  # whole levels in between
    small = np.floor(np.einsum("ir,rjd->ijd", rows, narrow) + 0.5) / 255
    near = [
        [int((i + 0.5) * n / side) for i in range(side)] for side, n in ((h, len(rows)), (w, len(columns)))
    ]
    return small[np.ix_(*near)]


def shrink(side, n):
    weights, wide = np.zeros((n, side)), side / n
    for i in range(n):
        for j in range(side):
            weights[i, j] = -0.5 < (j + 0.5 - (i + 0.5) * wide) / wide <= 0.5
    return weights / weights.sum(axis=1, keepdims=True)


def jpeg(x, rng, quality):
    file = io.BytesIO()
    image = Image.fromarray(np.rint(x * 255).astype(np.uint8).squeeze())
    image.save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(x.shape) / 255


def elastic(x, rng, strength, sigma, corners):
    h, w = x.shape[:2]
    side = min(h, w)
    offset = 2 * rng.random((3, 2), dtype=np.float32).astype(float) - 1
    start = np.array([[h // 2, w // 2]] * 3) + side // 3 * np.array([[1, 1], [1, -1], [-1, -1]])
    end = start + corners * side * offset
    # The forward map start → end as a 3 × 3 matrix, then its inverse for every pixel.
    forward = np.vstack([start.T, np.ones(3)])
    forward = np.vstack([end.T, np.ones(3)]) @ np.linalg.inv(forward)
    back = np.linalg.inv(forward)
    x = remapped(x, lambda r, c: (back @ [r, c, 1])[:2])
    if not strength:
        return x
    shift = 2 * rng.random((2, h, w), dtype=np.float32).astype(float) - 1
    shift = [ndimage.gaussian_filter(one, sigma * side, mode="reflect", truncate=3) for one in shift]
    place = np.mgrid[:h, :w] + np.stack(shift) * strength * side
    channels = [
        ndimage.map_coordinates(each, place, order=1, mode="reflect") for each in np.moveaxis(x, 2, 0)
    ]
    return np.stack(channels, axis=2)


def flip_horizontal(x, rng):
    return np.fliplr(x)


def flip_vertical(x, rng):
    return np.flipud(x)


def about_the_centre(x, matrix):
    middle = (np.array(x.shape[:2]) - 1) / 2
    return remapped(x, lambda r, c: middle + matrix @ (np.array([r, c]) - middle))


def rotate(x, rng, degrees):
    turn = math.radians(degrees) * (1 if rng.integers(2) else -1)
    return about_the_centre(
        x, np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    )


def scale(x, rng, factor):
    return about_the_centre(x, np.eye(2) / (factor if rng.integers(2) else 1 / factor))


def translate(x, rng, share):
    down, right = [(0, 1), (0, -1), (1, 0), (-1, 0)][rng.integers(4)]
    return remapped(x, lambda r, c: (r - down * share * x.shape[0], c - right * share * x.shape[1]))


PLAIN = [
    gaussian_noise, shot_noise, impulse_noise, speckle_noise, gaussian_blur, defocus_blur, glass_blur, motion_blur,
    zoom_blur, brightness, saturate, contrast, fog, snow, spatter, pixelate, jpeg, elastic, flip_horizontal,
    flip_vertical, rotate, scale, translate,
]  # fmt: skip


def test_every_transform_but_frost_has_a_plain_form():
    assert {one.__name__ for one in PLAIN} == set(TRANSFORMS) - {"frost"}  # frost's texture is ours alone


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("plain", PLAIN, ids=lambda one: one.__name__)
def test_a_transform_gives_what_its_plain_form_gives_of_one_picture(plain, shape):
    name = plain.__name__
    for severity, constants in list(enumerate(TRANSFORMS[name].severities, start=1))[::2]:
        image = picture(shape, seed=severity)
        ours = corrupted(np.stack([picture(shape, seed=9), image]), name, severity, seed=3)[1]
        (rng,) = generators(image[None], name, severity, 3)
        plainly = np.clip(plain(image / 255, rng, *constants), 0, 1) * 255
        off = np.abs(ours - plainly)
        # Half a level is rounding. A streak, a drop or a hue may fall to the other side of a threshold in float32.
        assert np.mean(off > 0.52) < 0.01, f"severity {severity}: up to {off.max():.1f} levels"


def test_zooms_are_as_many_and_cropped_as_those_of_the_published_code():
    ends = (1.06, 1.11, 1.16, 1.21, 1.26)
    counts = [int(zooms) for (zooms,) in TRANSFORMS["zoom_blur"].severities]
    assert counts == [len(np.arange(1, end, 0.01)) for end in ends] == [7, 12, 16, 21, 26]
    image = picture((32, 32, 3)) / 255
    for factor in (*np.arange(1, 1.26, 0.01), 1.75, 2.25):  # the last are those of snow
        ours = zoomed(image[None].astype(np.float32), factor)[0]
        np.testing.assert_allclose(ours, magnified(image, factor), atol=1e-5)


def test_a_cloud_fills_zero_to_one_and_repeats_beyond_its_edge():
    rngs = [np.random.default_rng(i) for i in range(50)]
    clouds = plasma(rngs, 32, 32, 2.0)
    np.testing.assert_allclose([clouds.min(axis=(1, 2)), clouds.max(axis=(1, 2))], [[0] * 50, [1] * 50])
    across = np.abs(clouds[:, 0] - clouds[:, -1]).mean(), np.abs(clouds[:, 0] - clouds[:, 16]).mean()
    assert across[0] < across[1] / 2


def test_frost_brightens_with_ice_and_keeps_its_share_of_the_picture():
    black, grey = (np.full((30, 32, 32, 3), level, dtype=np.uint8) for level in (0, 60))
    for severity, (_, ice) in enumerate(TRANSFORMS["frost"].severities, start=1):
        on_black = corrupted(black, "frost", severity).astype(float)
        assert on_black.max() <= 255 * ice + 1
        assert on_black.std(axis=(1, 2)).min() > 2  # a texture and not a veil
        assert (on_black[..., 2] >= on_black[..., 0]).all()  # pale blue
        assert corrupted(grey, "frost", severity).mean() > on_black.mean()


def test_a_digit_has_room_for_every_transform():
    digits = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    for name, transform in TRANSFORMS.items():
        changed = corrupted(digits, name, len(transform.severities))
        assert name == "saturate" or (changed != digits).any()


@pytest.mark.realdata
def test_the_constants_do_to_cifar_what_they_should(realdata):
    """Mean change of a pixel at severity 1 and 5, of the order that keeps pictures recognisable."""
    images = np.load(realdata / "cifar10_test.npz")["images"][:200]
    for name, transform in TRANSFORMS.items():
        if transform.group != "geometric":
            change = np.abs(corrupted(images, name, 1).astype(int) - images).mean()
            assert 0.5 < change < 30, name

"""The galleries of an explanation: which images are shown, how heat is laid over them, and the figures. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hilmix.figures import Figure, Item, Picture, Table, number
from training.evaluation.explain.manifest import HeatMaps, Manifest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]

DRAWN, FURTHEST, MISTAKES = (
    6,
    6,
    8,
)  # images of a gallery: at random, by disagreement, most sure of what is wrong
# From little to much; the lightness rises all the way, so that grey print keeps the order.
_HEAT = np.array([[28, 16, 68], [140, 41, 99], [229, 92, 48], [252, 195, 65], [252, 255, 164]], dtype=float)
_METHODS = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "attention_rollout": "attention rollout",
}


@dataclass(frozen=True)
class Mixed:
    """Mixed images with two classes, and what a model and people say of them.

    `rows` int64 [n] are those of the release; `lambdas` float64 [n] the share of the first; `classes` int64 [n, 2] and
    `parents` int64 [n, 2] the first parent first; `p` float64 [n, K] the model's; `people` float64 [n] the share that
    people give the first, NaN where not known.
    """

    rows: Ints
    lambdas: Floats
    classes: Ints
    parents: Ints
    p: Floats
    people: Floats

    def of(self, places: Ints) -> Mixed:
        return Mixed(*(getattr(self, name)[places] for name in self.__dataclass_fields__))

    @property
    def both(self) -> Floats:
        """What the model gives the two classes, float64 [n, 2]."""
        return np.take_along_axis(self.p, self.classes, axis=1)

    @property
    def apart(self) -> Floats:
        """How far the model's share of the first of the two is from people's, float64 [n], NaN where not known."""
        both = self.both
        return np.abs(both[:, 0] / np.maximum(both.sum(axis=1), 1e-300) - self.people)


@dataclass
class Album:
    """Pictures of the galleries, uint8 [H, W, 3] each, in the order of their addresses."""

    address: Callable[[int], str]
    pictures: list[Pixels] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)

    def picture(self, pixels: Pixels, words: str) -> Picture:
        """A picture of a gallery; one that is there already is not kept twice."""
        pixels = coloured(pixels)
        place = self._known.setdefault(pixels.tobytes(), len(self.pictures))
        if place == len(self.pictures):
            self.pictures.append(pixels)
        return Picture(self.address(place), words)


def pick(mixed: Mixed, *, seed: int = 0) -> tuple[Ints, int]:
    """Places of the mixed images of a gallery, and how many of them were drawn at random, the same for every run of an
    experiment; after these come those on which model and people are furthest apart."""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(mixed.rows))[:DRAWN])
    apart = mixed.apart
    left = np.setdiff1d(np.flatnonzero(np.isfinite(apart)), drawn)
    furthest = left[np.argsort(-apart[left], kind="stable")[:FURTHEST]]
    return np.concatenate([drawn, furthest]), len(drawn)


def overlay(pixels: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """The picture in grey with heat [H, W] in [0, 1] laid over it, uint8 [H, W, 3]: lighter for more."""
    grey = coloured(pixels).astype(float) @ [0.299, 0.587, 0.114]
    at = np.linspace(0, 1, len(_HEAT))
    colours = np.stack([np.interp(heat, at, _HEAT[:, channel]) for channel in range(3)], axis=-1)
    dense = (0.25 + 0.55 * heat)[..., None]
    return np.asarray(((1 - dense) * grey[..., None] + dense * colours).round().clip(0, 255), dtype=np.uint8)


def coloured(pixels: Pixels) -> Pixels:
    """The picture with three channels."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.asarray(pixels)


def mixed_gallery(
    mixed: Mixed,
    n_drawn: int,
    pixels: Pixels,
    parents: Pixels,
    maps: HeatMaps,
    logits: Floats | None,
    album: Album,
    *,
    classes: Sequence[str],
    about: str,
    source: str,
) -> Figure:
    """Each of a few mixed images beside both parents and the maps of both classes, or the one map of attention.

    `pixels` uint8 [n, H, W, C], `parents` uint8 [n, 2, H, W, C]; `logits` float64 [n, 2] of the classes of the maps.
    """
    items, rows = [], []
    for i, (first, second) in enumerate(mixed.classes):
        names = classes[first], classes[second]
        lam, both, share = float(mixed.lambdas[i]), mixed.both[i], float(mixed.people[i])
        what = f"{lam:.2f} {names[0]} + {1 - lam:.2f} {names[1]}"
        pictures = [
            album.picture(pixels[i], f"mixed image: {what}"),
            album.picture(parents[i, 0], f"first parent: {names[0]}"),
            album.picture(parents[i, 1], f"second parent: {names[1]}"),
            *_maps_of(i, pixels[i], maps, names, album),
        ]
        chosen = "drawn at random" if i < n_drawn else "far from people"
        people = "" if np.isnan(share) else f"; people {share:.2f} : {1 - share:.2f}"
        shares = f"Model {both[0]:.2f} : {both[1]:.2f}{people}."
        caption = f"{what}, {chosen}. {shares} {_maxima(maps.raw_maximum[i], names)}"
        items.append(Item(tuple(pictures), caption))
        rows.append((
            f"{mixed.rows[i]}", *names, lam, float(both[0]), float(both[1]), None if np.isnan(share) else share,
            *map(float, () if logits is None else logits[i]), *map(float, maps.raw_maximum[i]), chosen,
        ))  # fmt: skip
    method = maps.manifest.method
    two = logits is not None
    return Figure(
        f"mixed_{method}",
        "gallery",
        f"What pulled it to which class: {_METHODS[method]}"
        if two
        else f"What of a mixed image it used: {_METHODS[method]}",
        f"{about} Each: the mixed image, its first parent, its second, "
        + (
            "and on the mixed image the map of the first parent's class and of the second's. "
            if two
            else "and the attention on the mixed image. "
        )
        + _how(maps.manifest),
        "",
        "",
        (),
        Table(
            "The mixed images above",
            (
                "Row of the release",
                "First",
                "Second",
                "λ",
                "Model: first",
                "Model: second",
                "People: first",
                *(
                    ("Logit: first", "Logit: second", "Maximum: first", "Maximum: second")
                    if two
                    else ("Maximum",)
                ),
                "Chosen",
            ),
            tuple(rows),
        ),
        source,
        reading=_pulled(mixed, maps) if two else _held(maps),
        items=tuple(items),
    )


def mistakes_gallery(
    indices: Ints,
    labels: Ints,
    p: Floats,
    pixels: Pixels,
    maps: HeatMaps,
    album: Album,
    *,
    classes: Sequence[str],
    n: int,
    n_wrong: int,
    which: str,
    source: str,
) -> Figure:
    """The `which` (test, validation) images on which it was most surely wrong, with the maps of label and answer."""
    items, rows = [], []
    for i, label in enumerate(labels):
        said = int(p[i].argmax())
        names = classes[label], classes[said]
        pictures = [
            album.picture(pixels[i], f"{which} image {indices[i]}: {names[0]}"),
            *_maps_of(i, pixels[i], maps, names, album),
        ]
        shares = f"Model: {names[1]} {p[i, said]:.2f}, {names[0]} {p[i, label]:.2f}."
        caption = f"{names[0]}. {shares} {_maxima(maps.raw_maximum[i], names)}"
        items.append(Item(tuple(pictures), caption))
        rows.append(
            (int(indices[i]), *names, float(p[i, said]), float(p[i, label]), *map(float, maps.raw_maximum[i]))
        )
    method, two = maps.manifest.method, maps.values.shape[1] > 1
    return Figure(
        f"mistakes_{method}",
        "gallery",
        f"What it looked at when it was wrong: {_METHODS[method]}",
        f"The {len(items)} of {n:,} {which} images whose wrong class it was surest of. Each: the image, "
        + ("the map of its label, and of what the model says." if two else "and the attention on it.")
        + f" {_how(maps.manifest)}",
        "",
        "",
        (),
        Table(
            f"The {which} images above",
            (
                "Image",
                "Label",
                "Model says",
                "Its share",
                "Share of the label",
                *(("Maximum: label", "Maximum: answer") if two else ("Maximum",)),
            ),
            tuple(rows),
        ),
        source,
        reading=f"It is wrong on {n_wrong:,} of {n:,} {which} images. "
        + (_looked(maps) if two else _held(maps)),
        items=tuple(items),
    )


def _maps_of(i: int, pixels: Pixels, maps: HeatMaps, names: tuple[str, str], album: Album) -> list[Picture]:
    words = [f"map of {name}" for name in names] if maps.values.shape[1] > 1 else ["attention"]
    return [
        album.picture(overlay(pixels, heat), f"{said}, maximum {number(maximum, 3)}")
        for heat, said, maximum in zip(maps.values[i], words, maps.raw_maximum[i], strict=True)
    ]


def _maxima(maxima: Floats, names: tuple[str, str]) -> str:
    """The largest value of each map, as computed: two maps that look alike may stand for much and for nothing."""
    if len(maxima) == 1:
        return f"Largest share of a patch: {number(maxima[0], 2)}."
    return f"Maxima: {number(maxima[0], 3)} for {names[0]}, {number(maxima[1], 3)} for {names[1]}."


def _how(manifest: Manifest) -> str:
    told = f"{manifest.definition} ({manifest.source}), {manifest.settings['cells']} cells"
    if layer := manifest.settings.get("layer"):
        told += f" of layer {layer}"
    alone = "Each map is divided by its own maximum: compare the maxima in the captions before the shapes."
    sentences = [f"{told}.", alone, *(f"{caution}." for caution in manifest.cautions)]
    return " ".join(one[:1].upper() + one[1:] for one in sentences)


def _pulled(mixed: Mixed, maps: HeatMaps) -> str:
    more = mixed.lambdas > 0.5
    uneven = mixed.lambdas != 0.5
    same = (maps.raw_maximum[:, 0] > maps.raw_maximum[:, 1])[uneven] == more[uneven]
    empty = int((maps.raw_maximum == 0).sum())
    if not len(same):
        return f"All of these are even mixtures; {empty} of {maps.raw_maximum.size} maps are empty."
    said = f"On {int(same.sum())} of the {len(same)} uneven ones the class with more share has the larger maximum too"
    return said + (f"; {empty} of {maps.raw_maximum.size} maps are empty." if empty else ".")


def _looked(maps: HeatMaps) -> str:
    weak = int((maps.raw_maximum[:, 0] < maps.raw_maximum[:, 1]).sum())
    return f"On {weak} of the {len(maps.raw_maximum)} here the map of the label is weaker than that of the answer."


def _held(maps: HeatMaps) -> str:
    """How few patches hold half of the attention."""
    flat = np.sort(maps.values[:, 0].reshape(len(maps.values), -1), axis=1)[:, ::-1]
    running = np.cumsum(flat, axis=1)
    share = float(((running < running[:, -1:] / 2).sum(axis=1) / flat.shape[1]).mean())
    return f"Half of the attention lies on {100 * share:.0f}% of the area; spread evenly it would be 50%."

"""What a study shows, drawn from its design and seed: the recipes of its trials, its attention checks, its examples.

Images of examples and of checks are reserved: no trial mixes them. All come from the training split.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from elicitation.mixes.design import Recipe, deal_design, draw_checks, draw_design
from elicitation.studies.protocol import Design
from hilmix.core.imageset import ImageSet
from hilmix.errors import Conflict, Invalid

AGREEMENT = 0.95  # of people, on one class: an image that anybody who looks recognises
CHECKS_DRAWN = 4  # check images a study has for each check that a person gets, where it may draw them
N_EXAMPLE_IMAGES = 4


@dataclass(frozen=True)
class Material:
    """Recipes of the trials, batch by batch, and of the attention checks."""

    batches: list[list[Recipe]]
    checks: list[Recipe]

    @property
    def parents(self) -> set[int]:
        """Every image of the set that a trial or a check may show or name."""
        recipes = [recipe for batch in [*self.batches, self.checks] for recipe in batch]
        return {index for recipe in recipes for index in recipe.parents}


def draw_material(opened: ImageSet, design: Design) -> Material:
    """Draw what the trials and checks of a study show.

    Raises:
        Invalid: the image set cannot carry the design.
    """
    check_class_pairs(opened, design)
    check_mixed_images(opened, design)
    free = set(_train(opened)) - set(design.example_images) - design.parents
    recognised = check_images(opened, design)
    beside = _of_chosen_classes(sorted(free), opened, design)
    checks = draw_checks(labels=opened.labels, recognised=recognised, indices=beside, seed=design.seed)
    free -= {index for recipe in checks for index in recipe.parents}
    if design.mixed_images:
        recipes = [Recipe(*one) for one in design.mixed_images]
        return Material(
            deal_design(recipes=recipes, batch_size=design.trials_per_person, seed=design.seed), checks
        )
    batches = draw_design(
        labels=opened.labels,
        indices=sorted(free),
        lambdas_e4=design.lambdas_e4,
        n=design.n_mixed_images,
        batch_size=design.trials_per_person,
        seed=design.seed,
        same_class=design.same_class,
        class_pairs=design.class_pairs,
    )
    return Material(batches, checks)


def check_class_pairs(opened: ImageSet, design: Design) -> None:
    """Refuse class pairs that the image set does not have.

    Raises:
        Invalid: a class pair names a class beyond the image set's.
    """
    classes = {index for pair in design.class_pairs for index in pair}
    if outside := sorted(classes - set(range(len(opened.classes)))):
        _refuse("class_pairs", f"There is no class {', '.join(map(str, outside))} (counted from 0).")


def check_mixed_images(opened: ImageSet, design: Design) -> None:
    """Refuse mixed images of parents that are not in the training split.

    Raises:
        Invalid: with the numbers of the images.
    """
    if design.mixed_images:
        _refuse_outsiders("mixed_images", sorted(design.parents), opened)


def check_images(opened: ImageSet, design: Design) -> list[int]:
    """Positions of the images of attention checks: those marked in the design, else drawn from those that people agree
    on. None where the design has no checks.

    Raises:
        Invalid: an image is not fit for a check, or too few are.
    """
    if not design.checks:
        return []
    if design.check_images:
        _refuse_outsiders("check_images", design.check_images, opened)
        if unclear := [index for index in design.check_images if not _is_recognised(opened, index)]:
            _refuse("check_images", f"Fewer than 95% of people agree on {_listed(unclear)}.")
        return list(design.check_images)
    if opened.human_labels is None:
        _refuse(
            "check_images",
            "The image set has no human labels that would tell which images everybody recognises: name some yourself.",
        )
    reserved = {*design.example_images, *design.parents}
    known = _of_chosen_classes(_train(opened), opened, design)
    clear = [index for index in known if index not in reserved and _is_recognised(opened, index)]
    if len(clear) < design.checks:
        _refuse("checks", f"At least 95% of people agree on only {len(clear)} images of the training split.")
    rng = random.Random(design.seed)  # noqa: S311  (a choice of images, not a secret)
    return rng.sample(clear, min(len(clear), CHECKS_DRAWN * design.checks))


def draw_example_images(opened: ImageSet, design: Design) -> tuple[int, ...]:
    """Positions of the images reserved for the instructions: those named in the design, else drawn.

    Two each make an example, so they are of two classes.

    Raises:
        Invalid: the images named are not in the training split, or there are too few.
    """
    if named := design.example_images:
        _refuse_outsiders("example_images", named, opened)
        for first, second in zip(named[::2], named[1::2], strict=True):
            if opened.labels[first] == opened.labels[second]:
                _refuse(
                    "example_images", f"Images {first} and {second} make one example but are of one class."
                )
        return named
    taken = {*design.check_images, *design.parents}
    indices = [index for index in _train(opened) if index not in taken]
    n = N_EXAMPLE_IMAGES // 2
    (recipes,) = draw_design(
        labels=opened.labels, indices=indices, lambdas_e4=[5000], n=n, batch_size=n, seed=design.seed
    )
    return tuple(index for recipe in recipes for index in recipe.parents)


def refuse_overlap(opened: ImageSet, design: Design, material: Material) -> None:
    """Refuse a study whose instructions show a picture of its trials or checks, be it under another number.

    Raises:
        Conflict: with the numbers of the images.
    """
    examples = {opened.images[index].tobytes(): index for index in design.example_images}
    pictures = [(examples.get(opened.images[index].tobytes()), index) for index in sorted(material.parents)]
    if both := [f"{example} and {index}" for example, index in pictures if example is not None]:
        raise Conflict(
            "The instructions would show what is asked about: these images of the examples and of the trials or checks"
            f" are the same picture: {', '.join(both[:10])}. Make the study with other example images."
        )


def _train(opened: ImageSet) -> list[int]:
    if "train" not in opened.splits:
        raise Invalid(f"Image set {opened.name!r} has no split called 'train' to draw images from.")
    return [int(index) for index in opened.splits["train"]]


def _of_chosen_classes(indices: Sequence[int], opened: ImageSet, design: Design) -> list[int]:
    """The images at `indices` that are of a class that the trials show; all where that is one class or any."""
    classes = {index for pair in design.class_pairs for index in pair}
    return [index for index in indices if len(classes) < 2 or int(opened.labels[index]) in classes]


def _is_recognised(opened: ImageSet, index: int) -> bool:
    """Whether people agree on the image's class; without human labels, whoever named the image says so."""
    if opened.human_labels is None:
        return True
    said = opened.human_labels[index]
    return bool(np.argmax(said) == opened.labels[index] and said.max() >= AGREEMENT)


def _refuse_outsiders(field: str, indices: Sequence[int], opened: ImageSet) -> None:
    train = set(_train(opened))
    if outside := [index for index in indices if index not in train]:
        _refuse(field, f"Not in the training split: {_listed(outside)}.")


def _refuse(field: str, message: str) -> NoReturn:
    raise Invalid(f"The image set does not fit the design. {message}", fields={field: [message]})


def _listed(indices: Sequence[int]) -> str:
    return ("image " if len(indices) == 1 else "images ") + ", ".join(map(str, indices[:20]))

"""How much there is to judge in a run and how much of it is kept, so that a forecast can say what that takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from django.conf import settings

from training.engine.probe import Probe
from training.evaluation import attacks
from training.evaluation.assessment import assess
from training.evaluation.calibration import N_BINS
from training.evaluation.corruptions import CorruptedSet, suite
from training.evaluation.predictions import predictions
from training.experiments.material import Material
from training.runs.judging import changes_asked, trained_sample
from training.runs.models import Run

# Bytes of an image in the files of a run, by what it was put through (`judging._as_arrays`, `_of_each_image`).
_OF_CORRUPTED, _OF_CLEAN, _OF_ATTACKED = 3, 24, 17


@dataclass(frozen=True)
class Amount:
    """Images that go through the net, images that go through it and back (attacks by gradient), and predictions that
    figures with intervals are computed of; and bytes of arrays that are kept beside the weights."""

    forward: int
    and_back: int
    figures: int
    kept: int

    def seconds(self, one: Probe, a_figure: float) -> float:
        """What this much takes at the rates of a probe, and at `a_figure` seconds for the figures of one prediction."""
        passes = self.forward * one.seconds_forward + self.and_back * one.seconds_and_back
        return passes + self.figures * a_figure


def to_judge(run: Run, material: Material) -> Amount:
    """What `judging.judge` will have to do for a run; of the Square attack the most that it may ask."""
    n_validation, n = len(material.validation), len(material.evaluation)
    an_image = 8 * (len(material.images.classes) + 1)  # logits and its number
    of_validation, of_test = n_validation * an_image, n * (an_image + 8)  # and its label
    if run.candidate:
        return Amount(n_validation, 0, n_validation, of_validation)
    if run.fold:
        held_out = len(material.folds[run.fold - 1].held_out)
        return Amount(n + held_out, 0, held_out, of_test + held_out * an_image)
    forward, and_back = n_validation + n + len(trained_sample(material.training)), 0
    temperatures = (1 if material.images.human_labels is None else 2) if n_validation else 0
    figures = n_validation + n * (1 + temperatures)  # at each of them once more
    kept, asked = of_validation + of_test, material.config.robustness
    if transforms := _transforms(material):
        forward += n * (1 + len(transforms))  # as they are once more
        kept += n * (_OF_CORRUPTED * len(transforms) + _OF_CLEAN)
    if "fgsm" in asked:
        forward, and_back, kept = forward + n, and_back + n, kept + n * _OF_ATTACKED
    if "pgd" in asked:
        forward, and_back, kept = forward + n, and_back + attacks.STEPS * n, kept + n * _OF_ATTACKED
    if "square" in asked:
        some = min(attacks.SQUARE_IMAGES, n)
        forward, kept = forward + some * attacks.QUERIES, kept + some * _OF_ATTACKED
    return Amount(forward, and_back, figures, kept)


def to_show(run: Run, material: Material) -> int:
    """Bytes of what the pages of a run are made of (`training.reports.run.services`): of each image three facts, its
    place in five orders, and what model and people say; and where each cell and bin begins."""
    n, k = len(material.validation if run.candidate else material.evaluation), len(material.images.classes)
    said = 1 if material.images.human is None else 2
    return n * (8 * (3 + 5) + 4 * k * said) + 8 * (k**2 + 1 + N_BINS + 1)


def to_store(material: Material) -> int:
    """Bytes of corrupted test images that all runs are judged on and that no earlier experiment has stored."""
    if not (transforms := _transforms(material)):
        return 0
    images = np.asarray(material.images.images[material.evaluation])
    test_set = CorruptedSet(settings.VAR / "corrupted", images)
    return images.nbytes * sum(not test_set.path(*one).exists() for one in transforms)


def _transforms(material: Material) -> list[tuple[str, int]]:
    groups = changes_asked(material.config.robustness)
    return list(suite(groups)) if groups else []


def seconds_of_figures(material: Material) -> float:
    """Seconds that the figures of one prediction take, from those of as many made-up ones as there are test images."""
    n, n_classes = len(material.evaluation), len(material.images.classes)
    rng = np.random.default_rng(0)
    human = None if material.images.human_labels is None else rng.dirichlet(np.ones(n_classes), n)
    labels = material.images.labels[material.evaluation]
    made_up = predictions(labels=labels, logits=rng.normal(size=(n, n_classes)), human=human)
    start = time.perf_counter()
    assess(made_up)
    return (time.perf_counter() - start) / n

"""What a trained model is judged on: validation and test images, three temperatures, some of the training images,
held-out mixed images, and what images were put through.

Figures of one run, with intervals over its images; what lies between arms is the report's. What was asked for and
could not be measured is said, under `not_assessed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from django.conf import settings
from numpy.typing import NDArray
from torch import nn

from hilmix.jobs.progress import Progress
from training.engine.predict import predict
from training.evaluation import attacks, intervals, metrics, people, robustness
from training.evaluation.assessment import against_mixup, assess
from training.evaluation.corruptions import CORRUPTIONS, EXTRA, GROUPS, CorruptedSet, suite
from training.evaluation.predictions import predictions
from training.evaluation.risk import risk
from training.evaluation.scores import score
from training.evaluation.temperature import Temperature, fit_temperature, scaled
from training.evaluation.values import Value
from training.experiments.material import Material
from training.runs.models import Run

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

NO_VALIDATION = "no validation images were set apart"
NO_HUMAN = "the image set has no human labels"
CORRUPTED = ("noise", "blur", "weather", "digital", EXTRA)
ATTACKS = ("fgsm", "pgd", "square")
FAILURES = 12
TRAINED = 2_000  # training images, at most, whose accuracy is set beside that of the test images


@dataclass
class Judged:
    """`metrics` and `evaluations` of a run's row, and the arrays of its files."""

    metrics: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, Any] = field(default_factory=dict)
    predictions: Arrays = field(default_factory=dict)
    corrupted: Arrays = field(default_factory=dict)


def judge(
    model: nn.Module,
    run: Run,
    material: Material,
    *,
    device: torch.device,
    progress: Progress,
    steps: int = 0,
) -> Judged:
    """Everything that is asked of a run, which took so many `steps`. A candidate of a tuned arm is judged on validation
    alone, as nothing else may choose it; a fold on the mixed images that it held out, and scored on the test images, as
    no more of it is read."""
    look = _Look(model, material, device, progress, steps)
    found = Judged()
    missing: dict[str, str] = {}
    if run.candidate:
        validation = look.validation(found, missing)
        found.metrics = score(*validation) if validation else {}
    elif run.fold:
        look.scored(found)
        look.mixed(found, run, missing)
    else:
        look.test(found, look.validation(found, missing), missing)
        look.training(found)
        look.tampered(found, run.arm.experiment.config.get("robustness", []), run.seed)
    if missing:
        found.evaluations["not_assessed"] = missing
    return found


@dataclass
class _Look:
    model: nn.Module
    material: Material
    device: torch.device
    progress: Progress
    steps: int

    def logits(self, images: NDArray[np.uint8]) -> Floats:
        self.progress.check()
        return predict(self.model, images, device=self.device)

    def of(self, indices: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64], Floats | None]:
        """Logits, labels and people's labels of images of the image set."""
        images = self.material.images
        human = None if images.human_labels is None else np.asarray(images.human_labels[indices])
        return self.logits(np.asarray(images.images[indices])), images.labels[indices], human

    def said(self, indices: NDArray[np.int64]) -> NDArray[Any] | None:
        """People's votes on images of the image set where they are known, else their labels."""
        human = self.material.images.human
        return None if human is None else np.asarray(human[indices])

    def validation(
        self, found: Judged, missing: dict[str, str]
    ) -> tuple[Floats, NDArray[np.int64], Floats | None] | None:
        indices = self.material.validation
        if not len(indices):
            missing["validation"] = missing["temperature"] = NO_VALIDATION
            return None
        self._say("judging on the validation images")
        logits, labels, human = self.of(indices)
        found.evaluations["validation"] = _assessed(logits, labels, self.said(indices))
        found.predictions |= {"validation_indices": indices, "validation_logits": logits}
        return logits, labels, human

    def scored(self, found: Judged) -> tuple[Floats, NDArray[np.int64], Floats | None]:
        """The scores on the test images and the predictions they are of, without intervals."""
        self._say("judging on the test images")
        logits, labels, human = self.of(self.material.evaluation)
        found.metrics = score(logits, labels, human)
        found.predictions |= {"indices": self.material.evaluation, "labels": labels, "logits": logits}
        return logits, labels, human

    def training(self, found: Judged) -> None:
        """Accuracy on training images as they are, neither mixed nor augmented: of a sample, the same for all runs."""
        self._say("judging on training images")
        indices = trained_sample(self.material.training)
        logits, labels, _ = self.of(indices)
        share = float((logits.argmax(axis=1) == labels).mean())
        accuracy = Value(share, len(labels), intervals.wilson(share, len(labels)))
        found.evaluations["training"] = {"accuracy": accuracy.as_json()}

    def test(
        self,
        found: Judged,
        validation: tuple[Floats, NDArray[np.int64], Floats | None] | None,
        missing: dict[str, str],
    ) -> None:
        logits, labels, human = self.scored(found)
        said = self.said(self.material.evaluation)
        found.evaluations["test"] = _assessed(logits, labels, said)
        if human is None:
            missing["people"] = NO_HUMAN
        if validation is not None:
            fitted_on, hard, soft = validation
            found.evaluations["temperature"] = {
                "hard": _cooled(fit_temperature(fitted_on, hard), logits, labels, said),
                "human": _cooled(fit_temperature(fitted_on, soft), logits, labels, said),
            }

    def mixed(self, found: Judged, run: Run, missing: dict[str, str]) -> None:
        """The mixed images that this fold held out, against people's answers; λ is what mixup says, no truth."""
        self._say("judging on held-out mixed images")
        material = self.material
        rows = material.folds[run.fold - 1].held_out
        logits = self.logits(material.mixed_images[rows])
        log_p = metrics.log_softmax(logits)
        found.predictions |= {"mixed_rows": rows, "mixed_logits": logits}
        block: dict[str, Any] = {"n": len(rows)}
        if material.answers is None or material.judged_by is None:
            missing["mixed"] = "the release has no labels that are the mean of answers"
        else:
            q = material.answers[rows]
            answered = np.isfinite(q).all(axis=1)
            block |= {"policy": material.judged_by[0], "n_answered": int(answered.sum())}
            if answered.any():
                block["people"] = _against_people(log_p[answered], q[answered])
            else:
                missing["mixed"] = "nobody answered the mixed images that were held out"
        first, second = material.images.labels[material.parents[rows]].T
        unlike = first != second
        if unlike.any():
            said = against_mixup(
                log_p[unlike], first[unlike], second[unlike], material.data.lambdas()[rows][unlike]
            )
            block["mixup"] = {key: value.as_json() for key, value in said.items()}
        found.evaluations["mixed"] = block

    def tampered(self, found: Judged, asked: list[str], seed: int) -> None:
        if not asked:
            return
        material = self.material
        images, labels = (
            np.asarray(material.images.images[material.evaluation]),
            material.images.labels[material.evaluation],
        )
        block: dict[str, Any] = {}
        if groups := changes_asked(asked):
            put_through = self._put_through(images, labels, groups)
            block |= _of_corruptions(put_through, groups)
            found.corrupted = _as_arrays(put_through)
        if wanted := [name for name in ATTACKS if name in asked]:
            block["attacks"] = self._attacked(found, images, labels, wanted, seed)
        right = found.predictions["logits"].argmax(axis=1) == labels
        share = float(right.mean())
        block["clean_accuracy"] = Value(share, len(labels), intervals.wilson(share, len(labels))).as_json()
        found.evaluations["robustness"] = block

    def _put_through(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], groups: tuple[str, ...]
    ) -> robustness.Assessment:
        keys = suite(groups)
        test_set = CorruptedSet(settings.VAR / "corrupted", images)
        done = iter(range(len(keys) + 1))

        def of(some: NDArray[np.uint8]) -> Floats:
            self._say("judging corrupted images", next(done), len(keys))
            return self.logits(some)

        return robustness.assess(of, test_set, labels, keys)

    def _attacked(
        self,
        found: Judged,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        names: list[str],
        seed: int,
    ) -> dict[str, Any]:
        """The figures of each attack; what it did to each image goes into `found.predictions`."""
        some = np.sort(np.random.default_rng(0).permutation(len(images))[: attacks.SQUARE_IMAGES])
        made: dict[str, attacks.Attacked] = {}
        for name in names:
            self._say(f"attacking by {name}")
            self.progress.check()
            if name == "fgsm":
                made[name] = attacks.fgsm(self.model, images, labels, device=self.device)
            elif name == "pgd":
                made[name] = attacks.pgd(self.model, images, labels, device=self.device, seed=seed)
            else:
                made[name] = attacks.square(
                    self.model,
                    images[some],
                    labels[some],
                    device=self.device,
                    queries=attacks.QUERIES,
                    seed=seed,
                )
        before = metrics.cross_entropies(metrics.log_softmax(found.predictions["logits"]), labels)
        block: dict[str, Any] = {}
        for name, one in made.items():
            rows = some if name == "square" else np.arange(len(images))
            block[name] = _of_attack(one, loss_before=float(before[rows].mean()))
            found.predictions |= _of_each_image(one, rows)
        if len(made) == len(ATTACKS):
            alike = {
                name: replace(one, correct=one.correct[some])
                for name, one in made.items()
                if name != "square"
            }
            block["masked_gradients"] = asdict(attacks.masked_gradients(**alike, square=made["square"]))
        return block

    def _say(self, what: str, done: int | None = None, total: int | None = None) -> None:
        self.progress.check()
        self.progress.update(self.steps if done is None else done, total or self.steps, what)


def changes_asked(asked: Sequence[str]) -> tuple[str, ...]:
    """The groups of changes that test images are put through, by what a configuration has under `robustness`."""
    geometric = ("geometric",) if "geometric" in asked else ()
    return (*(CORRUPTED if "corruptions" in asked else ()), *geometric)


def trained_sample(training: NDArray[np.int64]) -> NDArray[np.int64]:
    """The training images that are judged: all, or `TRAINED` of them, always the same ones; ascending."""
    return np.sort(np.random.default_rng(0).permutation(training)[:TRAINED])


def _assessed(logits: Floats, labels: NDArray[np.int64], human: NDArray[Any] | None) -> dict[str, Any]:
    return assess(predictions(labels=labels, logits=logits, human=human)).as_json()


def _cooled(
    fitted: Temperature, logits: Floats, labels: NDArray[np.int64], human: NDArray[Any] | None
) -> dict[str, Any]:
    """A temperature and the test figures with it; why there is none where it was not fitted."""
    if fitted.value is None:
        return {"not_assessed": " ".join(fitted.undefined)}
    return {
        "T": fitted.value,
        "loss_before": fitted.loss_before,
        "loss_after": fitted.loss_after,
        "undefined": list(fitted.undefined),
        "test": _assessed(scaled(logits, fitted.value), labels, human),
    }


def _against_people(log_p: Floats, q: Floats) -> dict[str, Any]:
    """The figures against people's answers, with intervals over the images, and the floors that need no votes."""
    p = np.exp(log_p)
    terms = people.terms(log_p, p, q)
    uncertainty, human = metrics.entropies(p), metrics.entropies(q)

    def figures(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        means = {key: weights @ term / total for key, term in terms.items()}
        return means | people.entropy_correlations(uncertainty, human, weights)

    n = len(q)
    values, ends = intervals.bootstrap(figures, n)
    floors = people.labels_alone(q)
    said = {}
    for key, value in values.items():
        one = robustness.value_of(
            value, ends[key], n, ("not defined on these images: a variation is missing",)
        )
        said[key] = replace(one, floor=floors.get(key)).as_json()
    return said


def _of_corruptions(found: robustness.Assessment, groups: tuple[str, ...]) -> dict[str, Any]:
    """Error rates by severity, the risk score where all its groups were run, and the worst failures."""
    wrong = found.wrong_under.mean(axis=1)
    block: dict[str, Any] = {"corruptions": {}, "geometric": {}}
    geometric = {name for name, _ in suite(("geometric",))}
    for (name, _), share in zip(found.transforms, wrong, strict=True):
        block["geometric" if name in geometric else "corruptions"].setdefault(name, []).append(float(share))
    block = {key: rates for key, rates in block.items() if rates}
    if "corruptions" in block:
        block["mean_error"] = float(np.mean([block["corruptions"][name] for name in CORRUPTIONS]))
    if set(GROUPS) <= set(groups) and found.right.any():
        block["risk"] = risk(found).as_json()
    block["failures"] = [asdict(one) for one in robustness.failures(found, FAILURES)]
    return block


def _as_arrays(found: robustness.Assessment) -> Arrays:
    """What a report needs to compare two arms: `names` and `severities` [T], `predicted` uint8 and `p_label` float16
    [T, N], and the same of the images as they are."""
    names, severities = zip(*found.transforms, strict=True)
    kind = np.uint8 if found.predicted_under.max() < 256 else np.uint16
    return {
        "names": np.array(names),
        "severities": np.array(severities),
        "labels": found.labels,
        "predicted": found.predicted_under.astype(kind),
        "p_label": found.p_label_under.astype(np.float16),
        "clean_predicted": found.predicted,
        "clean_p_label": found.p_label,
    }


def _of_attack(one: attacks.Attacked, *, loss_before: float) -> dict[str, Any]:
    n, accuracy = len(one.correct), one.accuracy
    return {
        "n": n,
        "epsilon": one.epsilon,
        "accuracy": Value(accuracy, n, intervals.wilson(accuracy, n)).as_json(),
        "loss_before": loss_before,
        "loss": one.mean_loss,
        "trajectory": list(one.trajectory),
        "zero_gradients": one.zero_gradients,
        "queries": None if one.queries is None else float(one.queries.mean()),
    }


def _of_each_image(one: attacks.Attacked, rows: NDArray[np.int64]) -> Arrays:
    """What a report needs to cross images and seeds: `rows`, the places of the attacked images among the test images,
    `correct` bool and `loss` float64, each [n] and under the attack's name."""
    each: Arrays = {"rows": rows, "correct": one.correct, "loss": one.loss}
    return {f"{one.name}_{key}": values for key, values in each.items()}

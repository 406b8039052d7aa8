"""Making the explanation of a run: its model is looked into, pictures and map are kept. Only the job imports this
module, as it imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from django.urls import reverse
from django.utils import timezone
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from hilmix.errors import Invalid
from hilmix.figures import Figure
from hilmix.jobs.progress import Progress
from hilmix.version import code_version
from training.engine.device import pick_device, settled
from training.engine.net_table import NET_TABLE
from training.engine.nets import Normalised
from training.engine.predict import load_model, predict
from training.evaluation.explain.cams import class_maps
from training.evaluation.explain.features import penultimate
from training.evaluation.explain.manifest import HeatMaps
from training.evaluation.explain.projections import project
from training.evaluation.explain.rollout import rollout_maps
from training.evaluation.metrics import log_softmax
from training.experiments.fitting import ANSWERS
from training.experiments.labels import answers_to
from training.experiments.material import Material, material_of
from training.explanations import galleries, maps
from training.explanations.services import keep_explanation, why_not
from training.runs import keeping
from training.runs.models import Run
from training.runs.work import chosen

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FORMAT = "hilmix-explanation/1"
GALLERY, MAP = "explain/gallery.npy", "explain/map.npy"  # pictures uint8 [n, H, W, C], by their place
_STEPS = 5


def explain(progress: Progress, run_id: int) -> None:
    """Make and keep the explanation of one run. Raises `Invalid` where it cannot be explained."""
    run = Run.objects.select_related("arm__experiment__release__study", "arm__experiment__image_set").get(
        pk=run_id
    )
    if said := why_not(run):
        raise Invalid(said)
    progress.update(0, _STEPS, "opening the run")
    config, device = chosen(run), pick_device()
    material = material_of(run.arm.experiment)
    images = material.images
    model = load_model(
        run.directory / keeping.WEIGHTS,
        net=config.net,
        image_shape=material.image_shape,
        n_classes=len(images.classes),
    ).to(device)
    # The kernels that give the same bits again do not know every gradient.
    with settled(config.threads, deterministic=False):
        _Look(run, config.net, model, material, device, progress).explain()
    progress.log("the heat maps and the map of features are kept")


@dataclass
class _Look:
    run: Run
    net: str
    model: Normalised
    material: Material
    device: torch.device
    progress: Progress

    def explain(self) -> None:
        album = galleries.Album(self._address("gallery"))
        notes: list[str] = []
        figures = [*self._of_mixed(album, notes), *self._of_mistakes(album, notes)]
        drawn = self._map(notes)
        self._say(4, "keeping it")
        # The pictures stand in their folder before the row that shows them.
        pictures = np.stack(album.pictures) if album.pictures else np.zeros((0, 1, 1, 3), dtype=np.uint8)
        keeping.write_array(self.run, GALLERY, pictures)
        experiment = self.run.arm.experiment
        content = {
            "format": FORMAT,
            "watermark": experiment.release.study.watermark,
            "figures": [figure.as_dict() for figure in figures],
            "map": drawn,
            "notes": notes,
            "provenance": [
                ["run", f"{self.run.pk}, {self.run.title}"],
                ["net", self.net],
                ["configuration", experiment.config_sha256],
                ["release", f"{experiment.release.name}, {experiment.release.sha256}"],
                ["image set", f"{experiment.image_set.name}, {experiment.image_set.sha256}"],
                ["device", str(self.device)],
                ["code", f"hilmix {code_version()}"],
            ],
            "written_at": timezone.now().isoformat(timespec="seconds"),
        }
        keep_explanation(run=self.run, content=content)
        self._say(_STEPS, "done")

    @cached_property
    def source(self) -> str:
        experiment = self.run.arm.experiment
        return (
            f"run {self.run.pk} ({self.run.title}), release {experiment.release.name}, "
            f"configuration {experiment.config_sha256[:12]}, hilmix {code_version()}"
        )

    @cached_property
    def rows(self) -> Ints:
        """The mixed images that are looked at: of two classes, of a fold those that it held out; at most as many as the
        map has place for, drawn at random."""
        material = self.material
        rows = material.folds[self.run.fold - 1].held_out if self.run.fold else np.arange(material.data.n)
        first, second = material.images.labels[material.parents[rows]].T
        lambdas = material.data.lambdas()[rows]
        rows = rows[(first != second) & (lambdas > 0) & (lambdas < 1)]
        return rows[maps.drawn(len(rows), maps.MIXED)]

    @cached_property
    def mixed(self) -> galleries.Mixed:
        material = self.material
        classes = material.images.labels[material.parents[self.rows]]
        people = self.people
        both = np.full((len(self.rows), 2), np.nan)
        if people is not None:
            both = np.take_along_axis(people[self.rows], classes, axis=1)
        total = both.sum(axis=1)
        return galleries.Mixed(
            rows=self.rows,
            lambdas=material.data.lambdas()[self.rows],
            classes=classes,
            parents=material.parents[self.rows],
            p=self._shares(material.mixed_images[self.rows]),
            people=np.where(total > 0, both[:, 0] / np.where(total > 0, total, 1), np.nan),
        )

    @cached_property
    def people(self) -> Floats | None:
        """What people said of all mixed images of the release, float64 [n, K], NaN where nobody answered; None where it
        cannot be told whose answers to look at."""
        material = self.material
        if material.answers is not None:
            return material.answers
        policy = next((name for name in ANSWERS if name in material.data.policies), None)
        if policy is None:
            return None
        try:
            return answers_to(
                material.data, policy, material.records.get(self.run.arm.name, {}).get("condition")
            )
        except DataError:  # several ways of asking, and this arm has none of them
            return None

    def _of_mixed(self, album: galleries.Album, notes: list[str]) -> list[Figure]:
        """A gallery of mixed images for each method that the net allows."""
        self._say(0, "predicting mixed images")
        if not len(self.rows):
            notes.append("The release has no mixed images of two classes to look at.")
            return []
        self._say(1, "making heat maps")
        places, n_drawn = galleries.pick(self.mixed)
        some, material = self.mixed.of(places), self.material
        pixels = material.mixed_images[some.rows]
        parents = np.asarray(material.images.images[some.parents])
        about = f"{len(some.rows)} of {len(self.rows):,} mixed images: {n_drawn} drawn at random, the same in every run"
        if len(some.rows) > n_drawn:
            about += ", then those on which the shares of model and people are furthest apart"
        about += f". {self._trained_on(some.rows)}"
        return [
            galleries.mixed_gallery(
                some, n_drawn, pixels, parents, found, logits, album,
                classes=material.images.classes, about=about, source=self.source,
            )
            for found, logits in self._maps(pixels, some.classes)
        ]  # fmt: skip

    def _of_mistakes(self, album: galleries.Album, notes: list[str]) -> list[Figure]:
        """The images whose wrong class it is most sure of, by the first method that the net allows."""
        indices, labels, p = self._looked_at
        sure = np.where(p.argmax(axis=1) == labels, -1.0, p.max(axis=1))
        wrong = np.argsort(-sure, kind="stable")[: min(galleries.MISTAKES, int((sure >= 0).sum()))]
        if not len(wrong):
            notes.append(f"It is right on every {self.which} image, so there is no mistake to look at.")
            return []
        pixels = np.asarray(self.material.images.images[indices[wrong]])
        pairs = np.stack([labels[wrong], p[wrong].argmax(axis=1)], axis=1)
        found, _logits = self._maps(pixels, pairs, most=1)[0]
        return [
            galleries.mistakes_gallery(
                indices[wrong], labels[wrong], p[wrong], pixels, found, album,
                classes=self.material.images.classes, n=len(indices), n_wrong=int((sure >= 0).sum()), which=self.which,
                source=self.source,
            )
        ]  # fmt: skip

    def _map(self, notes: list[str]) -> dict[str, Any] | None:
        """The map of features of plain and mixed images; None, with a note, where none can be made."""
        self._say(2, "reading features")
        indices, labels, p = self._looked_at
        material, images = self.material, self.material.images
        some = maps.drawn(len(indices), maps.PLAIN)
        pixels = np.concatenate([
            np.asarray(images.images[indices[some]]), material.mixed_images[self.rows]
        ])  # fmt: skip
        features = penultimate(self.model, pixels, device=self.device)
        self._say(3, "arranging images on a plane")
        try:
            projections = project(features, seed=0)
        except DataError as error:
            notes.append(f"There is no map of features: {error}.")
            return None
        human = None if images.human_labels is None else np.asarray(images.human_labels[indices[some]])
        points = maps.points_of(
            plain=indices[some],
            labels=labels[some],
            plain_p=p[some],
            plain_people=human,
            rows=self.rows,
            classes=self.mixed.classes,
            lambdas=self.mixed.lambdas,
            mixed_p=self.mixed.p,
            mixed_people=None if self.people is None else self.people[self.rows],
        )
        about = f"{len(some):,} of {len(indices):,} {self.which} images"
        if len(self.rows):
            about += f" and {len(self.rows):,} of {material.data.n:,} mixed images of the release"
        about += f". {self._trained_on(self.rows)}" if len(self.rows) else "."
        keeping.write_array(self.run, MAP, maps.small(pixels))
        return maps.map_of(
            projections,
            points,
            features,
            classes=images.classes,
            which=self.which,
            about=about,
            source=self.source,
        )

    def _maps(
        self, pixels: NDArray[np.uint8], classes: Ints, *, most: int = 2
    ) -> list[tuple[HeatMaps, Floats | None]]:
        """Heat maps of images by each method of the net, with the logits where they are of classes."""
        self.progress.check()
        if NET_TABLE[self.net].rollout:
            return [(rollout_maps(self.model, self.net, pixels, device=self.device), None)]
        made = [
            class_maps(self.model, self.net, pixels, classes, device=self.device, method=method)
            for method in ("grad_cam", "grad_cam_plus_plus")[:most]
        ]
        return [(one, one.logits) for one in made]

    @cached_property
    def _looked_at(self) -> tuple[Ints, Ints, Floats]:
        """Positions, labels and predictions of the images that it is looked at with: validation images, so that nobody
        has to look at test images before an arm is chosen; test images where none were set apart."""
        images = self.material.images
        if self.which == "validation" and self.run.fold:  # of which a fold keeps no predictions
            indices = self.material.validation
            return indices, images.labels[indices], self._shares(np.asarray(images.images[indices]))
        kept = keeping.read_arrays(self.run, keeping.PREDICTIONS)
        which = "validation_" if self.which == "validation" else ""
        indices = kept[f"{which}indices"]
        return indices, images.labels[indices], np.exp(log_softmax(kept[f"{which}logits"]))

    @cached_property
    def which(self) -> str:
        return "validation" if len(self.material.validation) else "test"

    def _shares(self, pixels: NDArray[np.uint8]) -> Floats:
        if not len(pixels):
            return np.zeros((0, len(self.material.images.classes)))
        return np.exp(log_softmax(predict(self.model, pixels, device=self.device)))

    def _trained_on(self, rows: Ints) -> str:
        """Whether the run was trained on these mixed images: a model that saw them says little of what others would."""
        if self.run.fold:
            return "It was not trained on them: this fold held them out."
        own = self.material.config.arm(self.run.arm.name)
        if not own.policy:
            return "It was trained on no mixed image of the release."
        seen = self.material.mixed_of(0)[self.material.kept(own, seed=self.run.seed, fold=0)]
        n = int(np.isin(rows, seen).sum())
        return "It was trained on them." if n == len(rows) else f"It was trained on {n:,} of them."

    def _address(self, album: str) -> Callable[[int], str]:
        return lambda place: reverse("run_explanation_picture", args=[self.run.pk, album, place])

    def _say(self, done: int, text: str) -> None:
        self.progress.check()
        self.progress.update(done, _STEPS, text)

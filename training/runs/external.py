"""Predictions of a model trained elsewhere, as a run of an experiment: judged on the same images in the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hilmix.accounts.roles import Action, Actor, require
from hilmix.core.errors import DataError
from training.evaluation.assessment import assess
from training.evaluation.predictions import predictions, read_predictions
from training.evaluation.scores import score
from training.experiments.models import Experiment
from training.reports.run.services import describe_run
from training.runs import keeping
from training.runs.models import Run
from training.runs.services import add_external_run

NOT_ASSESSED = {
    "validation": "the predictions are of the test images alone",
    "temperature": "the predictions are of the test images alone",
    "robustness": "the model is not here, so nothing else can be shown to it",
}


def add_arm(*, experiment: Experiment, name: str, file: Path, seed: int, actor: Actor) -> Run:
    """A finished run of the external arm `name`, from an .npz of predictions on the experiment's test images.

    Raises `DataError` for a file that cannot be used, or whose labels are not the test images' in their order;
    `Conflict` where the name is taken.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    given = read_predictions(file)
    images = experiment.image_set.open()
    indices = images.splits[experiment.config["evaluate_on"]]
    labels = images.labels[indices]
    if given.p.shape[1] != len(images.classes):
        raise DataError(
            f"{file.name} has {given.p.shape[1]} classes, {experiment.image_set.name} has {len(images.classes)}."
        )
    if not np.array_equal(given.labels, labels):
        raise DataError(
            f"The labels in {file.name} are not those of the {len(labels)} test images of {experiment.image_set.name}, "
            f"split {experiment.config['evaluate_on']!r}, in the order of their positions in the image set."
        )
    human = None if images.human is None else np.asarray(images.human[indices])
    judged = predictions(labels=labels, logits=given.log_p, human=human)
    files = {"indices": indices, "labels": labels, "logits": given.log_p}
    run = add_external_run(
        experiment=experiment,
        name=name,
        seed=seed,
        actor=actor,
        metrics=score(given.log_p, labels, judged.human),
        evaluations={"test": assess(judged).as_json(), "not_assessed": NOT_ASSESSED},
        keep=lambda run: keeping.write_arrays(run, keeping.PREDICTIONS, files),
    )
    describe_run(run=run, images=images)
    return run

"""The kind of job that asks a model about images, and where its answer is."""

from __future__ import annotations

import os
from collections.abc import Iterable

from django.urls import reverse

from hilmix.accounts.models import User
from hilmix.jobs.links import Links, job_links
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind
from training.choices.models import Prediction
from training.choices.predicting import PREDICT_KIND, answer


def predictions_of(study_id: int) -> Iterable[object]:
    """The keys of what runs of experiments on releases of a study were asked."""
    mine = Prediction.objects.filter(run__arm__experiment__release__study=study_id)
    return mine.values_list("pk", flat=True)


@job_kind(PREDICT_KIND, queue="train", of_study=predictions_of)
def predict_images(progress: Progress, object_id: str) -> None:
    """Ask the run of the prediction `object_id` about its images."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training.tasks, before torch is loaded
    related = "run__arm__experiment__release__study", "run__arm__experiment__image_set"
    prediction = Prediction.objects.select_related(*related).get(pk=object_id)
    progress.update(0, len(prediction.names), "asking the model")
    answer(prediction)
    progress.update(len(prediction.names), len(prediction.names))
    progress.log(f"{len(prediction.names)} images answered")


@job_links(PREDICT_KIND)
def of_prediction(object_id: str, person: User) -> Links:
    """The model card of the arm whose run was asked."""
    prediction = (
        Prediction.objects.visible_to(person).select_related("run__arm__experiment").get(pk=object_id)
    )
    arm = prediction.run.arm
    page = reverse("model_card", args=[arm.experiment_id, arm.ordinal])
    return Links(f"{arm.experiment.name}: {prediction.run.title}", page)

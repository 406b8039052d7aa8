"""Images that a finished run is asked about: taken in here, answered by a job, kept no longer than that takes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from numpy.typing import NDArray
from PIL import Image

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.core.errors import DataError
from hilmix.core.loaders import FORMATS
from hilmix.errors import Conflict, Invalid
from hilmix.jobs.services import queue_job
from training.choices.asking import ImageShape, read_images
from training.choices.models import Prediction
from training.runs.keeping import WEIGHTS
from training.runs.models import Run

PREDICT_KIND = "predict_images"
FORMAT = "hilmix-prediction/1"
MOST_IMAGES = 100
LARGEST_FILE = 10_000_000  # bytes of one image
LARGEST_BODY = 50_000_000  # bytes of all of them
MOST_PIXELS = 64_000_000  # of all of them before they are made small: a bound on the work of one request
LONGEST_NAME = 200
PRIORITY = 10  # before trainings that wait: it takes seconds
KEPT = timedelta(days=2)  # the images of a request whose job never ended well
_IMAGES = "images.npy"


def shape_of(run: Run) -> ImageShape:
    """Height, width and channels of what the run was trained on."""
    images = run.arm.experiment.image_set
    return images.height, images.width, images.channels


def net_of(run: Run) -> str:
    """The name of the run's net."""
    return str(run.train.get("net") or run.arm.experiment.config["train"]["net"])


def check_askable(run: Run) -> None:
    """Raise `Conflict` where a run cannot be asked: trained elsewhere, not finished, left out, or without weights."""
    if run.arm.is_external:
        raise Conflict(_("This model was trained elsewhere: its predictions are here, its weights are not."))
    if not run.is_done:
        raise Conflict(_("This run is not finished; it can be asked when it is."))
    if run.excluded:
        raise Conflict(_("This run was left out: %(why)s It has no weights.") % {"why": run.excluded})
    if not (run.directory / WEIGHTS).is_file():
        raise Conflict(_("The weights of this run are not here any more."))


def ask(*, run: Run, files: Sequence[tuple[str, bytes]], actor: Actor) -> Prediction:
    """Take images in, each a name and the content of its file, and queue the job that asks the run about them.

    They are read at once, so that a refusal is heard at once, and kept as the pixels that the model will see.

    Raises:
        Conflict: the run has no weights.
        Invalid: there are none or too many images, one is too large, or one is no picture.
    """
    experiment = run.arm.experiment
    require(actor, Action.ASK_MODEL, experiment.release.study_id)
    check_askable(run)
    names = [_name(name) for name, _content in files]
    pixels = _pixels(names, [content for _name, content in files], shape_of(run))
    _remove_old()
    prediction = Prediction(run=run, names=names, created_by=user_or_none(actor))
    prediction.directory.mkdir(parents=True, mode=0o700)
    try:
        np.save(prediction.directory / _IMAGES, pixels)
        with transaction.atomic():
            prediction.save()
            label = f"Ask {experiment.name}: {run.title}, {len(names)} images"[:200]
            prediction.job = queue_job(
                kind=PREDICT_KIND, object_id=str(prediction.pk), label=label, actor=actor, priority=PRIORITY
            )
            prediction.save(update_fields=["job"])
            audit.record(actor, "run.asked", experiment, run=run.pk, images=len(names))
    except BaseException:
        shutil.rmtree(prediction.directory, ignore_errors=True)
        raise
    return prediction


def answer(prediction: Prediction) -> None:
    """Ask the model, keep what it says, and remove the images. Again is once: what was answered stays."""
    if prediction.result:
        return
    kept = prediction.directory / _IMAGES
    if not kept.is_file():
        raise Conflict(_("The images are no longer kept. Send them again."))
    run = prediction.run
    check_askable(run)
    result = asked(run, np.load(kept, allow_pickle=False), prediction.names)
    with transaction.atomic():
        prediction.result = result
        prediction.save(update_fields=["result"])
    shutil.rmtree(prediction.directory, ignore_errors=True)


def asked(run: Run, images: NDArray[np.uint8], names: Sequence[str]) -> dict[str, Any]:
    """What the run says of images uint8 [N, H, W, C], as JSON: each with all probabilities, in the order of `classes`,
    as trained, without a temperature. Loads torch."""
    from training.choices.asking import probabilities
    from training.engine.device import pick_device
    from training.engine.predict import load_model

    classes = run.arm.experiment.image_set.classes
    model = load_model(
        run.directory / WEIGHTS, net=net_of(run), image_shape=shape_of(run), n_classes=len(classes)
    ).to(pick_device())
    found = probabilities(model, images)
    return {
        "format": FORMAT,
        "run": run.pk,
        "model": f"{run.arm.experiment.name}: {run.title}",
        "watermark": run.arm.experiment.release.study.watermark,
        "classes": list(classes),
        "images": [
            {
                "name": name,
                "predicted": int(row.argmax()),
                "predicted_class": classes[int(row.argmax())],
                "probabilities": [round(float(share), 6) for share in row],
            }
            for name, row in zip(names, found, strict=True)
        ],
    }


def _pixels(names: Sequence[str], contents: Sequence[bytes], shape: ImageShape) -> NDArray[np.uint8]:
    """The images as the model will see them. Raises `Invalid`; what is too much is refused before it is unpacked."""
    if not contents:
        raise _refused(_("Send at least one image."))
    if len(contents) > MOST_IMAGES:
        raise _refused(
            _("These are %(n)d images; %(most)d at once are the most.")
            % {"n": len(contents), "most": MOST_IMAGES}
        )
    large = next((name for name, one in zip(names, contents, strict=True) if len(one) > LARGEST_FILE), None)
    if large is not None or sum(map(len, contents)) > LARGEST_BODY:
        what = _("The images together are") if large is None else _("%(name)s is") % {"name": large}
        raise _refused(
            _("%(what)s too large: an image may have %(each)g MB, all together %(all)g MB.")
            % {"what": what, "each": LARGEST_FILE / 1e6, "all": LARGEST_BODY / 1e6}
        )
    try:
        if sum(_size(one) for one in contents) > MOST_PIXELS:
            raise _refused(
                _(
                    "The images have more than %(most)d million pixels together. Send fewer, or make them smaller."
                )
                % {"most": MOST_PIXELS // 1_000_000}
            )
        return read_images([io.BytesIO(one) for one in contents], shape, names=names)
    except DataError as error:
        raise _refused(str(error)) from None


def _size(content: bytes) -> int:
    """How many pixels a file says that it has; 0 where it says nothing, which is refused when it is read."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            return picture.width * picture.height
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0


def _name(name: str) -> str:
    """What a file was called, without folders and what does not print."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME] or "image"


def _refused(said: str) -> Invalid:
    return Invalid(said, fields={"images": [said]})


def _remove_old() -> None:
    """Images of requests that nobody came to answer in time."""
    before = (timezone.now() - KEPT).timestamp()
    for folder in (settings.VAR / "predictions").glob("*"):
        if folder.is_dir() and folder.stat().st_mtime < before:
            shutil.rmtree(folder, ignore_errors=True)

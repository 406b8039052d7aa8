"""Releases come into being here: a study's answers, labels and mixed images become one frozen, hashed directory."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import pixels_of
from elicitation.studies.models import Study
from elicitation.trials.models import Response
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.core.files import new_directory
from hilmix.core.mixing import to_png
from hilmix.core.release import write_release
from hilmix.errors import Conflict
from hilmix.hub import rows
from hilmix.hub.answers import Answers, releasable_answers
from hilmix.hub.labels import label_sets_of, units_of
from hilmix.hub.models import Release
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job
from hilmix.version import code_version

JOB_KIND = "freeze_release"


class Unchanged(Conflict):
    """Nothing has changed since `release`, which stands for the same content."""

    def __init__(self, release: Release) -> None:
        super().__init__(f"Nothing has changed since release {release.name}; it stands for the same content.")
        self.release = release


def queue_freeze(*, study: Study, actor: User) -> Job:
    """Queue the making of a release."""
    require(actor, Action.FREEZE_RELEASE, study.pk)
    _require_answers(study)
    return queue_job(
        kind=JOB_KIND, object_id=str(study.pk), label=f"Freeze a release of “{study.title}”", actor=actor
    )


def freeze_release(*, study: Study, actor: Actor, progress: Progress) -> Release:
    """Make a release of everything answered so far. It appears complete or not at all, and never changes.

    Raises:
        Conflict: nobody has answered, or nothing has changed since a release (`Unchanged`).
    """
    require(actor, Action.FREEZE_RELEASE, study.pk)
    _require_answers(study)
    previous = study.releases.order_by("-number").first()
    number = previous.number + 1 if previous else 1
    version = f"{number}.0.0"
    root = Path(settings.VAR) / "releases"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".making-") as making:
        directory = Path(making) / "release"
        sha256 = _write(directory, study, version, progress)
        counts = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["counts"]
        release = Release(
            study=study,
            number=number,
            version=version,
            source=study.source,
            sha256=sha256,
            counts=counts,
            created_by=user_or_none(actor),
        )
        with transaction.atomic():
            _publish(release, directory)
            audit.record(actor, "release.frozen", release, name=release.name, sha256=sha256)
    progress.log(
        f"Release {release.name} holds {counts['responses']} answers of {counts['participants']} participants."
    )
    return release


def copy_release(release: Release, directory: Path) -> None:
    """Put a copy of the release's directory at `directory`, complete or not at all.

    Raises:
        DataError: something is there already.
    """
    with new_directory(directory) as temporary:
        shutil.copytree(release.directory, temporary, dirs_exist_ok=True)


def _write(directory: Path, study: Study, version: str, progress: Progress) -> str:
    answers = Answers(study)
    progress.update(0, len(answers.mixed_images), "labels")
    label_sets = label_sets_of(study, units_of(answers))
    checks = list(rows.of_checks(answers))
    return write_release(
        directory,
        tables={
            "mixed_images": rows.of_mixed_images(answers),
            "conditions": rows.of_conditions(answers),
            "responses": rows.of_responses(answers),
            "checks": checks,
            "participants": rows.of_participants(answers, checks),
            "labels": rows.of_labels(answers, label_sets),
        },
        images=_pngs(study, answers.mixed_images, progress),
        manifest={
            "name": study.slug,
            "version": version,
            "study": {"slug": study.slug, "title": study.title},
            "source": study.source,
            "protocol_sha256": answers.newest_protocol.sha256,
            "image_set": {
                "name": study.image_set.name,
                "sha256": study.image_set.sha256,
                "classes": study.image_set.classes,
            },
            "created_at": timezone.now().isoformat(timespec="seconds"),
            "code_version": code_version(),
            "rules": rows.of_rules(answers),
            "factors": rows.of_factors(answers),
            "label_sets": [rows.of_label_set(labels) for labels in label_sets],
        },
    )


def _pngs(study: Study, mixed_images: list[MixedImage], progress: Progress) -> Iterator[tuple[str, bytes]]:
    opened = study.image_set.open()
    sent: set[str] = set()
    for done, mixed_image in enumerate(mixed_images, start=1):
        progress.check()
        if mixed_image.sha256 not in sent:
            sent.add(mixed_image.sha256)
            yield mixed_image.sha256, to_png(pixels_of(mixed_image, opened))
        progress.update(done, len(mixed_images), "mixed images")


def _require_answers(study: Study) -> None:
    if releasable_answers(study).exists():
        return
    if Response.objects.filter(trial__participation__study=study).exists():
        raise Conflict(f"Nobody who answered “{study.title}” agreed that their answers are published.")
    raise Conflict(f"Nobody has answered “{study.title}” yet, so there is nothing to release.")


def _publish(release: Release, directory: Path) -> None:
    """Move the directory to its place and write its row, one release of a study at a time."""
    study = Study.objects.select_for_update().get(pk=release.study_id)
    if same := study.releases.filter(sha256=release.sha256).first():
        raise Unchanged(same)
    if study.releases.filter(number=release.number).exists():
        raise Conflict("Somebody else froze a release of this study meanwhile. Try again.")
    if release.directory.exists():  # left by a call that was killed before its row was written
        shutil.rmtree(release.directory)
    directory.rename(release.directory)
    release.save()

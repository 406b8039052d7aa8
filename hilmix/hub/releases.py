"""Releases come into being here: a study's answers, labels and mixed images become one frozen, hashed directory."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from elicitation.mixes.services import pixels_of
from elicitation.studies.models import Study
from elicitation.trials.models import Response
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.core.files import new_directory
from hilmix.core.mixing import to_png
from hilmix.core.release import Release as OpenRelease
from hilmix.core.release_changes import FIRST_VERSION, Change, compare, next_version
from hilmix.core.release_writing import write_release
from hilmix.errors import Conflict
from hilmix.hub import release_facts, rows
from hilmix.hub.answers import Answers, releasable_answers
from hilmix.hub.labels import features_of_parents, label_sets_of, units_and_pairs
from hilmix.hub.models import Freeze, Release
from hilmix.hub.release_options import FreezeOptions, licences_of, proposed_options
from hilmix.hub.withdrawn import pseudonym_in
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job
from hilmix.version import code_version

JOB_KIND = "freeze_release"
A_DAY = 24 * 60 * 60  # seconds; nothing that is older is still being made


class Unchanged(Conflict):
    """Nothing has changed since `release`, which stands for the same content."""

    def __init__(self, release: Release) -> None:
        super().__init__(f"Nothing has changed since release {release.name}; it stands for the same content.")
        self.release = release


def queue_freeze(*, study: Study, actor: User, options: FreezeOptions | None = None) -> Job:
    """Queue the making of a release, with what was chosen for it or else with what is proposed.

    Raises:
        Invalid: something chosen cannot be so.
        Conflict: nobody has answered, or licences do not go together.
    """
    require(actor, Action.FREEZE_RELEASE, study.pk)
    chosen = _checked(study, options)
    with transaction.atomic():
        wish = Freeze.objects.create(study=study, options=chosen.as_json(), created_by=actor)
        label = f"Freeze a release of “{study.title}”"
        return queue_job(kind=JOB_KIND, object_id=str(wish.pk), label=label, actor=actor)


def carry_out(*, wish: Freeze, actor: Actor, progress: Progress) -> Release:
    """Make the release that was wished for, unless one stands for the same content: made for this wish, or earlier."""
    if wish.release is not None:
        return wish.release
    options = FreezeOptions(**wish.options)
    try:
        return freeze_release(study=wish.study, actor=actor, progress=progress, options=options, wish=wish)
    except Unchanged as unchanged:
        progress.log(unchanged.message)
        return unchanged.release


def release_of(wish: Freeze) -> Release | None:
    """What a wish that was carried out came to: the release made for it, or else the newest that was there."""
    earlier = wish.study.releases.exclude(frozen_by__gt=wish.pk)
    return wish.release or earlier.order_by("-number").first()


def freeze_release(
    *,
    study: Study,
    actor: Actor,
    progress: Progress,
    options: FreezeOptions | None = None,
    wish: Freeze | None = None,
) -> Release:
    """Make a release of everything answered so far. It appears complete or not at all, and never changes.

    Its version follows from what differs from the release before (`core.release_changes`). `wish` is told which
    release it became.

    Raises:
        Invalid: something chosen cannot be so.
        Conflict: nobody has answered, licences do not go together, somebody withdrew while it was made, or nothing
            has changed since a release (`Unchanged`).
    """
    require(actor, Action.FREEZE_RELEASE, study.pk)
    chosen = _checked(study, options)
    root = Path(settings.VAR) / "releases"
    root.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(root)
    with tempfile.TemporaryDirectory(dir=root, prefix=".making-") as temporary:
        directory = Path(temporary) / "release"
        making = _Making(study, chosen, progress)
        try:
            release = making.write(directory)
        except ValueError:  # tables do not fit together, or are empty, if answers went while they were read
            _refuse_withdrawal(study, making.answers.until)
            raise
        release.created_by = user_or_none(actor)
        with transaction.atomic():
            _publish(release, directory, making.answers.until)
            if wish is not None:
                wish.release = release
                wish.save(update_fields=["release"])
            audit.record(actor, "release.frozen", release, name=release.name, sha256=release.sha256)
    progress.log(
        f"Release {release.name} holds {release.counts['responses']} answers of "
        f"{release.counts['participants']} participants."
    )
    return release


def copy_release(release: Release, directory: Path) -> None:
    """Put a copy of the release's directory at `directory`, complete or not at all.

    Raises:
        DataError: something is there already.
    """
    with new_directory(directory) as temporary:
        shutil.copytree(release.directory, temporary, dirs_exist_ok=True)


class _Making:
    """One release being made: gathers a study's answers, writes them, and says what changed since the one before."""

    def __init__(self, study: Study, options: FreezeOptions, progress: Progress) -> None:
        self.study, self.options, self.progress = study, options, progress
        self.previous = study.releases.order_by("-number").first()
        self.number = self.previous.number + 1 if self.previous else 1
        self.answers = Answers(study, self.number)
        self.change: Change | None = None

    def write(self, directory: Path) -> Release:
        """Write everything to `directory`; return the release that it is, not saved yet."""
        answers = self.answers
        self.progress.update(0, len(answers.mixed_images), "labels")
        mixed, pairs = units_and_pairs(answers)
        features = features_of_parents(answers.image_set, mixed)
        label_sets = label_sets_of(self.study, mixed, pairs, features, self.progress.log)
        checks = list(rows.of_checks(answers))
        manifest = {
            **self._chosen(),
            **self._of_the_study(),
            "label_sets": [rows.of_label_set(labels) for labels in label_sets],
            "agreement": release_facts.agreement(mixed, label_sets),
        }
        del mixed, pairs  # as much as all answers, while tables are written that need none of it
        sha256 = write_release(
            directory,
            tables={
                "mixed_images": rows.of_mixed_images(answers),
                "conditions": rows.of_conditions(answers),
                "responses": rows.of_responses(answers),
                "trials": rows.of_trials(answers),
                "checks": checks,
                "participants": rows.of_participants(answers, checks),
                "labels": rows.of_labels(answers, label_sets),
            },
            images=_pngs(answers, self.progress),
            manifest=manifest,
            settle=self._settle,
        )
        return Release(
            study=self.study,
            number=self.number,
            version=self.version,
            source=self.study.source,
            sha256=sha256,
            counts=self.counts,
            images=self.options.images,
            previous=self.previous,
            change=self.change.as_json() if self.change else {},
        )

    def _chosen(self) -> dict[str, Any]:
        return {
            "images": self.options.images,
            "licences": licences_of(self.study, self.options),
            "creators": self.options.creators,
            "description": self.options.description,
        }

    def _of_the_study(self) -> dict[str, Any]:
        study, answers = self.study, self.answers
        return {
            "name": study.slug,
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
            "collected": release_facts.collected(answers),
            "consent": release_facts.consent(answers),
        }

    def _settle(self, directory: Path, manifest: dict[str, Any]) -> dict[str, Any]:
        """Version, and what changed, once the tables are written and can be compared with those of the release
        before."""
        self.counts = manifest["counts"]
        self.version = FIRST_VERSION
        if self.previous is None:
            return {"version": self.version, "previous": None, "change": None}
        old = self.previous
        same_person = {
            pseudonym_in(old, person.public_id): person.name for person in self.answers.people.values()
        }
        self.change = compare(old.opened, OpenRelease(directory, manifest), same_person)
        if not self.change.level:
            raise Unchanged(old)
        self.version = next_version(old.version, self.change.level)
        previous = {"name": old.study.slug, "version": old.version, "sha256": old.sha256}
        return {"version": self.version, "previous": previous, "change": self.change.entry()}


def _pngs(answers: Answers, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Each picture once, as lossless PNG."""
    n, sent = len(answers.mixed_images), set[str]()
    for done, mixed_image in enumerate(answers.mixed_images, start=1):
        progress.check()
        if mixed_image.sha256 not in sent:
            sent.add(mixed_image.sha256)
            yield mixed_image.sha256, to_png(pixels_of(mixed_image, answers.image_set))
        progress.update(done, n, "mixed images")


def _checked(study: Study, options: FreezeOptions | None) -> FreezeOptions:
    """What the release is made with, if it may be made at all."""
    require_answers(study)
    chosen = proposed_options(study) if options is None else options
    chosen.check()
    licences_of(study, chosen)
    return chosen


def require_answers(study: Study) -> None:
    """Raise Conflict where a study has no answer that may leave it, saying why."""
    if releasable_answers(study).exists():
        return
    if Response.objects.filter(trial__participation__study=study).exists():
        raise Conflict(f"Nobody who answered “{study.title}” agreed that their answers are published.")
    raise Conflict(f"Nobody has answered “{study.title}” yet, so there is nothing to release.")


def last_withdrawal(study: Study) -> datetime | None:
    """When somebody last withdrew from a study."""
    return study.participations.aggregate(last=Max("withdrawn_at"))["last"]


def _refuse_withdrawal(study: Study, since: datetime) -> None:
    """Raise Conflict where somebody withdrew since, whose answers were perhaps read before."""
    withdrawal = last_withdrawal(study)
    if withdrawal is not None and withdrawal >= since:
        raise Conflict("Somebody withdrew while the release was made, so it was thrown away. Freeze again.")


def _remove_leftovers(root: Path) -> None:
    """Remove what calls left that were killed: unfinished folders, and releases whose row was never written. Younger
    ones than a day stay: somebody may be making them."""
    frozen = set(Release.objects.values_list("sha256", flat=True))
    for path in root.iterdir():
        if path.name not in frozen and path.is_dir() and path.stat().st_mtime < time.time() - A_DAY:
            shutil.rmtree(path)


def _publish(release: Release, directory: Path, until: datetime) -> None:
    """Move the directory to its place and write its row, one release of a study at a time; `until` when its answers
    began to be read."""
    study = Study.objects.select_for_update().get(pk=release.study_id)
    _refuse_withdrawal(study, until)
    if same := study.releases.filter(sha256=release.sha256).first():
        raise Unchanged(same)
    if study.releases.filter(number=release.number).exists():
        raise Conflict("Somebody else froze a release of this study meanwhile. Try again.")
    if release.directory.exists():  # left by a call that was killed before its row was written
        shutil.rmtree(release.directory)
    directory.rename(release.directory)
    release.save()

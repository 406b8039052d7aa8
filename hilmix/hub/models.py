"""The data hub: source rows of imports as they were published, and frozen releases of soft labels."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.functional import cached_property

from elicitation.studies.models import Source, Study
from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.core import release as core_release
from hilmix.errors import NotFound


class Import(models.Model):
    """One import of published answers into a study."""

    study = models.OneToOneField(Study, models.PROTECT, related_name="imported_by")
    kind = models.CharField(max_length=20)
    flaws = models.JSONField(default=list, help_text="list of {table, row, flaw}; nothing was repaired")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class SourceRow(models.Model):
    """A row of a published table, verbatim, and the answer that was read from it, if any."""

    imported_by = models.ForeignKey(Import, models.CASCADE, related_name="rows")
    table = models.CharField(max_length=60)
    row = models.PositiveIntegerField(help_text="position in the file, the first row after the header is 0")
    values = models.JSONField(help_text="column name → text, as it stands in the file")
    response = models.OneToOneField(Response, models.SET_NULL, null=True, related_name="source_row")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["imported_by", "table", "row"], name="one_source_row")]


class ReleaseQuerySet(models.QuerySet["Release"]):
    def visible_to(self, person: User | AnonymousUser) -> ReleaseQuerySet:
        return self.filter(study__in=Study.objects.visible_to(person))

    def resolve(self, name: str) -> Release:
        """The release called `name`: `hmix` is the newest of study hmix, `hmix@1.0.0` is that one.

        Raises:
            NotFound: there is none; the message lists what there is.
        """
        slug, _, version = name.partition("@")
        found = self.filter(study__slug=slug)
        if version:
            found = found.filter(version=version)
        release = found.order_by("-number").first()
        if release is None:
            known = ", ".join(sorted(r.name for r in self.select_related("study"))) or "none yet"
            raise NotFound(f"There is no release called {name!r}. Releases here: {known}.")
        return release


class Release(models.Model):
    """A frozen directory of answers and soft labels, named by study and version, never changed."""

    study = models.ForeignKey(Study, models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField(help_text="counts the study's releases from 1")
    version = models.CharField(max_length=20)
    source = models.CharField(max_length=9, choices=Source.choices)
    sha256 = models.CharField(max_length=64, help_text="content hash of the directory")
    counts = models.JSONField(help_text="participants, responses, mixed_images")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    n_withdrawn: int  # not stored: counted for whoever shows it (withdrawn.py)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["study", "number"], name="one_release_per_number")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.study.slug}@{self.version}"

    @property
    def directory(self) -> Path:
        return Path(settings.VAR) / "releases" / self.sha256

    @cached_property
    def opened(self) -> core_release.Release:
        """The directory's content for pages to show, its files not checked again."""
        manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        return core_release.Release(self.directory, manifest)


class Simulation(models.Model):
    """A study carried out by simulated participants, once through the services and many times in memory.

    `copy` holds the answers of the one that went through the services; the study itself is not touched. `result` says
    which protocol and hypotheses were simulated (a draft's are changed in place) and how often each hypothesis was
    found, by the number of answers a unit.
    """

    study = models.ForeignKey(Study, models.CASCADE, related_name="simulations")
    release = models.ForeignKey(Release, models.PROTECT, related_name="+")
    copy = models.OneToOneField(Study, models.SET_NULL, null=True, related_name="simulated_from")
    options = models.JSONField(help_text="what was asked for: repetitions, numbers of answers, seed")
    result = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

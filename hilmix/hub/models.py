"""The data hub: source rows of imports as they were published, and frozen releases of soft labels."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from elicitation.studies.models import Source, Study
from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.core import release as core_release
from hilmix.errors import NotFound


class Import(models.Model):
    """One import of published answers into a study. Studies that one call imported together share `together`."""

    study = models.OneToOneField(Study, models.PROTECT, related_name="imported_by")
    kind = models.CharField(max_length=20)
    together = models.UUIDField(default=uuid.uuid4, db_index=True)
    licence = models.CharField(
        max_length=60,
        blank=True,
        help_text="of the answers: a name of core.licences, empty where none was stated",
    )
    origin = models.CharField(max_length=300, blank=True, help_text="whom to credit for the answers")
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

    class Images(models.TextChoices):
        INCLUDED = "included", _("included")
        RECIPE_ONLY = "recipe-only", _("recipes only")  # rebuilt from the user's own copy of the image set

    study = models.ForeignKey(Study, models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField(help_text="counts the study's releases from 1")
    version = models.CharField(max_length=20)
    source = models.CharField(max_length=9, choices=Source.choices)
    sha256 = models.CharField(max_length=64, help_text="content hash of the directory")
    counts = models.JSONField(help_text="participants, responses, mixed_images")
    images = models.CharField(max_length=11, choices=Images.choices, default=Images.INCLUDED)
    previous = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="following",
        help_text="the release it was compared with",
    )
    change = models.JSONField(
        default=dict,
        help_text="what differs from the release before: level (major, minor, patch), tables, reasons",
    )
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    n_withdrawn: int  # not stored: counted for whoever shows it (withdrawn.py)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["study", "number"], name="one_release_per_number")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("release", args=[self.pk])

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


class Freeze(models.Model):
    """A wish to freeze a release, with what was chosen for it; `release` once it was made."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="freezes")
    options = models.JSONField(default=dict, help_text="hub.releases.FreezeOptions")
    release = models.OneToOneField(Release, models.SET_NULL, null=True, related_name="frozen_by")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class Analysis(models.Model):
    """Figures and tables that a job computed from a study's answers, stored so that a page never computes any."""

    class Kind(models.TextChoices):
        ANSWERS = "answers", _("what people say")
        LABELS = "labels", _("how well labels predict people")

    study = models.ForeignKey(Study, models.CASCADE, related_name="analyses")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    options = models.JSONField(default=dict, help_text="what was asked for: seed, repetitions")
    content = models.JSONField(default=dict)
    n_responses = models.PositiveIntegerField(default=0, help_text="answers it was made of")
    code_version = models.CharField(max_length=60, blank=True)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "analyses"


class Export(models.Model):
    """A table of a study's answers as one file to download, as they were when it was made."""

    class Format(models.TextChoices):
        CSV = "csv", "csv"
        PARQUET = "parquet", "Parquet"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, models.CASCADE, related_name="exports")
    format = models.CharField(max_length=7, choices=Format.choices)
    n_rows = models.PositiveBigIntegerField(null=True)
    n_bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    @property
    def path(self) -> Path:
        return Path(settings.VAR) / "exports" / f"{self.pk}.{self.format}"


class Upload(models.Model):
    """A file somebody brought to be imported, what is to be made of it, and how that went. Then the file goes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, help_text="a name of hub.importers.registry")
    filename = models.CharField(max_length=200, help_text="as its owner calls it; never a path of ours")
    n_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    options = models.JSONField(default=dict, help_text="what the importer of this kind asks for")
    dry_run = models.BooleanField(default=True)
    report = models.JSONField(default=dict, help_text="counts, flaws and errors by table, row and column")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.filename

    def get_absolute_url(self) -> str:
        return reverse("upload", args=[self.pk])

    @property
    def path(self) -> Path:
        return Path(settings.VAR) / "uploads" / str(self.pk)

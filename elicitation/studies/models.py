"""A study: which mixed images are shown to whom, how they are asked, and in which words."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from elicitation.images.models import ImageSet
from elicitation.mixes.models import MixedImage, Pair
from hilmix.accounts.models import User
from hilmix.accounts.roles import ALLOWED, Action, Role, only_study_of


class Source(models.TextChoices):
    """Where answers come from. A label set and a release hold answers of exactly one source."""

    PERSON = "person", _("people")
    SIMULATED = "simulated", _("simulated")
    IMPORTED = "imported", _("imported")


class Mode(models.TextChoices):
    """What a participation is for. Only live ones are counted, labelled and released; modes share no places."""

    LIVE = "live", _("live")
    PILOT = "pilot", _("pilot")  # people try the study out before it opens
    PREVIEW = "preview", _("preview")  # a researcher looks at what participants see


class StudyQuerySet(models.QuerySet["Study"]):
    def visible_to(self, person: User | AnonymousUser) -> StudyQuerySet:
        """The studies this person may see: all for admins, those with a membership for researchers, none else.

        With a token of one study, no other.
        """
        if isinstance(person, AnonymousUser) or not person.is_active:
            return self.none()
        study_id = only_study_of(person)
        here = self if study_id is None else self.filter(pk=study_id)
        if Role.ADMIN in ALLOWED[Action.VIEW_STUDY] and person.kind == User.Kind.ADMIN:
            return here
        return here.filter(memberships__user=person)


class Study(models.Model):
    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        PILOT = "pilot", _("pilot")  # a draft that people with the pilot link may try out
        OPEN = "open", _("open")
        PAUSED = "paused", _("paused")
        CLOSED = "closed", _("closed")

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120)
    state = models.CharField(max_length=6, choices=State.choices, default=State.DRAFT)
    source = models.CharField(max_length=9, choices=Source.choices, default=Source.PERSON)
    image_set = models.ForeignKey(ImageSet, models.PROTECT, related_name="studies")
    copied_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="copies")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = StudyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("study", args=[self.slug])

    @property
    def protocol(self) -> Protocol:
        """The version in force."""
        return self.protocols.latest("version")

    @property
    def is_only_analysed(self) -> bool:
        """Whether nobody is asked any more, so that only what is made of the answers may change."""
        return self.state == self.State.CLOSED or self.source == Source.IMPORTED

    @property
    def watermark(self) -> str:
        """What every page and figure about these answers carries; empty for answers of people."""
        return str(_("simulated participants")) if self.source == Source.SIMULATED else ""


class Protocol(models.Model):
    """All that decides what a participant sees and how answers are read: interface, design, texts, display.

    With it stands what was planned to be made of the answers: hypotheses and rules.

    It is frozen at the first live answer under it. Its content is never changed once anybody takes part under it; a
    change then makes a new version.
    """

    study = models.ForeignKey(Study, models.CASCADE, related_name="protocols")
    version = models.PositiveIntegerField(default=1)
    content = models.JSONField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True, blank=True, help_text="of the first live answer")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "version"], name="one_protocol_per_version")]


class Condition(models.Model):
    """How an answer was asked: interface and options, perspective, wording, bonus rule, language, display.

    Every trial refers to one. Answers under different conditions are never pooled unless a label policy names them.
    """

    study = models.ForeignKey(Study, models.CASCADE, related_name="conditions")
    content = models.JSONField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "sha256"], name="one_condition_per_way_of_asking")
        ]

    @property
    def key(self) -> str:
        """How releases name it."""
        return self.sha256[:12]


class CheckImage(models.Model):
    """An unmixed image (λ of 0 or 1) that everybody recognises, for attention checks. Never a unit, never labelled."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="check_images")
    mixed_image = models.ForeignKey(MixedImage, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "mixed_image"], name="one_check_per_image")]


class Batch(models.Model):
    """The units that one participant answers; several participants answer the same batch."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="batches")
    mode = models.CharField(max_length=7, choices=Mode.choices, default=Mode.LIVE)
    ordinal = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "ordinal"], name="one_batch_per_ordinal")]


class Unit(models.Model):
    """What an answer is about and is counted for: a mixed image, or a pair where the interface asks about pairs."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="units")
    ordinal = models.PositiveIntegerField()
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="+")
    mixed_image = models.ForeignKey(MixedImage, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["batch_id", "ordinal"]
        constraints = [models.UniqueConstraint(fields=["batch", "ordinal"], name="one_unit_per_ordinal")]


class Slot(models.Model):
    """One place in a batch and in a cell. It is held by a participation until answered, or until its lease ends.

    `cell` counts the combinations of levels that differ between people (factors.cells_of), so that whoever takes a
    place that was given back keeps the cells balanced.
    """

    class State(models.TextChoices):
        FREE = "free", _("free")
        HELD = "held", _("held")
        FILLED = "filled", _("filled")

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="slots")
    ordinal = models.PositiveIntegerField()
    cell = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=6, choices=State.choices, default=State.FREE)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "ordinal"], name="one_slot_per_ordinal")]
        indexes = [models.Index(fields=["batch", "state"])]

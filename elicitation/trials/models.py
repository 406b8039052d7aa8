"""The plan of a participation and the answers to it. The plan is written once; answers are only ever inserted."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from elicitation.mixes.models import MixedImage, Pair
from elicitation.participants.models import Participation
from elicitation.studies.models import Condition, Unit


class Trial(models.Model):
    """One question of a participant's plan: a pair at one or more λ, shown with the drawn `params` at `position`."""

    class Kind(models.TextChoices):
        MAIN = "main", _("main")
        REPEAT = "repeat", _("repeat")
        CHECK = "check", _("attention check")

    participation = models.ForeignKey(Participation, models.CASCADE, related_name="trials")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=6, choices=Kind.choices)
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="+")
    unit = models.ForeignKey(
        Unit, models.PROTECT, null=True, related_name="trials", help_text="none for an attention check"
    )
    condition = models.ForeignKey(Condition, models.PROTECT, related_name="trials")
    levels = models.JSONField(default=dict, help_text="factor → level, of every factor of the study")
    params = models.JSONField(
        default=dict, help_text="what the interface drew for this trial, e.g. the left class"
    )

    class Meta:
        ordering = ["participation_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["participation", "position"], name="one_trial_per_position"),
            models.CheckConstraint(
                condition=models.Q(kind="check", unit__isnull=True)
                | (~models.Q(kind="check") & models.Q(unit__isnull=False)),
                name="only_checks_have_no_unit",
            ),
        ]


class TrialImage(models.Model):
    """A mixed image that a trial shows; the order is the order shown."""

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="images")
    order = models.PositiveIntegerField()
    mixed_image = models.ForeignKey(MixedImage, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["trial_id", "order"]
        constraints = [models.UniqueConstraint(fields=["trial", "order"], name="one_image_per_place")]


class Response(models.Model):
    """A valid answer to one trial. Its id comes from the browser, so sending it twice saves it once."""

    id = models.UUIDField(primary_key=True)
    trial = models.OneToOneField(Trial, models.PROTECT, related_name="response")
    payload = models.JSONField()
    payload_sha256 = models.CharField(max_length=64)
    rt_ms = models.PositiveIntegerField(
        null=True, help_text="milliseconds on the page; kept where the study states why it needs times"
    )
    trial_index = models.PositiveIntegerField(
        null=True, help_text="the how-manieth answer of the participation, over all windows"
    )
    time_elapsed_ms = models.PositiveBigIntegerField(
        null=True, help_text="milliseconds in the study until the answer, over all windows"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(auto_now_add=True)
    epoch = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=1)

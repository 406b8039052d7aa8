"""People taking part: the place they hold, where they are on the way, what they consented to.

Who they are stands apart, in `Identity`, and goes nowhere else.
"""

from __future__ import annotations

import secrets

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from elicitation.studies.models import Mode, Protocol, Slot, Source, Study

# jsPsych's alphabet for subject ids: no letter that is read as another.
PUBLIC_ID_ALPHABET = "0123456789abcdefghjklmnopqrstuvwxyz"


def new_public_id() -> str:
    return "".join(secrets.choice(PUBLIC_ID_ALPHABET) for _ in range(15))


def new_seed() -> int:
    return secrets.randbits(62)


class Participation(models.Model):
    """One person's passage through one study."""

    class State(models.TextChoices):
        RUNNING = "running", _("answering")  # consented, holds a plan
        ANSWERED = "answered", _("all answers held")  # every planned answer is on the server
        COMPLETED = "completed", _("completed")  # passed the closing page; has the code
        DECLINED = "declined", _("screened out")  # did not pass comprehension
        WITHDRAWN = "withdrawn", _("withdrawn")  # took part, and took it back

    FINISHED = (State.ANSWERED, State.COMPLETED)  # every planned answer is here

    public_id = models.CharField(max_length=15, unique=True, default=new_public_id)
    study = models.ForeignKey(Study, models.PROTECT, related_name="participations")
    protocol = models.ForeignKey(Protocol, models.PROTECT, related_name="participations")
    slot = models.ForeignKey(Slot, models.PROTECT, null=True, related_name="participations")
    source = models.CharField(max_length=9, choices=Source.choices)
    mode = models.CharField(max_length=7, choices=Mode.choices, default=Mode.LIVE)
    levels = models.JSONField(
        default=dict, help_text="factor → level, of the factors that vary between people"
    )
    turn = models.PositiveSmallIntegerField(
        default=0, help_text="which turn of the levels within people the plan has, in its batch and cell"
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    seed = models.BigIntegerField(default=new_seed)
    drawn = models.JSONField(
        default=dict, help_text="what the interface drew once for this person, e.g. the order of the classes"
    )
    epoch = models.PositiveIntegerField(default=0, help_text="how many times the trials page was opened")
    comprehension_passed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    invalid_at = models.DateTimeField(
        null=True, blank=True, help_text="when somebody marked it as not to count"
    )
    invalid_reason = models.CharField(max_length=300, blank=True)
    measures = models.JSONField(default=dict, help_text="how it was answered, by the name of a flag")
    completion_code = models.CharField(max_length=12, blank=True)
    comments = models.TextField(blank=True)
    survey = models.JSONField(default=dict, help_text="answers to the closing questions, by name")

    class Meta:
        constraints = [
            # The last guard of allocation, on every database: nobody shares a live slot.
            models.UniqueConstraint(
                fields=["slot"],
                condition=models.Q(state__in=["running", "answered", "completed"], slot__isnull=False),
                name="one_live_participation_per_slot",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("study_participation", args=[self.study.slug, self.public_id])

    @property
    def points(self) -> dict[str, int]:
        """The answers on scales to the closing questions: free text might say who wrote it."""
        return {name: answer for name, answer in self.survey.items() if isinstance(answer, int)}

    @property
    def is_over_quota(self) -> bool:
        """Whether it is one of `over_quota`."""
        finished = self.state in self.FINISHED and self.source != Source.IMPORTED
        return finished and self.slot_id is None and self.invalid_at is None


def over_quota() -> models.Q:
    """Participations that finished although their place had gone to somebody else: paid, exported, one too many."""
    over = models.Q(state__in=Participation.FINISHED, slot=None, invalid_at=None)
    return over & ~models.Q(source=Source.IMPORTED)


class Departure(models.Model):
    """Somebody who came and did not take part. Nothing is kept but how it ended, and when."""

    class Outcome(models.TextChoices):
        NO_CONSENT = "no_consent", _("declined")
        FULL = "full", _("no place was free")
        EXCLUDED = "excluded", _("took part in a study that this one excludes")
        WRONG_DEVICE = "wrong_device", _("the device was not fit for it")

    study = models.ForeignKey(Study, models.CASCADE, related_name="departures")
    mode = models.CharField(max_length=7, choices=Mode.choices, default=Mode.LIVE)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    created_at = models.DateTimeField(auto_now_add=True)


class Identity(models.Model):
    """Who a participation is at the recruiter. Looked up by HMAC only; the text is encrypted; never exported."""

    participation = models.OneToOneField(Participation, models.CASCADE, related_name="identity")
    study = models.ForeignKey(Study, models.CASCADE, related_name="+")
    pid_hmac = models.CharField(max_length=64)
    pid_ciphertext = models.TextField()
    typed = models.BooleanField(default=False, help_text="typed in by the person, not told by the recruiter")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "pid_hmac"], name="one_participation_per_person")
        ]


class Consent(models.Model):
    """What was agreed to: the hash of the text shown, and each box by name."""

    participation = models.OneToOneField(Participation, models.CASCADE, related_name="consent")
    text_sha256 = models.CharField(max_length=64)
    boxes = models.JSONField()
    publish = models.BooleanField(default=True, help_text="pseudonymous answers may be part of releases")
    contact = models.BooleanField(default=False, help_text="may be contacted about this research")
    given_at = models.DateTimeField(auto_now_add=True)


class ParticipationEvent(models.Model):
    """Something that happened on the way: a comprehension round, a preload failure, a reload, a conflicting answer."""

    id = models.UUIDField(primary_key=True)
    participation = models.ForeignKey(Participation, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=40)
    t_ms = models.PositiveBigIntegerField(default=0, help_text="milliseconds since the page was opened")
    data = models.JSONField(default=dict)
    received_at = models.DateTimeField(auto_now_add=True)


class ProblemReport(models.Model):
    """What somebody reported with "Report a problem", and on which page. Kept apart from answers."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="problem_reports")
    participation = models.ForeignKey(
        Participation, models.SET_NULL, null=True, related_name="problem_reports"
    )
    page = models.CharField(max_length=40)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

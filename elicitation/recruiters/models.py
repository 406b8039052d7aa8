"""Where participants of a study come from, and what the recruiter calls their submissions."""

from __future__ import annotations

from django.db import models

from elicitation.participants.models import Participation
from elicitation.studies.models import Study


class Recruitment(models.Model):
    """How people come to a study. Completion codes are among the options, so they are no part of the protocol."""

    study = models.OneToOneField(Study, models.CASCADE, related_name="recruitment")
    recruiter = models.CharField(max_length=20, default="direct")
    options = models.JSONField(default=dict, help_text="of the recruiter: its study's id, codes by outcome")
    excludes = models.ManyToManyField(
        Study, related_name="+", blank=True, help_text="studies whose participants may not take part"
    )


class Submission(models.Model):
    """One stay of a person as the recruiter counts it: somebody who returned and came back has two.

    Like `Identity` it says who somebody is: looked up by HMAC only, the text encrypted, never exported.
    """

    participation = models.ForeignKey(Participation, models.CASCADE, related_name="submissions")
    study = models.ForeignKey(Study, models.CASCADE, related_name="+")
    session_hmac = models.CharField(max_length=64)
    session_ciphertext = models.TextField()
    status = models.CharField(max_length=40, blank=True, help_text="as the recruiter says it, never inferred")
    status_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "session_hmac"], name="one_submission_per_session")
        ]

"""What the page of an experiment offers to do with its configuration again."""

from __future__ import annotations

from typing import Any

from django import template

from hilmix.accounts.roles import Action, allowed
from training.experiments.models import Experiment
from training.trends.series import later_releases

register = template.Library()


@register.inclusion_tag("training/_again.html", takes_context=True)
def train_again(context: dict[str, Any], experiment: Experiment) -> dict[str, Any]:
    """The buttons, for whoever may launch; nothing is looked up for anybody else."""
    request = context["request"]
    may = allowed(request.user, Action.LAUNCH_EXPERIMENT)
    later = later_releases(experiment) if may else []
    return {"experiment": experiment, "may_launch": may, "later": later}

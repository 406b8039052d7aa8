"""What training shows on a release's page: what was trained on earlier ones, and can be trained anew on this one."""

from __future__ import annotations

from hilmix.accounts.models import User
from hilmix.hub.models import Release
from hilmix.hub.release_parts import Part, release_part
from training.trends.series import to_retrain_on

SHOWN = 8


@release_part
def retrained_on(release: Release, person: User) -> Part:
    return Part("training/_release_part.html", {"experiments": to_retrain_on(release, person)[:SHOWN]})

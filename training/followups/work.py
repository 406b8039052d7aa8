"""The labels of a follow-up, as a job estimates and keeps them: `var/follow-ups/<id>.json`."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from elicitation.participants.models import Participation
from hilmix.core.errors import DataError
from hilmix.core.judgements import Unit
from hilmix.core.release import Release as OpenRelease
from hilmix.core.release_answers import condition_for, units_of_release
from hilmix.hub.answers import Answers
from hilmix.hub.labels import units_of
from training.followups.models import FollowUp


def labels_file(follow_up_id: int) -> Path:
    return Path(settings.VAR) / "follow-ups" / f"{follow_up_id}.json"


def labels_of(follow_up: FollowUp) -> dict[str, Any] | None:
    """What was estimated last; None before."""
    path = labels_file(follow_up.pk)
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


def n_withdrawn_since(follow_up: FollowUp, told: dict[str, Any] | None) -> int:
    """How many people of whom these labels were estimated have taken their answers back since."""
    at = parse_datetime(told["at"]) if told else None
    if at is None:
        return 0
    withdrew = follow_up.study.participations.filter(
        mode="live", state=Participation.State.WITHDRAWN, started_at__lt=at, withdrawn_at__gt=at
    )
    return withdrew.exclude(trials__response__isnull=False).count()


def estimate_labels(follow_up: FollowUp) -> dict[str, Any]:
    """Estimate the labels from what people have said by now, and keep them.

    Raises:
        DataError: nobody has answered yet.
    """
    from training.followups.estimating import Image, estimated
    from training.followups.figures import figures_of

    release = follow_up.release.opened
    said = units_of_release(release, _condition(release))
    by_key, new = (
        {unit.key: unit for unit in said},
        {one.key: one for one in units_of(Answers(follow_up.study))},
    )
    table = (
        release.table("mixed_images").select(["key", "first_class", "second_class", "lambda_e4"]).to_pylist()
    )
    images = []
    for one in follow_up.images.all():
        row = table[one.row]
        nobody = Unit(row["key"], row["lambda_e4"], row["first_class"], row["second_class"], ())
        before = follow_up.rule["before"][str(one.row)]
        images.append(
            Image(
                one.row,
                one.picked_as,
                one.inclusion_probability,
                before["model"],
                before["people"],
                by_key.get(row["key"], nobody),
                new.get(row["key"], nobody),
            )
        )
    told = estimated(images, _only_mixed(said, table), len(follow_up.study.image_set.classes))
    source = (
        f"Release {follow_up.release.name} ({follow_up.release.sha256[:12]}); study {follow_up.study.slug}"
    )
    told |= {
        "at": timezone.now().isoformat(),
        "figures": [
            one.as_dict()
            for one in figures_of(told, source, simulated=follow_up.release.study.source == "simulated")
        ],
    }
    _keep(labels_file(follow_up.pk), told)
    return told


def _only_mixed(units: list[Unit], table: list[dict[str, Any]]) -> list[Unit]:
    """Those about mixed images, not about pairs."""
    keys = {row["key"] for row in table}
    return [unit for unit in units if unit.key in keys]


def _condition(release: OpenRelease) -> str:
    """Under which condition the answers were given by which held-out images are judged."""
    for policy in ("human_lambda", "distribution", "uniform_redistribution"):
        if policy in release.policies:
            try:
                return release.label_set(policy)["condition"] or ""
            except DataError:
                break
    return condition_for(release)


def _keep(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)

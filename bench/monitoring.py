"""Watching a study with 100,000 answers: the monitor's page, the list of participations, and the list of releases.

Pages are asked for through the whole of Django, by an admin who is signed in; baselines compute the same numbers in SQL
without a page. How many queries there are must not depend on how much there is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.baselines import plain_join, plain_monitor
from bench.material import answered_study, image_set, signed_in
from bench.measure import Figure, at_most, speed
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Design
from hilmix.hub.models import Release

# 1,000 mixed images, each answered by 100 people: 100,000 answers of 2,000 participants.
LARGE = Design(n_mixed_images=1000, trials_per_person=50, repeats=0, answers_per_unit=100)
SMALL = Design(n_mixed_images=50, trials_per_person=50, repeats=0, answers_per_unit=2)
RELEASES = 200


def figures() -> Iterator[Figure]:
    images, person = image_set(), signed_in()
    small, large = answered_study(images, "small", SMALL), answered_study(images, "large", LARGE)
    database = plain_join.connect(Path(os.environ["HILMIX_VAR"]))
    for name, page, baseline in (
        ("monitor", "monitor/", plain_monitor.monitor),
        ("participations", "participations/", plain_monitor.participations),
    ):
        few, many = (f"/studies/{study.slug}/{page}" for study in (small, large))
        yield queries_more(f"monitoring.{name}_queries", person, lambda at=few: at, lambda at=many: at)
        yield speed(
            f"monitoring.{name}",
            lambda at=many: _get(person, at),
            lambda compute=baseline: compute(database, large.pk),
            goal=0.15,
            unit="× speed of plain SQL and numpy for the same numbers of 100,000 answers",
            work=1,
            n=5,
        )
    yield _releases(person, small)


def _get(person: Client, address: str) -> None:
    reply = person.get(address)
    if reply.status_code != 200:
        raise RuntimeError(f"{address} answers {reply.status_code}")


def queries_more(name: str, person: Client, few: Callable[[], str], many: Callable[[], str]) -> Figure:
    """How many more queries a page needs where there is more; each page is asked for twice, the first warms up."""
    counts = []
    for prepare in (few, many):
        address = prepare()
        _get(person, address)
        with CaptureQueriesContext(connection) as queries:
            _get(person, address)
        counts.append(len(queries))
    return at_most(
        name,
        [counts[1] - counts[0]],
        0,
        f"queries more for a large study than the {counts[0]} for a small one",
    )


def _releases(person: Client, study: Study) -> Figure:
    """The list of one release, and of many, of a study from which somebody withdrew."""

    def list_of(n: int) -> str:
        there = Release.objects.count()
        Release.objects.bulk_create(
            Release(
                study=study,
                number=number + 1,
                version=f"{number + 1}.0.0",
                source=Source.SIMULATED,
                sha256=f"{number:064x}",
                counts={"participants": 2, "responses": 100, "mixed_images": 50},
            )
            for number in range(there, n)
        )
        return "/releases/"

    return queries_more("hub.releases_queries", person, lambda: list_of(1), lambda: list_of(RELEASES))

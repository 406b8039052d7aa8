"""Which experiments are one configuration on several releases of a study, and on which it may be trained anew."""

from __future__ import annotations

from django.db.models import F, QuerySet

from hilmix.accounts.roles import OPERATOR, Actor
from hilmix.hub.models import Release
from training.experiments.models import Experiment


def series_of(experiment: Experiment, *, person: Actor = OPERATOR) -> list[Experiment]:
    """The experiments of the same configuration (but for its name) and images on the releases of a study, in the order
    of the releases: `experiment` itself, and of each other release the newest, one with a report before one without."""
    alike = Experiment.objects.visible_to(person).filter(
        recipe_sha256=experiment.recipe_sha256,
        release__study=experiment.release.study_id,
        image_set__sha256=experiment.image_set.sha256,
    )
    of_release: dict[int, Experiment] = {}
    for one in sorted(
        with_compared(alike), key=lambda one: (one.pk == experiment.pk, hasattr(one, "report"), one.pk)
    ):
        of_release[one.release_id] = one
    return sorted(of_release.values(), key=lambda one: one.release.number)


def with_compared(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    """With what was last compared, which arm validation images put first (`first_arm`, None where they put none), and
    the choice; without the rest of their reports."""
    related = ("release__study", "image_set", "origin__release__study", "report", "choice")
    return (
        experiments.select_related(*related)
        .defer("report__content")
        .annotate(over_time=F("report__content__over_time"), first_arm=F("report__content__choice__arm"))
    )


def later_releases(experiment: Experiment) -> list[Release]:
    """The releases of the study that came after the experiment's, the newest first, that the configuration is not
    trained on yet."""
    later = Release.objects.filter(study=experiment.release.study_id, number__gt=experiment.release.number)
    alike = Experiment.objects.filter(
        recipe_sha256=experiment.recipe_sha256, image_set__sha256=experiment.image_set.sha256
    )
    later = later.exclude(pk__in=alike.values("release"))
    return list(later.select_related("study").order_by("-number"))


def to_retrain_on(release: Release, person: Actor) -> list[Experiment]:
    """The experiments on earlier releases of its study whose configuration is not trained on `release` yet; of each
    configuration the one on the newest release."""
    seen = Experiment.objects.visible_to(person).filter(release__study=release.study_id)
    here = set(seen.filter(release=release).values_list("recipe_sha256", flat=True))
    earlier = seen.filter(release__number__lt=release.number).select_related("release__study")
    newest = {one.recipe_sha256: one for one in earlier.order_by("release__number", "pk")}
    return [one for recipe, one in newest.items() if recipe not in here][::-1]

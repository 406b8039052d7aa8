"""The kinds of elicitation and of the hub in the lineage, in the order of the chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import F, Min, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from elicitation.images.models import ImageSet
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies.models import CheckImage, Mode, Protocol, Source, Study
from elicitation.studies.shown import mixed_images_shown_in, studies_that_show
from elicitation.trials.models import Response, Trial, TrialImage
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.core.mixing import lambda_text
from hilmix.hub.lineage import Kind, Many, Node, by_finding, by_many, by_one, register
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn, releases_with


def _image_sets(person: User) -> Many:
    if allowed(person, Action.VIEW_IMAGE_SETS):
        return ImageSet.objects.all()
    return ImageSet.objects.filter(studies__in=Study.objects.visible_to(person)).distinct()


def _studies(person: User) -> Many:
    newest = Protocol.objects.filter(study=OuterRef("pk")).order_by("-version").values("sha256")[:1]
    return Study.objects.visible_to(person).annotate(protocol_sha256=Subquery(newest))


def _mixed_images(person: User) -> Many:
    studies = Study.objects.visible_to(person)
    checks = MixedImage.objects.filter(
        pk__in=CheckImage.objects.filter(study__in=studies).values("mixed_image")
    )
    return (mixed_images_shown_in(studies) | checks).select_related("pair__image_set")


def _shown_in_studies_of(releases: Many) -> Many:
    return mixed_images_shown_in(Study.objects.filter(releases__in=releases), Mode.LIVE)


def _releases_with(mixed_images: Many) -> Many:
    return Release.objects.filter(study__in=studies_that_show(mixed_images, Mode.LIVE))


def _shown_by(trials: Many) -> Many:
    return MixedImage.objects.filter(pk__in=TrialImage.objects.filter(trial__in=trials).values("mixed_image"))


def _trials(person: User) -> Many:
    related = ("participation__study", "condition")
    return Trial.objects.filter(participation__study__in=Study.objects.visible_to(person)).select_related(
        *related
    )


def _responses(person: User) -> Many:
    mine = Response.objects.filter(trial__participation__study__in=Study.objects.visible_to(person))
    return mine.select_related("trial__participation__study")


def _may_be_released(responses: Many) -> Many:
    """Live answers to what is no attention check, by people who agreed to it where people were asked."""
    agreed = Q(trial__participation__consent__publish=True) | ~Q(trial__participation__source=Source.PERSON)
    return responses.filter(agreed, trial__participation__mode=Mode.LIVE).exclude(
        trial__kind=Trial.Kind.CHECK
    )


def _released_in(releases: Many) -> Many:
    """The answers that came before the release was made and may be released; taken back ones are gone."""
    study = "trial__participation__study__releases"
    came = Response.objects.filter(**{f"{study}__in": releases}, received_at__lte=F(f"{study}__created_at"))
    return _may_be_released(came)


def _releases_that_hold(trials: Many) -> Many:
    """A release holds every trial of its people; it stays as it is when they withdraw."""
    holding = releases_with(Participation.objects.filter(trials__in=trials))
    return Release.objects.filter(pk__in=[release.pk for release in holding])


def _releases_of(responses: Many) -> Many:
    holding = _releases_that_hold(Trial.objects.filter(response__in=responses))
    since = responses.exclude(trial__kind=Trial.Kind.CHECK).aggregate(first=Min("received_at"))["first"]
    return holding.none() if since is None else holding.filter(created_at__gte=since)


def _of_image_sets(image_sets: Sequence[ImageSet]) -> Iterator[Node]:
    for one in image_sets:
        size = f"{one.n_images} × {one.height} × {one.width} × {one.channels}"
        url = reverse("image_set", args=[one.name])
        yield Node("image_set", str(one.pk), one.name, url, one.sha256, _("of the images"), (size,))


def _of_studies(studies: Sequence[Any]) -> Iterator[Node]:
    for one in studies:
        yield Node(
            kind="study",
            key=str(one.pk),
            title=one.title,
            url=reverse("study", args=[one.slug]),
            sha256=one.protocol_sha256,
            hash_of=_("of the protocol"),
            facts=(str(one.get_source_display()), str(one.get_state_display())),
            watermark=one.watermark,
        )


def _of_mixed_images(mixed_images: Sequence[MixedImage]) -> Iterator[Node]:
    for one in mixed_images:
        pair, classes = one.pair, one.pair.image_set.classes
        names = f"{classes[pair.first_class]} · {classes[pair.second_class]}"
        facts = (names, f"λ {lambda_text(one.lambda_e4)}", one.method)
        yield Node("mixed_image", str(one.pk), one.key, "", one.sha256, _("of the pixels"), facts)


def _of_trials(trials: Sequence[Trial]) -> Iterator[Node]:
    for one in trials:
        title, url = _place_of(one)
        yield Node(
            kind="trial",
            key=str(one.pk),
            title=title,
            url=url,
            sha256=one.condition.sha256,
            hash_of=_("of how it was asked"),
            facts=(str(one.get_kind_display()), str(one.participation.get_mode_display())),
            watermark=one.participation.study.watermark,
        )


def _of_responses(responses: Sequence[Response]) -> Iterator[Node]:
    for one in responses:
        title, url = _place_of(one.trial)
        person = one.trial.participation
        imported = person.source == Source.IMPORTED  # when it was given is not known
        yield Node(
            kind="response",
            key=str(one.pk),
            title=title,
            url=url,
            sha256=one.payload_sha256,
            hash_of=_("of the answer"),
            facts=() if imported else (f"{one.received_at:%Y-%m-%d %H:%M} UTC",),
            warning=_("withdrawn; the answer stays without a name")
            if person.state == Participation.State.WITHDRAWN
            else "",
            watermark=person.study.watermark,
        )


def _place_of(trial: Trial) -> tuple[str, str]:
    """Whose trial it is and which, and where it is shown."""
    person = trial.participation
    page = reverse("study_participation", args=[person.study.slug, person.public_id])
    return f"{person.public_id}, {_('trial')} {trial.position + 1}", f"{page}#trial-{trial.position}"


def _of_releases(releases: Sequence[Release]) -> Iterator[Node]:
    for one in count_withdrawn(releases):
        counts = [f"{n} {name.replace('_', ' ')}" for name, n in one.counts.items()]
        yield Node(
            kind="release",
            key=str(one.pk),
            title=one.name,
            url=reverse("release", args=[one.pk]),
            sha256=one.sha256,
            hash_of=_("of the content"),
            facts=(*counts, f"{_('labels')}: {', '.join(one.opened.policies)}"),
            warning=withdrawn_words(one.n_withdrawn),
            watermark=one.study.watermark,
        )


def withdrawn_words(n: int) -> str:
    """What is said of a release, and of whatever was made of it, that holds withdrawn answers of `n` people."""
    said = ngettext(
        "contains withdrawn data of %(n)d participant", "contains withdrawn data of %(n)d participants", n
    )
    return said % {"n": n} if n else ""


register(
    Kind("image_set", gettext_lazy("Image sets"), _image_sets, _of_image_sets, {"study": by_many("studies")}),
)
register(
    Kind(
        name="study",
        words=gettext_lazy("Studies"),
        visible=_studies,
        describe=_of_studies,
        steps={
            "image_set": by_one("image_set"),
            "trial": by_many("participations__trials"),
            "mixed_image": by_finding(studies_that_show),
            "release": by_many("releases"),
        },
    )
)
register(
    Kind(
        name="mixed_image",
        words=gettext_lazy("Mixed images"),
        visible=_mixed_images,
        describe=_of_mixed_images,
        steps={
            "study": by_finding(mixed_images_shown_in),
            "trial": by_finding(_shown_by),
            "release": by_finding(_shown_in_studies_of),
        },
    )
)
register(
    Kind(
        name="trial",
        words=gettext_lazy("Trials"),
        visible=_trials,
        describe=_of_trials,
        steps={
            "study": by_one("participation__study", participation__mode=Mode.LIVE),
            "mixed_image": by_many("images__mixed_image", participation__mode=Mode.LIVE),
            "response": by_one("response"),
        },
    )
)
register(
    Kind(
        name="response",
        words=gettext_lazy("Responses"),
        visible=_responses,
        describe=_of_responses,
        steps={
            "study": by_one("trial__participation__study", trial__participation__mode=Mode.LIVE),
            "mixed_image": by_many("trial__images__mixed_image", trial__participation__mode=Mode.LIVE),
            "trial": by_one("trial"),
            "release": by_finding(_released_in),
        },
    )
)
register(
    Kind(
        name="release",
        words=gettext_lazy("Releases and their labels"),
        visible=lambda person: Release.objects.visible_to(person).select_related("study"),
        describe=_of_releases,
        steps={
            "study": by_one("study"),
            "mixed_image": by_finding(_releases_with),
            "trial": by_finding(_releases_that_hold),
            "response": by_finding(_releases_of),
            "experiment": by_many("experiments"),
        },
    )
)

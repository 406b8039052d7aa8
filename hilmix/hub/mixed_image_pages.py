"""Pages of a study's mixed images: the list, and one with its parents, what people say of it, and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django_filters import ChoiceFilter

from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import pixels_of
from elicitation.studies.models import Mode, Study
from elicitation.studies.pages import visible_study
from elicitation.studies.shown import mixed_images_of
from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.core.errors import DataError
from hilmix.hub.answers_shown import Counting, Mean, condition_in_words, means_about
from hilmix.hub.downloads import figure_file
from hilmix.hub.labels_shown import label_figure, shown_of
from hilmix.hub.models import Release
from hilmix.hub.response_pages import lambda_choices
from hilmix.lists import Filters, SortedBy, listing, number_of

Many = QuerySet[Any]
MOST_ANSWERS = 300  # shown of one mixed image; all of them are among the study's responses


@require_safe
def study_mixed_images(request: HttpRequest, slug: str) -> HttpResponse:
    """The mixed images of a study, each with its parents, λ, and what people say on average."""
    study = visible_study(request, slug)
    counting = Counting(study)
    numbers = [number_of(answers, of) for of, answers in _answers_about(counting).items()]
    mixed_images = mixed_images_of(study, Mode.LIVE).annotate(n_answers=sum(numbers, start=Value(0)))
    in_order = mixed_images.select_related("pair").order_by("pk")
    found = listing(request, in_order, mixed_image_filters(counting))
    context = {
        "study": study,
        "listing": found,
        "rows": _rows(counting, list(found.page)),
        "has_conditions": len(counting.conditions) > 1,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "hub/mixed_images.html", context)


@require_safe
def mixed_image(request: HttpRequest, slug: str, mixed_image_id: int) -> HttpResponse:
    """One mixed image: its recipe, checked; every answer about it; people beside the labels of the newest release.

    With `?figure=csv`, `png` or `pdf` the figure of the labels as a file.
    """
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    mine = mixed_images_of(study).select_related("pair__image_set")
    image = get_object_or_404(mine, pk=mixed_image_id)
    counting = Counting(study)
    shown = shown_of(image, counting, request.user)
    figure = label_figure(image, shown.labels, _source(study, shown.release))
    if figure is not None and (extension := request.GET.get("figure")):
        return figure_file(figure.as_dict(), f"{study.slug}-{image.key}", extension, study.watermark)
    context = {
        "study": study,
        "image": image,
        "classes": _classes_of(study, image),
        "problem": _problem_with(image),
        "answers": shown.answers[:MOST_ANSWERS],
        "n_answers": len(shown.answers),
        "about_pairs": any(answer.mixed_image is None for answer in shown.answers),
        "labels": shown.labels,
        "release": shown.release,
        "figures": [] if figure is None else [figure.as_dict()],
        "watermark": study.watermark,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "hub/mixed_image.html", context)


def mixed_image_filters(counting: Counting) -> type[Filters]:
    """The filters of one study's mixed images: the classes and the λ are its own."""
    study = counting.study
    classes = [(str(index), name) for index, name in enumerate(study.image_set.classes)]

    class MixedImageFilters(Filters):
        of = ChoiceFilter(choices=classes, label=_("Class"), empty_label=_("all"), method="with_class")
        and_of = ChoiceFilter(
            choices=classes, label=_("and class"), empty_label=_("all"), method="with_class"
        )
        lambda_e4 = ChoiceFilter(choices=lambda_choices(study), label=_("λ"), empty_label=_("all"))
        answers = ChoiceFilter(
            choices=[("some", _("some")), ("none", _("none"))],
            label=_("Answers"),
            empty_label=_("all"),
            method="by_answers",
        )
        order = SortedBy(
            {
                "most": (_("most answers first"), ("-n_answers",)),
                "fewest": (_("fewest answers first"), ("n_answers",)),
                "lambda": (_("by λ"), ("lambda_e4",)),
            }
        )

        def with_class(self, queryset: Many, name: str, value: str) -> Many:
            """Images of that class; asked for twice, the class alone with itself."""
            twice = self.form.cleaned_data.get("of") == self.form.cleaned_data.get("and_of")
            first, second = Q(pair__first_class=value), Q(pair__second_class=value)
            return queryset.filter(first & second if twice else first | second)

        def by_answers(self, queryset: Many, name: str, value: str) -> Many:
            answered = Q(*map(Exists, _answers_about(counting).values()), _connector=Q.OR)
            return queryset.filter(~answered if value == "none" else answered)

    return MixedImageFilters


@dataclass(frozen=True)
class Row:
    """A mixed image of the list."""

    image: Any
    classes: tuple[str, str]
    means: Sequence[tuple[str, Mean]]


def _rows(counting: Counting, images: Sequence[Any]) -> list[Row]:
    means = means_about(counting, images)
    return [
        Row(
            image=image,
            classes=_classes_of(counting.study, image),
            means=[(condition_in_words(mean.condition), mean) for mean in means[image.pk]],
        )
        for image in images
    ]


def _answers_about(counting: Counting) -> dict[str, Many]:
    """Live answers, repeats included: about the mixed image, and about its pair; by what of them is the image's."""
    study = {"trial__participation__study": counting.study, "trial__participation__mode": Mode.LIVE}
    about_pairs = Q(trial__condition__in=counting.of_pairs)
    answers: dict[str, Many] = {}
    if not counting.of_pairs or len(counting.of_pairs) < len(counting.conditions):
        about_one = Response.objects.filter(~about_pairs, trial__unit__mixed_image=OuterRef("pk"), **study)
        answers["trial__unit__mixed_image"] = about_one
    if counting.of_pairs:
        about_its_pair = Response.objects.filter(about_pairs, trial__unit__pair=OuterRef("pair"), **study)
        answers["trial__unit__pair"] = about_its_pair
    return answers


def _classes_of(study: Study, image: MixedImage) -> tuple[str, str]:
    classes = study.image_set.classes
    return classes[image.pair.first_class], classes[image.pair.second_class]


def _source(study: Study, release: Release | None) -> str:
    made = f"{release.name} ({release.sha256[:12]})" if release else _("no release yet")
    return f"{made} · {_('protocol')} {study.protocol.sha256[:12]}"


def _problem_with(image: MixedImage) -> str:
    """Why the recipe does not give the pixels that were hashed; empty where it does."""
    try:
        pixels_of(image)
    except (DataError, OSError) as error:
        return str(error)
    return ""

"""Pages of image sets: what there is, its classes, splits and some of its images."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django_filters import ChoiceFilter

from elicitation.images.models import ImageSet
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, require
from hilmix.core import imageset
from hilmix.core.mixing import to_png
from hilmix.errors import NotFound
from hilmix.lists import Filters, SortedBy, TextFilter, listing

SHOWN_PER_CLASS = 6
SHOWN_STUDIES = 20  # the newest


class ImageSetFilters(Filters):
    name = TextFilter(label=_("Name"))
    human_labels = ChoiceFilter(
        choices=[("yes", _("yes")), ("no", _("no"))],
        label=_("Human labels"),
        empty_label=_("all"),
        method="by_human_labels",
    )
    order = SortedBy(
        {"newest": (_("newest first"), ("-created_at",)), "images": (_("most images first"), ("-n_images",))}
    )

    def by_human_labels(self, queryset: QuerySet[ImageSet], name: str, value: str) -> QuerySet[ImageSet]:
        without = {"human_labels_sha256": ""}
        return queryset.exclude(**without) if value == "yes" else queryset.filter(**without)


@require_safe
def image_set_list(request: HttpRequest) -> HttpResponse:
    require(request.user, Action.VIEW_IMAGE_SETS)
    image_sets = listing(request, ImageSet.objects.all(), ImageSetFilters)
    return render(request, "elicitation/image_sets.html", {"listing": image_sets})


@require_safe
def image_set_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Where it comes from, who uses it, and each class with its count and its first images of the training split."""
    assert isinstance(request.user, User)
    require(request.user, Action.VIEW_IMAGE_SETS)
    image_set = get_object_or_404(ImageSet, name=name)
    opened = image_set.open()
    train = np.asarray(opened.splits.get("train", np.arange(len(opened))))
    classes = [
        {
            "name": class_name,
            "n": int((opened.labels == k).sum()),
            "shown": [int(i) for i in train[opened.labels[train] == k][:SHOWN_PER_CLASS]],
        }
        for k, class_name in enumerate(opened.classes)
    ]
    context = {
        "image_set": image_set,
        "classes": classes,
        "votes": _votes(opened),
        "studies": image_set.studies.visible_to(request.user)[:SHOWN_STUDIES],
    }
    return render(request, "elicitation/image_set.html", context)


def _votes(opened: imageset.ImageSet) -> dict[str, Any]:
    """How many votes the human labels are the shares of, on an image at least and at most; empty where not known."""
    if opened.human_votes is None:
        return {}
    each = opened.human_votes.sum(axis=1)
    return {"n": f"{each.sum():,}", "least": each.min(), "most": each.max(), "meaning": opened.votes_meaning}


@require_safe
def parent_image(request: HttpRequest, name: str, index: int) -> HttpResponse:
    require(request.user, Action.VIEW_IMAGE_SETS)
    image_set = get_object_or_404(ImageSet, name=name)
    if index >= image_set.n_images:
        raise NotFound(f"Image set {name!r} has no image {index}.")
    pixels = image_set.open().images[index]
    return HttpResponse(
        to_png(pixels), content_type="image/png", headers={"Cache-Control": "private, max-age=3600"}
    )

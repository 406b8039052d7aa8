"""Pages on which files are brought: what can be, what became of earlier ones, and the report of each."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_filters import ChoiceFilter

from elicitation.images.models import ImageSet
from elicitation.studies.fields import GroupedForm
from hilmix.accounts.roles import Action, allowed, require
from hilmix.core.errors import DataError
from hilmix.core.humanlabels import VoteRange
from hilmix.core.licences import LICENCES
from hilmix.errors import Invalid, NotFound
from hilmix.hub.importers.registry import IMPORTERS, Importer
from hilmix.hub.models import Upload
from hilmix.hub.uploads import JOB_KIND, import_upload, receive_upload
from hilmix.jobs.models import Job
from hilmix.lists import Filters, SortedBy, TextFilter, listing

ROWS_SHOWN = 200  # of errors and flaws; the report as a file has more


class UploadFilters(Filters):
    filename = TextFilter(label=_("File"))
    kind = ChoiceFilter(
        choices=[(name, one.label) for name, one in IMPORTERS.items()], label=_("Kind"), empty_label=_("all")
    )
    order = SortedBy({"oldest": (_("oldest first"), ("created_at",))})


def _check_votes(text: str) -> None:
    try:
        VoteRange.parse(text)
    except DataError as error:
        raise ValidationError(str(error)) from None


def _fields() -> dict[str, forms.Field]:
    """Every field that an importer may ask for, by name."""
    licences = [("", _("none was stated")), *((one.name, one.title) for one in LICENCES.values())]
    return {
        "name": forms.RegexField(
            r"^[a-z0-9][a-z0-9-]{0,79}$",
            label=_("Name of the image set"),
            help_text=_("Lower-case letters, digits, hyphens."),
        ),
        "image_set": forms.ModelChoiceField(
            ImageSet.objects.all(), to_field_name="name", label=_("Image set that it is about")
        ),
        "slug": forms.SlugField(max_length=60, label=_("Short name of the study to be made")),
        "size": forms.IntegerField(
            required=False,
            min_value=4,
            max_value=1024,
            label=_("Size in pixels"),
            help_text=_("Each image is cut to its middle square and scaled to it; empty: as they are."),
        ),
        "test_percent": forms.IntegerField(
            initial=30,
            min_value=0,
            max_value=90,
            label=_("Percent of images kept for evaluation"),
            help_text=_("Of each class, drawn before anything is mixed; 0 for none."),
        ),
        "votes": forms.CharField(
            required=False,
            max_length=20,
            validators=[_check_votes],
            label=_("Votes an image"),
            help_text=_(
                "Such as 47-63, to find the counts that shares came from; empty: not known, or counts."
            ),
        ),
        "meaning": forms.CharField(
            initial=_("share of people who chose the class"), max_length=200, label=_("What a number means")
        ),
        "licence": forms.ChoiceField(required=False, choices=licences, label=_("Licence")),
        "origin": forms.CharField(
            required=False, max_length=300, label=_("Whom to credit, and where it is from")
        ),
    }


class UploadForm(GroupedForm):
    """The file, and what the importer of this kind asks for."""

    file = forms.FileField(label=_("File"))

    def __init__(self, importer: Importer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = str(importer.help)
        self.fields["file"].widget.attrs["accept"] = importer.suffix
        known = _fields()
        self.fields |= {name: known[name] for name in importer.asks}

    @property
    def options(self) -> dict[str, Any]:
        """What was chosen, as JSON values."""
        chosen = {name: value for name, value in self.cleaned_data.items() if name != "file"}
        if image_set := chosen.get("image_set"):
            chosen["image_set"] = image_set.name
        return chosen


@require_safe
def upload_list(request: HttpRequest) -> HttpResponse:
    """What can be brought, and what was."""
    found = listing(request, _visible(request), UploadFilters)
    for upload in found.page:
        upload.kind_label = IMPORTERS[upload.kind].label if upload.kind in IMPORTERS else upload.kind
    kinds = [(name, one) for name, one in IMPORTERS.items() if allowed(request.user, one.action)]
    return render(request, "hub/uploads.html", {"listing": found, "kinds": kinds, "importers": IMPORTERS})


@require_http_methods(["GET", "HEAD", "POST"])
def upload_new(request: HttpRequest, kind: str) -> HttpResponse:
    """Bring a file; it is tried at once, and imported only when somebody has read the report."""
    require(request.user, Action.IMPORT_IMAGES)
    if (importer := IMPORTERS.get(kind)) is None:
        raise NotFound(f"Nothing of the kind {kind!r} can be imported; {', '.join(IMPORTERS)} can.")
    require(request.user, importer.action)
    sent = request.method == "POST"
    form = UploadForm(importer, request.POST if sent else None, request.FILES if sent else None)
    if sent and form.is_valid():
        file: UploadedFile = form.cleaned_data["file"]
        try:
            upload = receive_upload(
                kind=kind,
                filename=str(file.name),
                pieces=file.chunks(),
                options=form.options,
                actor=request.user,
            )
            return redirect("upload", upload_id=upload.pk)
        except Invalid as error:
            form.refuse(error)
    context = {"form": form, "importer": importer}
    return render(request, "hub/upload_new.html", context, status=400 if form.errors else 200)


@require_safe
def upload_detail(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    """What came of a file: its dry run, what would be refused, what is odd, and the button that imports it."""
    upload = get_object_or_404(_visible(request), pk=upload_id)
    report, fields = upload.report, _fields()
    flaws = [flaw for table in report.get("tables", {}).values() for flaw in table.get("flaws", [])]
    job = Job.objects.filter(kind=JOB_KIND, object_id=str(upload.pk)).order_by("-created_at").first()
    context = {
        "upload": upload,
        "importer": IMPORTERS[upload.kind],
        "chosen": [(fields[name].label, value) for name, value in upload.options.items()],
        "job": job,
        "tables": report.get("tables", {}),
        "notes": report.get("notes", []),
        "errors": report.get("errors", [])[:ROWS_SHOWN],
        "n_errors": report.get("n_errors", 0),
        "flaws": flaws[:ROWS_SHOWN],
        "n_flaws": len(flaws),
        "may_import": upload.dry_run
        and upload.finished_at
        and not report.get("errors")
        and upload.path.exists(),
        "made": _made(upload),
    }
    return render(request, "hub/upload.html", context)


def _made(upload: Upload) -> dict[str, str]:
    """What an import made, or added to, with the address of its page; nothing of a dry run or a refusal."""
    if upload.dry_run or not upload.finished_at or upload.report.get("errors"):
        return {}
    tables = upload.report.get("tables", {}).values()
    if studies := {table["study"] for table in tables if table.get("study")}:
        return {slug: reverse("study", args=[slug]) for slug in sorted(studies)}
    name = upload.options.get("name") or upload.options["image_set"]
    return {name: reverse("image_set", args=[name])}


@require_safe
def upload_report(request: HttpRequest, upload_id: uuid.UUID) -> JsonResponse:
    """All that was said of a file, as JSON."""
    upload = get_object_or_404(_visible(request), pk=upload_id)
    named = {"Content-Disposition": f'attachment; filename="{upload.pk}.json"'}
    return JsonResponse(upload.report, headers=named)


@require_POST
def upload_import(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    upload = get_object_or_404(_visible(request), pk=upload_id)
    import_upload(upload=upload, actor=request.user)
    return redirect("upload", upload_id=upload.pk)


def _visible(request: HttpRequest) -> QuerySet[Upload]:
    """Uploads are the business of whoever may import: everybody's, for each of them."""
    require(request.user, Action.IMPORT_IMAGES)
    return Upload.objects.select_related("created_by")

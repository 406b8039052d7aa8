"""The page on which a study is read in from a TOML file that another hilmix, or this one, gave."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from elicitation.monitoring import study_files
from elicitation.studies.fields import GroupedForm
from hilmix.accounts.roles import Action, require
from hilmix.errors import Invalid

LARGEST_FILE = 1_000_000  # bytes; a study with long texts has some 30,000


class ImportForm(GroupedForm):
    file = forms.FileField(
        label=_("TOML file"), help_text=_("As the page of a study's protocol gives it to download.")
    )
    slug = forms.SlugField(
        required=False,
        max_length=60,
        label=_("Link"),
        help_text=_("Where it shall be at another /s/<link>/ than the file says."),
    )

    def clean_file(self) -> str:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST_FILE:
            raise forms.ValidationError(_("The file is larger than a megabyte; no study is."))
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise forms.ValidationError(_("This is no text in UTF-8.")) from None


@require_http_methods(["GET", "POST"])
def import_study(request: HttpRequest) -> HttpResponse:
    """Read a study in from a TOML file, as a draft."""
    require(request.user, Action.CREATE_STUDY)
    sent = request.method == "POST"
    form = ImportForm(request.POST if sent else None, request.FILES if sent else None)
    if form.is_bound and form.is_valid():
        try:
            made = study_files.import_study(
                text=form.cleaned_data["file"], slug=form.cleaned_data["slug"], actor=request.user
            )
            for note in made.notes:
                messages.warning(request, note)
            messages.success(request, _("The study is a draft. Look at it, then open it."))
            return redirect("study", slug=made.study.slug)
        except Invalid as error:
            form.refuse(error)
    status = 400 if form.errors else 200
    return render(request, "elicitation/import_study.html", {"form": form}, status=status)

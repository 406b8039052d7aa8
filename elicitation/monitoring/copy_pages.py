"""The page on which a study is copied, with how people come to it."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from elicitation.monitoring import study_files
from elicitation.studies.fields import GroupedForm
from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Invalid


class CopyForm(GroupedForm):
    title = forms.CharField(max_length=120, label=_("Title"), help_text=_("Participants see it."))
    slug = forms.SlugField(max_length=60, label=_("Link"), help_text=_("The study will be at /s/<link>/."))


@require_http_methods(["GET", "POST"])
def copy_study(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a draft that asks the same, under another title and link."""
    study = visible_study(request, slug)
    require(request.user, Action.CREATE_STUDY)
    initial = {"title": study.title, "slug": _free_slug(study.slug)}
    form = CopyForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            copy = study_files.copy_with_recruitment(study=study, actor=request.user, **form.cleaned_data)
            messages.success(request, _("The copy is a draft of its own. Nobody's answers came along."))
            return redirect("study", slug=copy.slug)
        except Invalid as error:
            form.refuse(error)
    context = {"study": study, "form": form, "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk)}
    return render(request, "elicitation/copy_study.html", context, status=400 if form.errors else 200)


def _free_slug(slug: str) -> str:
    """A link that is free: that of the study with the next number."""
    taken = set(Study.objects.filter(slug__startswith=slug[:50]).values_list("slug", flat=True))
    return next(new for number in range(2, len(taken) + 3) if (new := f"{slug[:50]}-{number}") not in taken)

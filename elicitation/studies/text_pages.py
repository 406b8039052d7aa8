"""The page on which researchers write the words of a study. Saving makes a new version of its protocol,
but for a draft, which is rewritten.

Markdown has a text area each, with a preview; consent boxes, questions and survey are rows, of which one more is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.forms import formset_factory
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from elicitation.interfaces import interface_named
from elicitation.studies.fields import (
    GroupedForm,
    LinesField,
    area,
    information_field,
    pages,
    written_pages,
)
from elicitation.studies.models import Protocol, Source, Study
from elicitation.studies.pages import steering_of, visible_study
from elicitation.studies.protocol import settings_of
from elicitation.studies.services import change_texts
from elicitation.studies.texts import INFORMATION, MAX_ITEMS, Texts, rendered, texts_of
from hilmix.accounts.roles import Action, require
from hilmix.errors import Conflict, Invalid, NotFound

WORDING = "wording_"  # before the name of a wording, as the field's name
MARKDOWN: Mapping[str, tuple[Any, Any]] = {
    "consent": (_("Consent"), _("Above the information and the boxes.")),
    "declined": (_("Not taking part"), _("Whoever declines reads this.")),
    "instructions": (_("Instructions"), _("About the controls only. A line --- begins a new page.")),
    "short_instructions": (_("Short instructions"), _("For whoever comes back after a while.")),
    "break": (_("Break"), ""),
    "debrief": (_("Debrief"), _("On the last page: what it was about.")),
    "thanks": (_("Thanks"), _("On the last page, above the code.")),
    "withdrawal": (_("Withdrawing"), _("Above what is said of days and consequences.")),
}


def line(label: Any, **options: Any) -> LinesField:
    """A field for a sentence or two of plain text."""
    return LinesField(label=label, max_length=1000, widget=forms.Textarea(attrs={"rows": 2}), **options)


class WordsForm(GroupedForm):
    """All texts but those that are rows."""

    based_on = forms.CharField(max_length=64, widget=forms.HiddenInput)  # the hash of what was read

    def __init__(
        self, texts: Texts, wording: list[str], based_on: str, data: Mapping[str, Any] | None
    ) -> None:
        super().__init__(data, initial={**_initial(texts), "based_on": based_on})
        for name, (label, help_text) in MARKDOWN.items():
            rows = 14 if name in ("consent", "instructions") else 4
            self.fields[name] = area(label, help_text, rows=rows)
        for name in INFORMATION:
            self.fields[name] = information_field(name)
        for name in wording:
            self.fields[WORDING + name] = line(name)
        self.groups = (
            (_("Texts in Markdown"), tuple(MARKDOWN)),
            (_("What people are told before they consent"), tuple(INFORMATION)),
            (_("Said at each trial"), tuple(WORDING + name for name in wording)),
        )

    def previews(self) -> dict[str, list[SafeString]]:
        """Each Markdown text as participants see it, page by page, as it stands in the form."""
        return {name: [rendered(page) for page in pages(self[name].value() or "")] for name in MARKDOWN}

    def content(self) -> dict[str, Any]:
        """The texts of this form as they stand in a protocol's content."""
        data = self.cleaned_data
        return {
            **{name: data[name] for name in MARKDOWN},
            "instructions": pages(data["instructions"]),
            "information": {name: data[name] for name in INFORMATION if data[name]},
            "wording": {
                name.removeprefix(WORDING): text for name, text in data.items() if name.startswith(WORDING)
            },
        }


class BoxForm(forms.Form):
    name = forms.CharField(max_length=40, label=_("Name"))
    text = line(_("Text"))
    required = forms.BooleanField(required=False, label=_("Needed to take part"))


class QuestionForm(forms.Form):
    prompt = line(_("Question"))
    options = LinesField(
        max_length=5000,
        label=_("Answers, a line each"),
        help_text=_("* before the one that is meant"),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    explain = line(_("Explanation after a wrong answer"), required=False)

    def clean(self) -> dict[str, Any]:
        lines = [line.strip() for line in self.cleaned_data.get("options", "").split("\n") if line.strip()]
        meant = [number for number, line in enumerate(lines) if line.startswith("*")]
        if lines and len(meant) != 1:
            self.add_error("options", _("Put * before exactly one answer."))
        else:
            self.cleaned_data["options"] = [line.removeprefix("*").strip() for line in lines]
            self.cleaned_data["correct"] = meant[0] if meant else 0
        return self.cleaned_data


class SurveyItemForm(forms.Form):
    name = forms.CharField(max_length=40, label=_("Name"))
    kind = forms.ChoiceField(
        choices=[("likert", _("points on a scale")), ("text", _("free text"))],
        initial="likert",  # what a browser sends of the empty row, which so counts as untouched
        label=_("Kind"),
    )
    prompt = line(_("Question"))
    points = forms.IntegerField(initial=5, min_value=2, max_value=11, label=_("Points"))
    low = forms.CharField(max_length=100, required=False, label=_("Lowest point"))
    high = forms.CharField(max_length=100, required=False, label=_("Highest point"))
    required = forms.BooleanField(required=False, label=_("Must be answered"))


ROWS: Mapping[str, tuple[Any, type[forms.Form]]] = {
    "boxes": (_("Consent boxes"), BoxForm),
    "comprehension": (_("Questions about the controls"), QuestionForm),
    "survey": (_("Closing questions"), SurveyItemForm),
}


class TextsForm:
    """The whole page: one form of words, and rows by kind."""

    def __init__(self, texts: Texts, wording: list[str], based_on: str, data: Any = None) -> None:
        self.words = WordsForm(texts, wording, based_on, data)
        rows = _initial_rows(texts)
        self.rows = {
            name: formset_factory(form, can_delete=True, max_num=MAX_ITEMS, absolute_max=MAX_ITEMS + 10)(
                data, initial=rows[name], prefix=name
            )
            for name, (_title, form) in ROWS.items()
        }

    def is_valid(self) -> bool:
        # A list, not a generator: every part says what is wrong with it.
        return all([self.words.is_valid(), *(formset.is_valid() for formset in self.rows.values())])

    def titled_rows(self) -> list[tuple[Any, Any]]:
        return [(ROWS[name][0], formset) for name, formset in self.rows.items()]

    def content(self) -> dict[str, Any]:
        """The texts as they stand in a protocol's content."""
        rows = {
            name: [
                {key: value for key, value in row.items() if key != "DELETE"}
                for row in formset.cleaned_data
                if row and not row["DELETE"]
            ]
            for name, formset in self.rows.items()
        }
        return self.words.content() | rows


@require_http_methods(["GET", "POST"])
def study_texts(request: HttpRequest, slug: str) -> HttpResponse:
    """Change the words of a study; those who have begun keep the version that they agreed to."""
    study = visible_study(request, slug)
    require(request.user, Action.EDIT_STUDY, study.pk)
    if study.source == Source.IMPORTED:
        raise NotFound("The words of this study were said elsewhere; there are none here to change.")
    protocol = study.protocol
    interface = interface_named(settings_of(protocol.content).interface)
    wording = ["perspective", *(name for name in interface.texts()["wording"] if name != "perspective")]
    form = TextsForm(texts_of(protocol.content), wording, protocol.sha256, request.POST or None)
    refused = request.method == "POST" and not form.is_valid()
    if request.method == "POST" and not refused and request.POST.get("do") != "preview":
        try:
            based_on = form.words.cleaned_data["based_on"]
            saved = change_texts(study=study, texts=form.content(), actor=request.user, based_on=based_on)
            messages.success(request, _said(study, saved, based_on))
            return redirect("study_texts", slug=slug)
        except Invalid as error:
            form.words.refuse(error)
        except Conflict as error:
            form.words.add_error(None, error.message)
        refused = True
    context = {
        "study": study,
        "protocol": protocol,
        "form": form,
        "previews": form.words.previews(),
        "previewed": request.POST.get("do") == "preview",
        "varies": bool(settings_of(protocol.content).factors),
        **steering_of(request, study),
    }
    return render(request, "elicitation/study_texts.html", context, status=400 if refused else 200)


def _said(study: Study, saved: Protocol, before: str) -> Any:
    if saved.sha256 == before:
        return _("Nothing was changed.")
    if study.state == Study.State.DRAFT:
        return _("The draft was changed.")
    return _("Version %(version)d is in force for whoever begins from now on.") % {"version": saved.version}


def _initial(texts: Texts) -> dict[str, Any]:
    content = texts.as_content()
    return {
        **content,
        **content["information"],
        **{WORDING + name: text for name, text in content["wording"].items()},
        "instructions": written_pages(content["instructions"]),
    }


def _initial_rows(texts: Texts) -> dict[str, list[dict[str, Any]]]:
    content = texts.as_content()
    for question in content["comprehension"]:
        marked = [
            f"* {option}" if number == question["correct"] else option
            for number, option in enumerate(question["options"])
        ]
        question["options"] = "\n".join(marked)
    return {name: content[name] for name in ROWS}

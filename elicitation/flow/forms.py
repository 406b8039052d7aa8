"""What participants' pages share: whom an address names, forms that are signed instead of cookied, and how pages look.

No participant page reads or sets a cookie. A form carries a token signed for its purpose, its study or
participation, and the version of the protocol that it was shown with; when the token has expired meanwhile, the form
comes back with what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, wraps
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from elicitation.flow.withdrawal import may_withdraw
from elicitation.participants.models import Participation
from elicitation.participants.services import participation_of
from elicitation.studies.models import Protocol, Source, Study
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.texts import Box, SurveyItem, Texts, texts_of
from hilmix.errors import DomainError, Forbidden, NotFound

TOKEN_SALT = "participant-form"  # noqa: S105  (names what is signed; no secret)
TOKEN_LIFETIME = timedelta(days=1)
MAX_TEXT = 10_000


@dataclass(frozen=True)
class Visit:
    """Where an address leads: to a study, and to somebody's participation if it is a private link."""

    study: Study
    participation: Participation | None = None
    link: str = ""

    @cached_property
    def protocol(self) -> Protocol:
        """The version that this person agreed to, or the one in force."""
        return self.participation.protocol if self.participation else self.study.protocol

    @cached_property
    def settings(self) -> Settings:
        return settings_of(self.protocol.content)

    @cached_property
    def texts(self) -> Texts:
        return texts_of(self.protocol.content)

    @property
    def person(self) -> Participation:
        """The participation of a private link."""
        assert self.participation is not None
        return self.participation

    @property
    def problem_url(self) -> str:
        if self.participation is None:
            return reverse("study_problem", args=[self.study.slug])
        return reverse("participation_problem", args=[self.link])

    @property
    def address(self) -> str:
        """The study's entry, or the private address."""
        if self.participation is None:
            return reverse("study_entry", args=[self.study.slug])
        return reverse("participation", args=[self.link])

    @property
    def withdraw_url(self) -> str:
        """Empty where there is nothing to withdraw, or no more."""
        if self.participation is None or not may_withdraw(self.participation):
            return ""
        return reverse("participation_withdraw", args=[self.link])

    def token_for(self, purpose: str) -> str:
        """What a form for `purpose` carries in its hidden field."""
        return signing.dumps([*self._claim(purpose), self.protocol.sha256], salt=TOKEN_SALT)

    def is_fresh(self, request: HttpRequest, purpose: str) -> bool:
        """Whether the token that came with a form is still good; False if its day is over.

        Raises:
            Forbidden: there is none, or one for something else.
        """
        token = request.POST.get("token", "")
        try:
            signed = signing.loads(token, salt=TOKEN_SALT)
        except signing.BadSignature:
            signed = None
        if not isinstance(signed, list) or signed[:-1] != self._claim(purpose):
            raise Forbidden(
                _("This form was not sent from its own page. Open the page again and send it there.")
            )
        try:
            signing.loads(token, salt=TOKEN_SALT, max_age=TOKEN_LIFETIME)
        except signing.SignatureExpired:
            return False
        return True

    def saw_protocol(self, request: HttpRequest) -> bool:
        """Whether a form, whose token is its own, came from a page of the version that is now in force."""
        return signing.loads(request.POST["token"], salt=TOKEN_SALT)[-1] == self.protocol.sha256

    def _claim(self, purpose: str) -> list[str]:
        return [purpose, self.study.slug, self.participation.public_id if self.participation else ""]


EXPIRED = gettext_lazy("This page was open for more than a day. Nothing was sent yet: please send it again.")
REWORDED = gettext_lazy(
    "The words of this page have changed since you opened it. What you ticked is still ticked: please read it again."
)

View = Callable[..., HttpResponseBase]


def participant_page(*methods: str) -> Callable[[View], View]:
    """A page without account or cookie, in the study's language: `view(request, visit)` at a slug or a private link.

    Refusals are shown in the look of the study. Forms on such a page are signed (`Visit.token_for`), so they go without
    Django's cookie against forgery: a private link is a secret, and an entry form is nobody's in particular.
    """

    def decorate(view: View) -> View:
        @csrf_exempt
        @login_not_required
        @never_cache
        @require_http_methods(methods)
        @wraps(view)
        def page(request: HttpRequest, **address: str) -> HttpResponseBase:
            # Where there is no study, there is no language of one: then what the browser asks for.
            with translation.override(translation.get_language_from_request(request)):
                try:
                    visit = visit_of(**address)
                except NotFound as error:
                    return _refusal(None, error)
            with translation.override(visit.settings.language):
                try:
                    reply = view(request, visit)
                except DomainError as error:
                    reply = _refusal(visit, error)
            reply["Content-Language"] = visit.settings.language
            return reply

        return page

    return decorate


def visit_of(*, slug: str = "", link: str = "") -> Visit:
    """What an address of a participant leads to.

    Raises:
        NotFound: the link was cut or changed, or no study takes people's answers under the slug.
    """
    if link:
        participation = participation_of(link)
        return Visit(participation.study, participation, link)
    study = Study.objects.filter(slug=slug, source=Source.PERSON).exclude(state=Study.State.DRAFT).first()
    if study is None:
        raise NotFound(_("There is no study at this address."))
    return Visit(study)


def show(
    visit: Visit | None, name: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """The page `templates/elicitation/participant/<name>.html`, made without the request: it knows no session."""
    known = {"visit": visit, "study": visit and visit.study, "page": name}
    page = render_to_string(f"elicitation/participant/{name}.html", {**known, **(context or {})})
    return HttpResponse(page, status=status)


def _refusal(visit: Visit | None, error: DomainError) -> HttpResponse:
    title = _("There is nothing here") if error.status == 404 else _("This did not work")
    return show(visit, "error", {"title": title, "message": error.message}, status=error.status)


class ConsentForm(forms.Form):
    """The consent boxes of a study, each on its own."""

    def __init__(self, boxes: Sequence[Box], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        needed = _("Please tick this box if you want to take part.")
        for box in boxes:
            self.fields[box.name] = forms.BooleanField(
                label=box.text, required=box.required, error_messages={"required": needed}
            )

    @property
    def has_choices(self) -> bool:
        """Whether there are boxes that may be left empty."""
        return not all(box.required for box in self.fields.values())


class SurveyForm(forms.Form):
    """The closing questions: a whole number from 1 to its points for each likert item, text for the others."""

    def __init__(self, items: Sequence[SurveyItem], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.items = {item.name: item for item in items}
        for item in items:
            self.fields[item.name] = _likert(item) if item.kind == "likert" else _free_text(item)

    def rows(self) -> list[tuple[SurveyItem, forms.BoundField]]:
        """Each question with its field, in order."""
        return [(item, self[name]) for name, item in self.items.items()]

    def answers(self) -> dict[str, int | str]:
        """What was answered, by name; what was left empty is left out."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}


def _likert(item: SurveyItem) -> forms.Field:
    return forms.TypedChoiceField(
        choices=[(point, str(point)) for point in range(1, item.points + 1)],
        widget=forms.RadioSelect,
        coerce=int,
        empty_value=None,
        label=item.prompt,
        required=item.required,
        error_messages={"required": _("Please choose one.")},
    )


def _free_text(item: SurveyItem) -> forms.Field:
    return forms.CharField(
        label=item.prompt,
        required=item.required,
        max_length=MAX_TEXT,
        error_messages={"required": _("Please write something.")},
    )


class ProblemForm(forms.Form):
    """What went wrong, in the words of whoever met it, and on which page."""

    text = forms.CharField(
        max_length=MAX_TEXT,
        label=gettext_lazy("What went wrong?"),
        error_messages={"required": gettext_lazy("Please say what went wrong.")},
    )
    page = forms.RegexField(r"^[a-z_]{1,40}$", required=False)

"""What participants' pages share: whom an address names, forms that are signed instead of cookied, and how pages look.

No participant page reads or sets a cookie. A form carries a token signed for its purpose, its study or
participation, and the version of the protocol that it was shown with; when the token has expired meanwhile, the form
comes back with what was typed. The forms themselves are in forms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, wraps
from typing import Any
from urllib.parse import urlencode

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

from elicitation.flow import modes
from elicitation.flow.services import lets_in
from elicitation.flow.withdrawal import may_withdraw
from elicitation.participants.models import Participation
from elicitation.participants.services import UNKNOWN, Arrival, participation_of
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.services import Way, recruitment_of
from elicitation.studies.models import Mode, Protocol, Source, Study
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.texts import Texts, texts_of
from hilmix.errors import DomainError, Forbidden, NotFound

TOKEN_SALT = "participant-form"  # noqa: S105  (names what is signed; no secret)
TOKEN_LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Ending:
    """How somebody goes back to where they came from: with a code, to an address; each empty where there is none."""

    code: str
    url: str
    site: str


@dataclass(frozen=True)
class Visit:
    """Where an address leads: to a study, and to somebody's participation if it is a private link.

    `entry_mode` is what the address was signed for, where it is the study's.
    """

    study: Study
    participation: Participation | None = None
    link: str = ""
    entry_mode: str = Mode.LIVE

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
    def mode(self) -> str:
        """What the visit is for: live, pilot or preview."""
        return self.participation.mode if self.participation else self.entry_mode

    @property
    def is_preview(self) -> bool:
        return self.mode == Mode.PREVIEW

    @property
    def is_open(self) -> bool:
        """Whether anybody is let in now who comes for this."""
        return lets_in(self.study.state, self.mode)

    @cached_property
    def way(self) -> Way:
        """How people come to the study."""
        return recruitment_of(self.study)

    def arrival(self, params: Mapping[str, str]) -> Arrival:
        """Who comes, as the link says it. Whoever looks at a preview is nobody in particular."""
        return UNKNOWN if self.is_preview else self.way.recruiter.arrival(params)

    def asks_for_id(self, arrival: Arrival) -> bool:
        """Whether who comes is asked what the recruiter calls them."""
        return self.way.recruiter.ASKS_FOR_ID and not self.is_preview and not arrival.pid

    def ending(self, outcome: Outcome, own_code: str = "") -> Ending:
        """How somebody goes back with `outcome`, which is theirs by now; in a preview there is nowhere to go back to.

        `own_code` is the person's, where the recruiter knows no codes of studies.
        """
        if self.is_preview:
            return Ending("", "", "")
        code = self.way.code(outcome) or own_code
        return Ending(code, self.way.completion_url(outcome), str(self.way.recruiter.TITLE))

    def problem_link(self, page: str) -> str:
        """The page to report a problem on, coming from `page`; or "" from none."""
        said = {
            "page": page,
            "as": "" if self.participation else modes.token_for(self.study, self.entry_mode),
        }
        query = urlencode({name: value for name, value in said.items() if value})
        if self.participation is None:
            url = reverse("study_problem", args=[self.study.slug])
        else:
            url = reverse("participation_problem", args=[self.link])
        return f"{url}?{query}" if query else url

    @property
    def address(self) -> str:
        """The study's entry, or the private address."""
        if self.participation is None:
            return modes.address(self.study, self.entry_mode)
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
                    visit = visit_of(**address, token=request.GET.get("as", ""))
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


def visit_of(*, slug: str = "", link: str = "", token: str = "") -> Visit:
    """What an address of a participant leads to. The `token` in it is for a pilot or a preview (modes.py).

    Raises:
        NotFound: the link or the token was cut or changed, or no study takes people's answers under the slug.
    """
    if link:
        participation = participation_of(link)
        return Visit(participation.study, participation, link)
    study = Study.objects.filter(slug=slug, source=Source.PERSON).first()
    mode = modes.mode_of(study, token) if study is not None else Mode.LIVE
    unseen = [Study.State.DRAFT, Study.State.PILOT] if mode == Mode.LIVE else []
    if study is None or study.state in unseen:
        raise NotFound(_("There is no study at this address."))
    return Visit(study, entry_mode=mode)


def show(
    visit: Visit | None, name: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """The page `templates/elicitation/participant/<name>.html`, made without the request: it knows no session."""
    known = {"visit": visit, "study": visit and visit.study, "page": name}
    if visit is not None:
        known["problem_link"] = visit.problem_link(name)
    page = render_to_string(f"elicitation/participant/{name}.html", {**known, **(context or {})})
    return HttpResponse(page, status=status)


def _refusal(visit: Visit | None, error: DomainError) -> HttpResponse:
    title = _("There is nothing here") if error.status == 404 else _("This did not work")
    return show(visit, "error", {"title": title, "message": error.message}, status=error.status)

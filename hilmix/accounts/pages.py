"""Pages of accounts: signing in by password or one-time link, one's own tokens, and the admin's list of people."""

from __future__ import annotations

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_filters import ChoiceFilter, ModelChoiceFilter

from hilmix.accounts import audit, services
from hilmix.accounts.models import ApiToken, AuditEvent, User
from hilmix.accounts.roles import Action, require
from hilmix.errors import Invalid
from hilmix.lists import DayFilter, Filters, SortedBy, TextFilter, listing


class PersonForm(forms.Form):
    username = forms.CharField(max_length=150, label=_("User name"))
    kind = forms.ChoiceField(choices=User.Kind.choices, label=_("Role"), initial=User.Kind.RESEARCHER)


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, label=_("What will use it"))
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices, label=_("It may"))
    study: forms.ModelChoiceField[Any] = forms.ModelChoiceField(
        queryset=None,
        required=False,
        to_field_name="slug",
        empty_label=_("all that you may see"),
        label=_("Of which study"),
    )
    days = forms.IntegerField(
        initial=services.TOKEN_DAYS,
        min_value=1,
        max_value=services.MOST_TOKEN_DAYS,
        label=_("For how many days"),
    )
    # The newest token when the page was opened, so that loading it again after making one does not make another.
    after = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, person: User, data: Any = None) -> None:
        newest = person.auth_token_set.order_by("-created").first()
        self.newest = newest.token_key if newest else "none"
        super().__init__(data, initial={"after": self.newest})
        # Accounts stand below studies, so the model is asked for by name.
        studies = apps.get_model("elicitation", "Study").objects.visible_to(person)
        self.fields["study"].queryset = studies.order_by("title")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        chosen = super().clean() or {}
        if chosen.pop("after", "") not in ("", self.newest):
            self.data = dict(self.data.items(), after=self.newest)
            raise forms.ValidationError(
                _(
                    "A token was made since this page was opened, so none was made now. Press the button again for one"
                    " more."
                )
            )
        return chosen


class PasswordForm(forms.Form):
    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), label=_("New password")
    )


class PeopleFilters(Filters):
    username = TextFilter(label=_("User name"))
    kind = ChoiceFilter(choices=User.Kind.choices, label=_("Role"), empty_label=_("all"))
    order = SortedBy(
        {
            "newest": (_("newest first"), ("-date_joined",)),
            "seen": (_("signed in last"), ("-last_login",)),
        }
    )


class AuditFilters(Filters):
    actor = ModelChoiceFilter(
        queryset=User.objects.order_by("username"), label=_("Who"), empty_label=_("everybody")
    )
    action = TextFilter(label=_("What"))
    object_kind = TextFilter(label=_("To what kind"), lookup_expr="iexact")
    object_id = TextFilter(label=_("To number"), lookup_expr="exact")
    since = DayFilter(field_name="at", lookup_expr="date__gte", label=_("From day"))
    until = DayFilter(field_name="at", lookup_expr="date__lte", label=_("To day"))
    order = SortedBy({"oldest": (_("oldest first"), ("pk",))})


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_with_link(request: HttpRequest, secret: str) -> HttpResponse:
    """GET shows a button, POST uses the link up: a mail scanner that follows links uses up nothing."""
    if request.method == "GET":
        return render(request, "accounts/sign_in_with_link.html")
    person = services.redeem_sign_in_link(secret=secret)
    login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    wanted = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return redirect(wanted if ours else "home")


@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """One's own account: tokens, and a password for those who want one."""
    person = request.user
    assert isinstance(person, User)
    form, new_token = TokenForm(person, request.POST or None), None
    if request.method == "POST" and form.is_valid():
        new_token = services.create_token(person=person, **form.cleaned_data)
        form = TokenForm(person)
    context = {
        "form": form,
        "password_form": PasswordForm(),
        "new_token": new_token,
        "tokens": person.auth_token_set.select_related("study").order_by("-created"),
    }
    return render(request, "accounts/account.html", context)


@require_POST
def set_password(request: HttpRequest) -> HttpResponse:
    person = request.user
    assert isinstance(person, User)
    form = PasswordForm(request.POST)
    if form.is_valid():
        try:
            services.set_password(person=person, password=form.cleaned_data["password"])
        except Invalid as error:
            messages.error(request, error.message)
        else:
            update_session_auth_hash(request, person)
            messages.success(request, _("Your password is set."))
    return redirect("account")


@require_POST
def revoke_token(request: HttpRequest, token_key: str) -> HttpResponse:
    assert isinstance(request.user, User)
    services.revoke_token(person=request.user, token_key=token_key)
    messages.success(request, _("The token no longer works."))
    return redirect("account")


@require_http_methods(["GET", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """The admin's list of accounts; adding one shows its one-time link, once."""
    require(request.user, Action.MANAGE_PEOPLE)
    form, link = PersonForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        try:
            person = services.add_person(actor=request.user, **form.cleaned_data)
            link = services.issue_sign_in_link(person=person, actor=request.user)
            form = PersonForm()
        except Invalid as error:
            for field, texts in error.fields.items():
                form.add_error(field if field in form.fields else None, texts)
    return _people_page(request, form, link)


@require_POST
def new_link(request: HttpRequest, person_id: int) -> HttpResponse:
    require(request.user, Action.MANAGE_PEOPLE)
    person = get_object_or_404(User, pk=person_id)
    link = services.issue_sign_in_link(person=person, actor=request.user)
    return _people_page(request, PersonForm(), link)


def _people_page(request: HttpRequest, form: PersonForm, link: str | None) -> HttpResponse:
    people = listing(request, User.objects.order_by("username"), PeopleFilters)
    return render(request, "accounts/people.html", {"form": form, "link": link, "listing": people})


@require_GET
def audit_trail(request: HttpRequest) -> HttpResponse:
    require(request.user, Action.VIEW_AUDIT)
    events = listing(request, AuditEvent.objects.select_related("actor"), AuditFilters)
    return render(request, "accounts/audit.html", {"listing": events, "told": audit.in_words(events.page)})

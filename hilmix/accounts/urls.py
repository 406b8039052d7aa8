from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST

from hilmix.accounts import pages

# Verbs are named, as everywhere: Django's form views would take a PUT for a POST (checklist S9).
sign_in = require_http_methods(["GET", "HEAD", "POST"])(
    LoginView.as_view(template_name="accounts/sign_in.html", redirect_authenticated_user=True)
)
sign_out = require_POST(LogoutView.as_view(next_page="home"))

urlpatterns = [
    path("sign-in/", sign_in, name="sign_in"),
    path("sign-in/<str:secret>/", pages.sign_in_with_link, name="sign_in_with_link"),
    path("sign-out/", login_not_required(sign_out), name="sign_out"),
    path("account/", pages.account, name="account"),
    path("account/password/", pages.set_password, name="set_password"),
    path("account/tokens/<str:token_key>/revoke/", pages.revoke_token, name="revoke_token"),
    path("people/", pages.people, name="people"),
    path("people/<int:person_id>/link/", pages.new_link, name="new_link"),
    path("audit/", pages.audit_trail, name="audit_trail"),
]

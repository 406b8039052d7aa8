"""What a browser reads in a reply: the policy in its headers, and what its source would run, load or style."""

from __future__ import annotations

from html.parser import HTMLParser

from django.http import HttpResponse

from elicitation.recruiters.prolific import SITE
from tests.security.world import HOSTILE

STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "manifest-src": "'self'",
}


class Source(HTMLParser):
    """What a browser would run, load or style."""

    def __init__(self, reply: HttpResponse) -> None:
        super().__init__()
        self.inline_scripts: list[str] = []
        self.inline_styles: list[str] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(reply.content.decode())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.tags.append(tag)
        if tag == "script" and "src" not in named and named.get("type") != "application/json":
            self.inline_scripts.append(self.get_starttag_text() or "")
        if tag == "style" or "style" in named:
            self.inline_styles.append(self.get_starttag_text() or "")
        self.handlers += [name for name in named if name.startswith("on")]
        self.addresses += [value or "" for name, value in named.items() if name in ("src", "href", "action")]


def policy(reply: HttpResponse) -> dict[str, str]:
    directives = (part.strip().partition(" ") for part in reply["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in directives}


def assert_guarded(reply: HttpResponse, *, styled: bool = False) -> None:
    """The headers that every answer carries."""
    relaxed = {"style-src": "'self' 'unsafe-inline'"} if styled else {}
    assert policy(reply) == STRICT | relaxed
    assert reply["X-Frame-Options"] == "DENY"
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert reply["Referrer-Policy"] == "same-origin"
    assert reply["Cross-Origin-Opener-Policy"] == "same-origin"


def assert_plain(reply: HttpResponse, *, styled: bool = False) -> None:
    """HTML without anything of its own to run, and nothing from elsewhere; a way back may lead to the recruiter."""
    source = Source(reply)
    assert source.inline_scripts == source.handlers == []
    assert styled or source.inline_styles == []
    assert HOSTILE not in reply.content.decode()
    ours = ("/", "#", "?", "http://testserver/", "data:image/", f"{SITE}/submissions")
    assert [address for address in source.addresses if address and not address.startswith(ours)] == []
    assert [address for address in source.addresses if address.startswith("//")] == []


def body(reply: HttpResponse) -> bytes:
    return b"".join(reply.streaming_content) if reply.streaming else reply.content

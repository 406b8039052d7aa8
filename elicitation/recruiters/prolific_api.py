"""Prolific's programming interface, as far as it is read here: the submissions of a study. Nothing is changed there.

The token has all rights of its account and no end, so it is read from the environment each time it is needed, sent to
one host, and neither shown, stored nor logged. See docs.prolific.com/api-reference/studies/get-study-submissions.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from elicitation.recruiters.prolific import ID, MAX_ROWS, Listed, listed
from hilmix.errors import Conflict, Invalid

TOKEN, ADDRESS = "HILMIX_PROLIFIC_TOKEN", "HILMIX_PROLIFIC_URL"  # of the environment, as messages name them
DEFAULT_ADDRESS = "https://api.prolific.com"
TIMEOUT_S = 20  # of one call, each time nothing is heard
TRIES = 4
MAX_WAIT_S = 60.0  # between two tries, whatever the server asks for
MAX_REPLY = 50_000_000  # bytes
MAX_PAGES = 2_000

Said = Callable[[int], None]


class ProlificAway(Conflict):
    """Prolific does not answer, or not as it should."""

    code = "recruiter_away"


def has_token() -> bool:
    """Whether submissions can be fetched at all."""
    return bool(_token())


def require_ready(study_id: str) -> None:
    """Refuse to fetch where it cannot be done.

    Raises:
        Conflict: the study's id there is not known, or no token is set.
    """
    if not ID.fullmatch(study_id):
        raise Conflict("The id of the study at Prolific is not set: give it under Recruitment.")
    if not has_token():
        raise Conflict(
            f"No token for Prolific is set ({TOKEN}). Upload the csv that Prolific exports instead."
        )


def _token() -> str:
    return os.environ.get("HILMIX_PROLIFIC_TOKEN", "").strip()


def fetch_submissions(study_id: str, *, said: Said = lambda n: None) -> list[Listed]:
    """Every submission of a study at Prolific.

    Args:
        study_id: the study's id there.
        said: called with the number of submissions after each page; may raise to stop.

    Raises:
        Conflict: there is no token, or Prolific refuses it or does not know the study.
        ProlificAway: Prolific cannot be reached, or its reply cannot be read; trying later may help.
    """
    require_ready(study_id)
    base = _base()
    url: str | None = f"{base}/api/v1/studies/{study_id}/submissions/"
    rows: dict[str, Listed] = {}
    for _page in range(MAX_PAGES):
        reply = _get(url)
        found, following = _read(reply)
        before = len(rows)
        rows |= {row.session: row for row in found}
        said(len(rows))
        if following is None or len(rows) == before:  # a list that only repeats itself has ended
            return list(rows.values())
        if len(rows) > MAX_ROWS:
            break
        url = _within(base, following)
    raise ProlificAway("Prolific lists more submissions than can be read here.")


def _base() -> str:
    """The address of the interface: encrypted, or on this machine."""
    base = os.environ.get("HILMIX_PROLIFIC_URL", "").strip().rstrip("/") or DEFAULT_ADDRESS
    parts = urlsplit(base)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise Conflict(f"{ADDRESS} must begin with https://, because a token is sent there.")
    return base


def _within(base: str, url: str) -> str:
    """The address of a next page; the token goes to nobody else."""
    here, there = urlsplit(base), urlsplit(url)
    if (there.scheme, there.netloc) != (here.scheme, here.netloc):
        raise ProlificAway("Prolific's reply leads to another address; it was not followed.")
    return url


class _NoRedirect(HTTPRedirectHandler):
    """A redirected call would take the token along."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = build_opener(_NoRedirect)
sleep = time.sleep


def _get(url: str | None) -> Any:
    """The JSON at `url`. Tried again where Prolific is busy (429), broken (5xx) or out of reach."""
    request = Request(str(url), headers={"Authorization": f"Token {_token()}", "Accept": "application/json"})  # noqa: S310
    for attempt in range(1, TRIES + 1):
        wait = float(2 ** (attempt - 1))
        try:
            with _opener.open(request, timeout=TIMEOUT_S) as reply:
                return json.loads(reply.read(MAX_REPLY + 1)[:MAX_REPLY])
        except HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise _refusal(error.code) from None
            problem, wait = f"answered {error.code}", _asked_wait(error.headers, wait)
        except (URLError, TimeoutError, ConnectionError, HTTPException):
            problem = "could not be reached"
        except ValueError:
            raise ProlificAway("Prolific's reply could not be read.") from None
        if attempt < TRIES:
            sleep(wait)
    raise ProlificAway(f"Prolific {problem}, {TRIES} times. Try again later.")


def _refusal(status: int) -> Conflict:
    if status in (401, 403):
        return Conflict(
            f"Prolific does not take the token ({status}). Whoever runs hilmix can set another one."
        )
    if status == 404:
        return Conflict("Prolific knows no study with this id, or the token's account may not see it.")
    return ProlificAway(f"Prolific answered {status}.")


def _asked_wait(headers: Mapping[str, str] | Any, otherwise: float) -> float:
    """Seconds that the server asks to wait, within reason."""
    asked = str(headers.get("Retry-After", "")) if headers else ""
    return min(float(asked), MAX_WAIT_S) if asked.isdigit() else otherwise


def _read(reply: Any) -> tuple[list[Listed], str | None]:
    """The submissions of one page, and the address of the next one."""
    try:
        rows = [
            listed(
                line=f"Submission {number}",
                session=str(row["id"]),
                pid=str(row["participant_id"]),
                status=str(row["status"]),
                code=str(row.get("study_code") or row.get("entered_code") or ""),
            )
            for number, row in enumerate(reply["results"], start=1)
        ]
        following = ((reply.get("_links") or {}).get("next") or {}).get("href")
    except (KeyError, TypeError, AttributeError):
        raise ProlificAway("Prolific's reply could not be read.") from None
    except Invalid as error:
        raise ProlificAway(f"Prolific's reply could not be read. {error.message}") from None
    return rows, str(following) if following else None

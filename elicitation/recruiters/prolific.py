"""Prolific: ids in the link, codes at the end, and the list of submissions that it exports.

Followed here: researcher-help.prolific.com (completion codes, bulk bonus payments, payment principles: at least £6 or
$8 an hour), docs.prolific.com (submissions and their statuses). Its fee for academic customers is a third of what is
paid. Statuses are kept as Prolific writes them: new ones come now and then.
"""

from __future__ import annotations

import csv
import io
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from elicitation.participants.services import Arrival
from elicitation.recruiters.base import Options, Outcome, Recruiter, told
from hilmix.errors import Invalid

ID = re.compile(r"[0-9a-f]{24}")  # of persons, submissions and studies alike
CODE = re.compile(r"[A-Za-z0-9_-]{4,40}")
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is read as another
SITE = "https://app.prolific.com"
MAX_ROWS, MAX_CELL = 100_000, 10_000

# Statuses that decide something here; all others are only stored.
ACTIVE, AWAITING, APPROVED, REJECTED = "ACTIVE", "AWAITING REVIEW", "APPROVED", "REJECTED"
RETURNED, TIMED_OUT = "RETURNED", "TIMED-OUT"
NO_CODE = frozenset({"", "NOCODE"})  # what Prolific writes for somebody who came back without one


class Prolific(Recruiter):
    """`PROLIFIC_PID` and `SESSION_ID` in the link; a code for every outcome, drawn here and told to Prolific."""

    NAME = "prolific"
    TITLE = "Prolific"
    OPTIONS = {"study_id": "the id of the study at Prolific (24 characters), needed to fetch submissions"}
    HAS_CODES = True
    ASKS_FOR_ID = True
    MINIMUM_HOURLY_E2 = {"GBP": 600, "USD": 800}
    FEE_SHARE = 1 / 3

    def check_options(self, options: Options) -> dict[str, Any]:
        problems: dict[str, list[str]] = {
            name: ["Unknown."] for name in options if name not in ("study_id", "codes")
        }
        study_id = str(options.get("study_id") or "").strip().lower()
        if study_id and not ID.fullmatch(study_id):
            problems["study_id"] = ["24 characters, each 0 to 9 or a to f, as Prolific shows it; or empty."]
        codes = {name: str(code).strip() for name, code in dict(options.get("codes") or {}).items() if code}
        problems |= _code_problems(codes)
        if problems:
            raise Invalid("The recruitment was not saved.", fields=problems)
        return {
            "study_id": study_id,
            "codes": {outcome: codes.get(outcome) or draw_code() for outcome in Outcome},
        }

    def arrival(self, params: Mapping[str, str]) -> Arrival:
        pid, session = told(params, "PROLIFIC_PID").lower(), told(params, "SESSION_ID").lower()
        return Arrival(pid=pid if ID.fullmatch(pid) else "", session=session if ID.fullmatch(session) else "")

    def check_id(self, text: str) -> str:
        pid = text.strip().lower()
        if not ID.fullmatch(pid):
            raise Invalid(
                _(
                    "A Prolific id has 24 characters, each a digit or a letter from a to f. You find it on your"
                    " account page at Prolific."
                )
            )
        return pid

    def parameters(self) -> str:
        return "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"

    def code(self, options: Options, outcome: Outcome) -> str:
        code: str = options.get("codes", {}).get(outcome, "")
        return code

    def completion_url(self, options: Options, outcome: Outcome) -> str:
        code = self.code(options, outcome)
        return f"{SITE}/submissions/complete?cc={code}" if code else f"{SITE}/submissions"


def draw_code() -> str:
    """A new completion code."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(8))


def _code_problems(codes: Mapping[str, str]) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    for name, code in codes.items():
        if name not in set(Outcome):
            problems[name] = ["There is no such outcome."]
        elif not CODE.fullmatch(code):
            problems[name] = ["4 to 40 letters, digits, hyphens or underscores."]
        elif list(codes.values()).count(code) > 1:
            problems[name] = ["Two outcomes have this code: nobody could tell them apart."]
    return problems


# --- What Prolific exports ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """A submission as Prolific lists it. Says who somebody is: never to be logged or stored in plain text."""

    session: str
    pid: str
    status: str
    code: str | None  # None where it was not kept

    def __repr__(self) -> str:
        return f"Listed({self.status})"


COLUMNS = {
    "session": "Submission id",
    "pid": "Participant id",
    "status": "Status",
    "code": "Completion code",
}


def read_export(text: str) -> list[Listed]:
    """The rows of the csv that Prolific exports for a study (Submissions, Download demographic data).

    Columns that it has beside those of `COLUMNS` are left alone, demographics among them.

    Raises:
        Invalid: a column is missing or there twice, a row has no ids, or a submission is there twice; the message names
            lines, never an id.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        places = {field: _place_of(column, header) for field, column in COLUMNS.items()}
        rows = [_listed(row, places, reader.line_num) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Invalid(f"Line {reader.line_num} is no line of a csv file: {error}.") from None
    if len(rows) > MAX_ROWS:
        raise Invalid(f"The file has {len(rows):,} submissions; at most {MAX_ROWS:,} are read.")
    if len({row.session for row in rows}) != len(rows):
        raise Invalid("A submission is there twice. Download the file from Prolific again.")
    return rows


def _place_of(column: str, header: list[str]) -> int:
    n = header.count(column.lower())
    if n != 1:
        raise Invalid(
            f"The file has {'no column' if n == 0 else 'two columns'} “{column}”. Upload the csv that Prolific exports"
            " under Submissions, as it is."
        )
    return header.index(column.lower())


def _listed(row: list[str], places: Mapping[str, int], line: int) -> Listed:
    if max(places.values()) >= len(row):
        raise Invalid(f"Line {line} is cut off.")
    cells = {field: row[place].strip() for field, place in places.items()}
    if any(len(cell) > MAX_CELL for cell in cells.values()):
        raise Invalid(f"Line {line} has a cell that is too long.")
    return listed(line=f"Line {line}", **cells)


def listed(*, line: str, session: str, pid: str, status: str, code: str) -> Listed:
    """A row, checked; `line` names it in messages.

    Raises:
        Invalid: an id is none, or the status holds what no text of a database does.
    """
    session, pid = session.lower(), pid.lower()
    if not ID.fullmatch(session) or not ID.fullmatch(pid):
        raise Invalid(f"{line} has no id of a submission and a participant (24 characters each).")
    if not status.isprintable():
        raise Invalid(f"{line} has a status that cannot be read.")
    status = status.upper().replace("_", " ")[:40]  # the API has written both
    return Listed(session, pid, TIMED_OUT if status == "TIMED OUT" else status, code)

"""Tables for people to download, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

from hilmix.core.cells import safe_cell


def csv_reply(name: str, rows: Iterable[Sequence[str]]) -> HttpResponse:
    """A download called `name`, kept by nobody on the way."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([safe_cell(cell) for cell in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(buffer.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)

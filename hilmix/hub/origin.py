"""Where an imported study came from: whom to credit, under which licence, what was odd, and its rows as they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from elicitation.monitoring.sheets import csv_reply
from elicitation.studies.models import Study
from elicitation.studies.pages import visible_study
from hilmix.accounts.models import User
from hilmix.hub.models import Import, SourceRow


@dataclass(frozen=True)
class OddRows:
    """One flaw of one table, which was kept: in `n` rows, or (None) in every row."""

    table: str
    flaw: str
    n: int | None


@dataclass(frozen=True)
class Origin:
    """An import, with its flaws counted and the studies that came with it, as far as a person may see them."""

    imported: Import
    odd: Sequence[OddRows]
    together: Sequence[Study]
    n_rows: int


def origin_of(imported: Import, person: User) -> Origin:
    """Where the study of `imported` came from."""
    counted = Counter((said["table"], said["flaw"], said["row"] is None) for said in imported.flaws)
    others = Study.objects.visible_to(person).filter(imported_by__together=imported.together)
    return Origin(
        imported=imported,
        odd=[OddRows(table, flaw, None if every else n) for (table, flaw, every), n in counted.items()],
        together=list(others.exclude(pk=imported.study_id).order_by("pk")),
        n_rows=imported.rows.count(),
    )


@require_safe
def source_rows(request: HttpRequest, slug: str) -> HttpResponse:
    """The rows of an imported study as they were published; none of a study that was not imported."""
    study = visible_study(request, slug)
    return csv_reply(f"{study.slug}-source-rows.csv", _published(study))


def _published(study: Study) -> Iterator[list[str]]:
    rows = SourceRow.objects.filter(imported_by__study=study).order_by("table", "row")
    cells = rows.values_list("values", flat=True)
    columns = list(dict.fromkeys(name for values in cells.iterator() for name in values))
    yield ["table", "row", *columns]
    for table, row, values in rows.values_list("table", "row", "values").iterator():
        yield [table, str(row), *(str(values.get(name, "")) for name in columns)]

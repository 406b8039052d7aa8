"""The report of an experiment as one HTML file that opens without a network: its figures are drawings inside it.

Nothing is computed but words, rounding and drawings; matplotlib draws, so only the job that writes it imports this.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string

from hilmix.drawing import draw
from hilmix.version import VERSION
from training.reports.sections import sections_of
from training.reports.tables import checks_of, definitions_of, score_table
from training.reports.words import configuration_words

ON_A_SHEET = {"matrix": ("series", 6), "gallery": ("items", 20)}  # panels that fit one page
FIRST = ("verdict", "advice", "contrasts")  # sections and figures above the scores
Said = Callable[[int, int, str], object]  # done, of, what


def as_html(
    content: dict[str, Any],
    *,
    written_at: datetime,
    facts: list[tuple[str, str]],
    said: Said = lambda *_: None,
) -> str:
    """The whole report, whose figures are SVG in data addresses. `facts` name what its numbers are of, by hash; `said`
    hears of each figure before it is drawn."""
    figures, sections = [], sections_of(content)
    for done, figure in enumerate(content["figures"]):
        said(done, len(content["figures"]), figure["title"])
        drawn = [_address(draw(part, content["watermark"], "svg")) for part in _by_sheet(figure)]
        figures.append({**figure, "drawn": drawn})
    context = {
        "content": content,
        "scores": score_table(content),
        "first": [section for section in sections if section.key in FIRST],
        "first_figures": [figure for figure in figures if figure["key"] in FIRST],
        "sections": [section for section in sections if section.key not in FIRST],
        "figures": [figure for figure in figures if figure["key"] not in FIRST],
        "definitions": definitions_of(content),
        "checks": checks_of(content),
        "configuration": configuration_words(content["config"]),
        "facts": facts,
        "written_at": written_at,
        "version": VERSION,
    }
    return render_to_string("training/paper_report.html", context)


def _by_sheet(figure: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figure in as many parts as it needs pages."""
    key, most = ON_A_SHEET.get(figure["kind"], ("series", 0))
    panels = figure[key]
    if not most or len(panels) <= most:
        return [dict(figure)]
    return [{**figure, key: panels[at : at + most]} for at in range(0, len(panels), most)]


def _address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"

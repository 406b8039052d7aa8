"""The report of an experiment as one HTML file that opens without a network: its figures are drawings inside it.

Nothing is computed but words, rounding and drawings; matplotlib draws, so only the job that writes it imports this.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from django.template.loader import render_to_string
from numpy.typing import NDArray
from PIL import Image

from hilmix.core.mixing import to_png
from hilmix.drawing import draw
from hilmix.figures import Table
from hilmix.version import VERSION
from training.reports.diagnosis.told import symptoms_of
from training.reports.sections import sections_of
from training.reports.tables import checks_of, definitions_of, score_table
from training.reports.words import configuration_words

ACROSS = 9  # columns of a table that fit a page upright
ON_A_SHEET = 6  # matrices that fit one page
SIDE = 96  # pixels of a gallery's pictures at most: a file of hundreds is to stay small
FIRST = ("verdict", "advice", "contrasts")  # sections and figures above the scores
Said = Callable[[int, int, str], object]  # done, of, what
Pixels = Callable[[str], NDArray[np.uint8] | None]  # of a picture, by its address


def as_html(
    content: dict[str, Any],
    *,
    written_at: datetime,
    facts: list[tuple[str, str]],
    said: Said = lambda *_: None,
    galleries: Sequence[Mapping[str, Any]] = (),
    pixels: Pixels = lambda _: None,
) -> str:
    """The whole report, whose figures are SVG and whose pictures are PNG in data addresses. `facts` name what its
    numbers are of, by hash; `said` hears of each figure before it is drawn."""
    figures, sections = [], sections_of(content)
    told = [*content["figures"], *_evidence(content)]
    for done, figure in enumerate(told):
        said(done, len(told), figure["title"])
        drawn = [_address(draw(part, content["watermark"], "svg")) for part in _by_sheet(figure)]
        figures.append({**figure, "drawn": drawn, "table": Table(**figure["table"])})
    context = {
        "content": content,
        "scores": score_table(content),
        "first": [section for section in sections if section.key in FIRST],
        "first_figures": [figure for figure in figures if figure["key"] in FIRST],
        "sections": [section for section in sections if section.key not in FIRST],
        "figures": [figure for figure in figures if figure["key"] not in FIRST],
        "wide": {one.key for one in sections if any(len(table.columns) > ACROSS for table in one.tables)},
        "galleries": [_with_pictures(one, pixels) for one in galleries],
        "definitions": definitions_of(content),
        "checks": checks_of(content),
        "configuration": configuration_words(content["config"]),
        "facts": facts,
        "written_at": written_at,
        "version": VERSION,
    }
    return render_to_string("training/paper_report.html", context)


def _evidence(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of the symptoms that were found, but for those that are galleries."""
    found = content.get("diagnosis_figures", {})
    return [
        {**one["figure"], "title": f"{symptom.name}: {one['arm']}, seed {one['seed']}"}
        for symptom in symptoms_of(content)
        if (one := found.get(symptom.rule)) and one["figure"]["kind"] != "gallery"
    ]


def _by_sheet(figure: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figure in as many parts as it needs pages."""
    panels = figure["series"]
    if figure["kind"] != "matrix" or len(panels) <= ON_A_SHEET:
        return [dict(figure)]
    return [{**figure, "series": panels[at : at + ON_A_SHEET]} for at in range(0, len(panels), ON_A_SHEET)]


def _with_pictures(gallery: Mapping[str, Any], pixels: Pixels) -> dict[str, Any]:
    """The gallery with `pictures` in place of addresses: each what it shows in words and, where it is still there, its
    data."""
    items = [
        {**item, "pictures": [(one["words"], _picture(pixels(one["address"]))) for one in item["images"]]}
        for item in gallery["items"]
    ]
    beside, table = max(len(item["images"]) for item in items), Table(**gallery["table"])
    return {**gallery, "items": items, "beside": beside, "table": table}


def _picture(pixels: NDArray[np.uint8] | None) -> str:
    if pixels is None:
        return ""
    if max(pixels.shape[:2]) > SIDE:
        plain = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        plain.thumbnail((SIDE, SIDE))
        pixels = np.asarray(plain).reshape(plain.height, plain.width, -1)
    return _address(to_png(pixels), "png")


def _address(data: bytes, kind: str = "svg+xml") -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"

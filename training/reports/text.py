"""A report as Markdown, for the command line, a download or a note; the same content as the page, without the
canvases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hilmix.core.markdown import plain
from hilmix.figures import Table, markdown
from training.reports.sections import Section, sections_of
from training.reports.tables import checks_of, definitions_of, score_table

_ABOVE = ("verdict", "advice")


def as_markdown(content: dict[str, Any]) -> str:
    """The whole report as one Markdown text."""
    first, rest = _apart(sections_of(content))
    parts = [
        f"# {plain(content['name'])}",
        *_head(content),
        *first,
        "## Scores",
        scores_as_markdown(content),
        *rest,
    ]
    parts += ["## Definitions", _list(f"{name}: {meaning}" for name, meaning in definitions_of(content))]
    for figure in content["figures"]:
        parts += [f"## {plain(figure['title'])}"]
        parts += [plain(said) for said in (figure.get("reading"), figure["definition"]) if said]
        parts += [markdown(figure["table"]["columns"], figure["table"]["rows"])]
    parts += ["## Checks", _list(checks_of(content))]
    parts += ["## Computed from", _list(f"{label}: {value}" for label, value in content["provenance"])]
    return "\n\n".join(parts) + "\n"


def scores_as_markdown(content: dict[str, Any]) -> str:
    """The table of scores with its caption."""
    return _table(score_table(content))


def summary(content: dict[str, Any]) -> str:
    """What the command line prints: watermark, notes, verdict, scores, what is not folded away there, and checks."""
    first, rest = _apart([section for section in sections_of(content) if not section.folded])
    return "\n\n".join(
        [*_head(content), *first, scores_as_markdown(content), *rest, _list(checks_of(content))]
    )


def _apart(sections: list[Section]) -> tuple[list[str], list[str]]:
    """What stands above the scores, and what below them."""
    first = [part for one in sections if one.key in _ABOVE for part in _section(one)]
    return first, [part for one in sections if one.key not in _ABOVE for part in _section(one)]


def _section(section: Section) -> list[str]:
    said = [_list(section.sentences)] if section.sentences else []
    return [f"## {section.title}", *said, *map(_table, section.tables)]


def _table(table: Table) -> str:
    return f"{plain(table.caption)}\n\n{markdown(table.columns, table.rows)}"


def _head(content: dict[str, Any]) -> list[str]:
    watermark = [f"**{content['watermark'].upper()}**"] if content["watermark"] else []
    return [*watermark, *([_list(content["notes"])] if content["notes"] else [])]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)

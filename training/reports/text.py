"""A report as Markdown, for the command line, a download or a note; the same content as the page, without the
canvases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hilmix.figures import markdown
from training.reports.sections import Section, sections_of
from training.reports.tables import checks_of, definitions_of, score_table


def as_markdown(content: dict[str, Any]) -> str:
    """The whole report as one Markdown text."""
    parts = [f"# {content['name']}", *_head(content), "## Scores", scores_as_markdown(content)]
    for section in sections_of(content):
        parts += _section(section)
    parts += ["## Definitions", _list(f"{name}: {meaning}" for name, meaning in definitions_of(content))]
    for figure in content["figures"]:
        parts += [f"## {figure['title']}", figure["definition"]]
        parts += [markdown(figure["table"]["columns"], figure["table"]["rows"])]
    parts += ["## Checks", _list(checks_of(content))]
    parts += ["## Computed from", _list(f"{label}: {value}" for label, value in content["provenance"])]
    return "\n\n".join(parts) + "\n"


def scores_as_markdown(content: dict[str, Any]) -> str:
    """The table of scores with its caption."""
    table = score_table(content)
    return f"{table.caption}\n\n{markdown(table.columns, table.rows)}"


def summary(content: dict[str, Any]) -> str:
    """What the command line prints: watermark, notes, scores, what is not folded away on the page, and checks."""
    shown = [part for section in sections_of(content) if not section.folded for part in _section(section)]
    return "\n\n".join([*_head(content), scores_as_markdown(content), *shown, _list(checks_of(content))])


def _section(section: Section) -> list[str]:
    tables = [f"{table.caption}\n\n{markdown(table.columns, table.rows)}" for table in section.tables]
    said = [_list(section.sentences)] if section.sentences else []
    return [f"## {section.title}", *said, *tables]


def _head(content: dict[str, Any]) -> list[str]:
    watermark = [f"**{content['watermark'].upper()}**"] if content["watermark"] else []
    return [*watermark, *([_list(content["notes"])] if content["notes"] else [])]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)

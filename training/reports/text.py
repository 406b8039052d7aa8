"""A report as Markdown, for the command line, a download or a note; the same content as the page, without the
canvases."""

from __future__ import annotations

from typing import Any

from hilmix.figures import markdown
from training.reports.content import score_table


def as_markdown(content: dict[str, Any]) -> str:
    """The whole report as one Markdown text."""
    parts = [f"# {content['name']}", *_head(content), "## Scores", scores_as_markdown(content)]
    parts += [
        "## Definitions",
        _list(f"{metric['name']}: {metric['definition']}" for metric in content["metrics"]),
    ]
    parts += [
        "## Arms",
        _list(
            f"{a['name']}: {a['policy']}@{a['params']['version']}, {a['params']['meaning']}"
            for a in content["arms"]
        ),
    ]
    for figure in content["figures"]:
        parts += [f"## {figure['title']}", figure["definition"]]
        parts += [markdown(figure["table"]["columns"], figure["table"]["rows"])]
    parts += ["## Checks", _list([*content["leakage"]["sentences"], content["budget"]["sentence"]])]
    parts += ["## Computed from", _list(f"{label}: {value}" for label, value in content["provenance"])]
    return "\n\n".join(parts) + "\n"


def scores_as_markdown(content: dict[str, Any]) -> str:
    """The table of scores with its caption."""
    table = score_table(content)
    return f"{table.caption}\n\n{markdown(table.columns, table.rows)}"


def summary(content: dict[str, Any]) -> str:
    """What the command line prints: watermark, notes, scores and checks."""
    checks = _list([content["leakage"]["sentences"][0], content["budget"]["sentence"]])
    return "\n\n".join([*_head(content), scores_as_markdown(content), checks])


def _head(content: dict[str, Any]) -> list[str]:
    watermark = [f"**{content['watermark'].upper()}**"] if content["watermark"] else []
    return [*watermark, _list(content["notes"])]


def _list(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)

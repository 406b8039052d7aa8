"""Baseline for the report's page: one query and joined strings, behind the same server, middleware and sign-in.

It sends the same figures' tables and data, escaped, of the scores only their means, and none of the other parts of a
report. It omits too: the check whether this person may see the report, the layout with its menu, definitions and
explanations, translation, and templates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.html import json_script


def plain_page(request: HttpRequest, experiment_id: int) -> HttpResponse:
    assert request.user.is_authenticated
    with connection.cursor() as cursor:
        cursor.execute("select content from training_report where experiment_id = %s", [experiment_id])
        content = json.loads(cursor.fetchone()[0])
    parts = ["<!doctype html><title>", escape(content["name"]), "</title>", _scores(content)]
    for figure in content["figures"]:
        parts += [f'<h2>{escape(figure["title"])}</h2><div class="figure-canvas"></div>']
        parts += [_table(figure["table"]["columns"], figure["table"]["rows"])]
    return HttpResponse("".join([*parts, json_script(content["figures"], "figures")]))


def _scores(content: dict[str, Any]) -> str:
    keys = [metric["key"] for metric in content["metrics"]]
    rows = [[arm["name"], *(arm["summary"][key]["mean"] for key in keys)] for arm in content["arms"]]
    return _table(["Arm", *keys], rows)


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in columns)
    return f"<table><tr>{head}{''.join('<tr>' + ''.join(map(_cell, row)) for row in rows)}</table>"


def _cell(value: Any) -> str:
    return f"<td>{value:.4f}" if isinstance(value, float) else f"<td>{escape(str(value))}"

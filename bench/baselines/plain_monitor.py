"""Baseline for watching a study: SQL that computes what the monitor's page and the list of participations show.

Plain sqlite3 on the same tables, for a study of `infer` without factors, repeats or checks. The monitor: people by
state, places by state, answers of each unit by class pair and λ, the mean width of raw intervals, answers of the last
day and week, durations, and how far each person's answers are from those of others to the same unit. It omits: pages,
sign-in, texts, judgements as objects, levels, a person's second answer, and intervals of shrunk labels.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import numpy as np

SAID = """
    select who.id as person, t.unit_id as unit,
        case json_extract(t.params, '$.left') when 'first'
            then 1 - json_extract(r.payload, '$.mixing_percent') / 100.0
            else json_extract(r.payload, '$.mixing_percent') / 100.0 end as said
    from elicitation_participation who
    join elicitation_trial t on t.participation_id = who.id
    join elicitation_response r on r.trial_id = t.id
    where who.study_id = ? and who.mode = 'live' and who.invalid_at is null and t.kind = 'main'
"""
UNITS = """
    select u.id, min(p.first_class, p.second_class), max(p.first_class, p.second_class), m.lambda_e4
    from elicitation_unit u join elicitation_batch b on b.id = u.batch_id
    join elicitation_pair p on p.id = u.pair_id join elicitation_mixedimage m on m.id = u.mixed_image_id
    where b.study_id = ? and b.mode = 'live'
"""
PEOPLE = "select mode, state, count(*) from elicitation_participation where study_id = ? group by 1, 2"
PLACES = """
    select s.state, count(*) from elicitation_slot s join elicitation_batch b on b.id = s.batch_id
    where b.study_id = ? and b.mode = 'live' group by 1
"""
RECEIVED = """
    select count(case when r.received_at > datetime('now', '-1 day') then 1 end),
        count(case when r.received_at > datetime('now', '-7 day') then 1 end), max(r.received_at)
    from elicitation_participation who
    join elicitation_trial t on t.participation_id = who.id
    join elicitation_response r on r.trial_id = t.id
    where who.study_id = ? and who.mode = 'live'
"""
DURATIONS = """
    select julianday(completed_at) - julianday(started_at) from elicitation_participation
    where study_id = ? and mode = 'live' and completed_at is not null
"""
LIST = """
    select who.*,
        (select count(*) from elicitation_trial t join elicitation_response r on r.trial_id = t.id
         where t.participation_id = who.id),
        (select count(*) from elicitation_trial t where t.participation_id = who.id),
        (select count(*) from elicitation_participationevent e where e.participation_id = who.id)
    from elicitation_participation who where who.study_id = ? and who.mode = 'live' order by who.id desc limit 50
"""


def monitor(database: sqlite3.Connection, study: int) -> dict[str, Any]:
    """The numbers of the monitor's page."""
    person, unit, said = _said(database, study)
    counts = dict(zip(*np.unique(unit, return_counts=True), strict=True))
    cells: dict[tuple[int, int, int], list[int]] = {}
    for key, first, second, lambda_e4 in database.execute(UNITS, [study]):
        cells.setdefault((first, second, lambda_e4), []).append(counts.get(key, 0))
    _, at = np.unique(unit, return_inverse=True)
    n = np.bincount(at)
    within = np.sum((said - (np.bincount(at, said) / n)[at]) ** 2) / (len(said) - len(n))
    return {
        "cells": {cell: (np.mean(found), min(found)) for cell, found in cells.items()},
        "width": np.mean(2 * 1.96 * np.sqrt(within / n)),
        "flagged": np.count_nonzero(_disagreement(person, at, said) > 0.35),
        "people": database.execute(PEOPLE, [study]).fetchall(),
        "places": database.execute(PLACES, [study]).fetchall(),
        "received": database.execute(RECEIVED, [study]).fetchall(),
        "took": np.percentile(database.execute(DURATIONS, [study]).fetchall(), (25, 50, 75)),
    }


def participations(database: sqlite3.Connection, study: int) -> list[tuple[Any, ...]]:
    """The newest fifty people with their counts, and everybody's disagreement, which the list can be filtered by."""
    person, unit, said = _said(database, study)
    _, at = np.unique(unit, return_inverse=True)
    _disagreement(person, at, said)
    return database.execute(LIST, [study]).fetchall()


def _said(database: sqlite3.Connection, study: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [row for row in database.execute(SAID, [study]) if row[2] is not None]
    person, unit, said = zip(*rows, strict=True)
    return np.array(person), np.array(unit), np.array(said)


def _disagreement(person: np.ndarray, at: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Each person's mean difference from the mean of others' answers to the same unit."""
    n, total = np.bincount(at)[at], np.bincount(at, said)[at]
    away = np.abs(said - (total - said) / np.maximum(n - 1, 1))
    _, index = np.unique(person, return_inverse=True)
    return np.bincount(index, away) / np.bincount(index)

"""Baseline for joining a study: the rows of one join as single-row INSERTs of plain sqlite3, in one transaction.

Same tables, indexes, number of rows, atomicity and durability. It omits: drawing the plan (the units come in
their own order, without repeats' spacing), least-filled allocation, leases that ended, the study's state, the
consent text's hash, and every check.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

SLOT = "select s.id from elicitation_slot s where s.batch_id = ? and s.state = 'free' limit 1"
HOLD = (
    "update elicitation_slot set state = 'held', lease_expires_at = datetime('now', '+1 hour') where id = ?"
)
PARTICIPATION = """
    insert into elicitation_participation (public_id, study_id, protocol_id, slot_id, source, mode, levels, turn, state,
        seed, epoch, drawn, started_at, last_seen_at, invalid_reason, measures, completion_code, comments, survey)
    values (?, ?, ?, ?, 'person', 'live', '{}', 0, 'running', ?, 0, '{}', datetime('now'), datetime('now'), '', '{}',
        '', '', '{}')
"""
CONSENT = """
    insert into elicitation_consent (participation_id, text_sha256, boxes, publish, contact, given_at)
    values (?, '', '{}', 1, 0, datetime('now'))
"""
TRIAL = """
    insert into elicitation_trial (participation_id, position, kind, unit_id, pair_id, condition_id, levels, params)
    values (?, ?, 'main', ?, ?, ?, '{}', ?)
"""
PARAMS = '{"left": "first", "order": ["mixing", "confidence"]}'
IMAGE = 'insert into elicitation_trialimage (trial_id, "order", mixed_image_id) values (?, 0, ?)'


def connect(var: Path) -> sqlite3.Connection:
    """The instance's database with its durability (WAL, synchronous=NORMAL)."""
    database = sqlite3.connect(var / "hilmix.sqlite3", timeout=20, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    return database


def join(
    database: sqlite3.Connection,
    study: int,
    protocol: int,
    condition: int,
    batch: int,
    units: list[tuple[int, int, int]],
) -> None:
    """One more participation in `batch`, with a trial for each of `units` (unit, mixed image, pair)."""
    execute = database.execute
    execute("begin immediate")
    (slot,) = execute(SLOT, (batch,)).fetchone()
    execute(HOLD, (slot,))
    identity = secrets.token_hex(7), study, protocol, slot, secrets.randbits(62)
    participation = execute(PARTICIPATION, identity).lastrowid
    execute(CONSENT, (participation,))
    for position, (unit, mixed_image, pair) in enumerate(units):
        trial = execute(TRIAL, (participation, position, unit, pair, condition, PARAMS)).lastrowid
        execute(IMAGE, (trial, mixed_image))
    execute("commit")

"""Baseline for saving an answer: the least WSGI program that inserts one row, behind the same kind of server.

Same protocol, same table and indexes in the same file, same durability (WAL, synchronous=NORMAL). It omits
everything that makes an answer trustworthy: the token's signature, all validation, idempotence, state of
participation and study, the lease, the throttle, security headers, and Django.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

INSERT = """
    insert into elicitation_response
        (id, trial_id, payload, payload_sha256, rt_ms, received_at, epoch, attempt)
    values (?, (select id from elicitation_trial where participation_id = ? and position = ?),
            ?, '', ?, datetime('now'), ?, ?)
"""
_of_thread = threading.local()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    sent = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    (answer,) = sent["responses"]
    place = int(environ["HTTP_PARTICIPATION"]), answer["position"]
    said = json.dumps(answer["payload"]), answer["rt_ms"], sent["epoch"], answer["attempt"]
    _database().execute(INSERT, (answer["id"].replace("-", ""), *place, *said))
    body = json.dumps({"results": [{"id": answer["id"], "status": "created"}]}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _database() -> sqlite3.Connection:
    if not hasattr(_of_thread, "database"):
        _of_thread.database = connect(Path(os.environ["HILMIX_VAR"]))
    database: sqlite3.Connection = _of_thread.database
    return database


def connect(var: Path) -> sqlite3.Connection:
    """The instance's database with its durability, committing each statement outside a transaction."""
    database = sqlite3.connect(var / "hilmix.sqlite3", timeout=20, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    return database

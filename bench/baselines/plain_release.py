"""Baseline for freezing a release: one SQL query a table, written straight to Parquet and csv, pictures to PNG.

The same answers from the same SQLite into the same columns and formats (Parquet zstd and csv, lossless PNG,
fixed_size_list labels), every file hashed. It omits: interfaces and judgements as objects, all checks (types,
keys, unknown columns, formulas in csv, pictures against their hashes, hashes against each other), the intervals
and spreads of labels, participants' pseudonyms by HMAC, the data dictionary and card, and complete-or-absent.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ANSWERS = """
    with answer as (
        select p.id as who, t.position, t.kind = 'repeat' as repeat, u.mixed_image_id as image,
               json_extract(t.params, '$.left') as left, r.payload, r.rt_ms,
               json_extract(r.payload, '$.cannot_tell') as cannot_tell,
               json_extract(r.payload, '$.mixing_percent') / 100.0 as share,
               json_extract(r.payload, '$.confidence_percent') / 100.0 as confidence, p.public_id
        from elicitation_response r
        join elicitation_trial t on t.id = r.trial_id
        join elicitation_unit u on u.id = t.unit_id
        join elicitation_participation p on p.id = t.participation_id
        where p.study_id = ?
        order by t.participation_id, t.position
    )
    select cast(image as text), public_id, position, repeat, not repeat and not cannot_tell, cannot_tell,
           case left when 'first' then 1 - share else share end, confidence, left, cast(rt_ms as real), payload
    from answer
"""
MIXED = """
    select cast(m.id as text), p.first_index, p.second_index, p.first_class, p.second_class, m.lambda_e4, m.method,
           m.sha256
    from elicitation_mixedimage m join elicitation_pair p on p.id = m.pair_id
    where m.id in (select u.mixed_image_id from elicitation_unit u
                   join elicitation_batch b on b.id = u.batch_id where b.study_id = ?)
    order by m.id
"""
COLUMNS = {
    "responses": (
        "key participant position repeat counted cannot_tell perceived_lambda confidence left rt_ms payload"
    ).split(),
    "mixed_images": "key first_index second_index first_class second_class lambda_e4 method sha256".split(),
    "participants": ["participant", "source", "n_responses"],
    "labels": ["key", "policy", "n", "lambda", "soft_label"],
}
PARTICIPANTS = "select public_id, source, n from (select *, ? as study, 0 as n from elicitation_participation) where study_id = study"


def freeze(database: sqlite3.Connection, study: int, images: np.ndarray, directory: Path, n_classes: int) -> None:
    """Write the study's tables, labels and pictures to `directory` with a manifest of hashes."""
    for folder in ("data", "csv", "images"):
        (directory / folder).mkdir(parents=True)
    mixed = database.execute(MIXED, (study,)).fetchall()
    _write(directory, "mixed_images", mixed)
    sums, counts = {row[0]: 0.0 for row in mixed}, {row[0]: 0 for row in mixed}
    answers = database.execute(ANSWERS, (study,))
    _write(directory, "responses", answers.fetchall(), sums, counts)
    _write(directory, "participants", database.execute(PARTICIPANTS, (study,)).fetchall())
    _write(directory, "labels", _labels(mixed, sums, counts, n_classes), n_classes=n_classes)
    for _key, first, second, _a, _b, lambda_e4, _method, sha256 in mixed:
        share = np.float32(lambda_e4 / 10_000)
        pixels = (images[first] * share + images[second] * (1 - share) + np.float32(0.5)).astype(np.uint8)
        Image.fromarray(pixels).save(directory / "images" / f"{sha256}.png")
    hashes = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }
    (directory / "manifest.json").write_text(json.dumps(hashes))

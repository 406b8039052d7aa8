"""Baseline for freezing a release: one SQL query a table, straight to Parquet and csv, pictures to PNG.

The same answers and trials from the same SQLite into the same formats (Parquet zstd and csv, labels as
fixed_size_list, lossless PNG), every file hashed. It omits: interfaces and judgements as objects, pseudonyms by HMAC,
words for truth values in csv, all checks (types, keys, formulas in csv, pictures against their hashes), all label
policies but three, with their intervals and spreads, flags and what they measure, what was seen in the trial before,
the comparison with the release before, the pictures once more as a table, dictionary, schemas, card, Croissant and the
other papers, and being complete or absent.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.baselines.numpy_labels import shrunk, two_hot
from hilmix.core.release_tables import BATCH_ROWS, schema

MIXED_IMAGES = """
    select p.first_index || '-' || p.second_index || '-' || m.lambda_e4, p.first_index, p.second_index,
           p.first_class, p.second_class, m.lambda_e4, m.method, m.sha256, 'train', m.id
    from elicitation_mixedimage m join elicitation_pair p on p.id = m.pair_id
    where m.id in (select u.mixed_image_id from elicitation_unit u
                   join elicitation_batch b on b.id = u.batch_id where b.study_id = ?)
    order by m.id
"""
CONDITIONS = """
    select substr(sha256, 1, 12), json_extract(content, '$.interface'), json_extract(content, '$.interface_version'),
           json_extract(content, '$.options'), json_extract(content, '$.language'),
           json_extract(content, '$.perspective'), json_extract(content, '$.wording'),
           json_extract(content, '$.bonus'), json_extract(content, '$.display')
    from elicitation_condition where study_id = ?
"""
RESPONSES = """
    select p.first_index || '-' || p.second_index || '-' || m.lambda_e4, 'mixed_image', substr(c.sha256, 1, 12),
           who.public_id, protocol.sha256, t.position, r.trial_index, t.kind = 'repeat', t.kind = 'main',
           case t.kind when 'repeat' then 'repeat' end, '[]', json_extract(r.payload, '$.cannot_tell'),
           case json_extract(t.params, '$.left') when 'first'
                then 1 - json_extract(r.payload, '$.mixing_percent') / 100.0
                else json_extract(r.payload, '$.mixing_percent') / 100.0 end,
           json_extract(r.payload, '$.confidence_percent') / 100.0, null, null, null, null,
           json_extract(t.params, '$.left'), t.params, cast(r.rt_ms as real), r.time_elapsed_ms, r.attempt, r.payload,
           null, m.id
    from elicitation_participation who
    join elicitation_protocol protocol on protocol.id = who.protocol_id
    join elicitation_trial t on t.participation_id = who.id
    join elicitation_response r on r.trial_id = t.id
    join elicitation_condition c on c.id = t.condition_id
    join elicitation_unit u on u.id = t.unit_id
    join elicitation_mixedimage m on m.id = u.mixed_image_id
    join elicitation_pair p on p.id = m.pair_id
    where who.study_id = ? order by t.participation_id, t.position
"""
TRIALS = """
    select who.public_id, t.position, t.kind, 'mixed_image',
           p.first_index || '-' || p.second_index || '-' || m.lambda_e4, substr(c.sha256, 1, 12), protocol.sha256,
           p.first_index, p.second_index, p.first_class, p.second_class, m.lambda_e4,
           json_extract(t.params, '$.left'), null, r.id is not null, r.id is not null and t.kind = 'main',
           case when r.id is null then 'unanswered' when t.kind = 'repeat' then 'repeat' end, '[]',
           json_extract(r.payload, '$.cannot_tell'),
           case json_extract(t.params, '$.left') when 'first'
                then 1 - json_extract(r.payload, '$.mixing_percent') / 100.0
                else json_extract(r.payload, '$.mixing_percent') / 100.0 end as seen,
           json_extract(r.payload, '$.confidence_percent') / 100.0, null, cast(r.rt_ms as real), null
    from elicitation_participation who
    join elicitation_protocol protocol on protocol.id = who.protocol_id
    join elicitation_trial t on t.participation_id = who.id
    left join elicitation_response r on r.trial_id = t.id
    join elicitation_condition c on c.id = t.condition_id
    join elicitation_unit u on u.id = t.unit_id
    join elicitation_mixedimage m on m.id = u.mixed_image_id
    join elicitation_pair p on p.id = m.pair_id
    where who.study_id = ? order by t.participation_id, t.position
"""
PARTICIPANTS = """
    select who.public_id, who.source, protocol.sha256, 0, who.invalid_at is not null, who.measures, '[]',
           '[]', count(*), 0, 0, who.drawn, who.survey
    from elicitation_participation who
    join elicitation_protocol protocol on protocol.id = who.protocol_id
    join elicitation_trial t on t.participation_id = who.id where who.study_id = ? group by who.id
"""
NUMBER, IMAGE = 12, -1  # places in a row of RESPONSES


def freeze(database: Path, study: int, parents: np.ndarray, n_classes: int, directory: Path) -> None:
    """Write everything of the study with primary key `study` to the new folder `directory`."""
    for folder in ("data", "csv", "images"):
        (directory / folder).mkdir(parents=True)
    rows = sqlite3.connect(database)
    mixed = rows.execute(MIXED_IMAGES, (study,)).fetchall()
    place = {row[IMAGE]: number for number, row in enumerate(mixed)}
    said = _table(directory, "responses", rows.execute(RESPONSES, (study,)), n_classes, keep=(IMAGE, NUMBER))
    _table(directory, "mixed_images", mixed, n_classes)
    _table(directory, "trials", rows.execute(TRIALS, (study,)), n_classes)
    conditions = rows.execute(CONDITIONS, (study,)).fetchall()
    _table(directory, "conditions", conditions, n_classes)
    _table(directory, "checks", (), n_classes)
    _table(directory, "participants", rows.execute(PARTICIPANTS, (study,)), n_classes)
    groups, values = np.array([place[image] for image, _ in said]), np.array([value for _, value in said])
    _table(directory, "labels", _labels(mixed, groups, values, conditions[0][0], n_classes), n_classes)
    for row in mixed:
        pixels = parents[row[1]] * np.float32(row[5] / 10_000) + parents[row[2]] * np.float32(
            1 - row[5] / 10_000
        )
        Image.fromarray((pixels + np.float32(0.5)).astype(np.uint8)).save(
            directory / "images" / f"{row[7]}.png"
        )
    files = (path for path in directory.rglob("*") if path.is_file())
    hashes = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (directory / "manifest.json").write_text(json.dumps(hashes))


def _table(
    directory: Path, name: str, rows: Iterable[Sequence[Any]], n_classes: int, keep: Sequence[int] = ()
) -> list[tuple[Any, ...]]:
    """Write rows to both files in batches; return the columns `keep` of every row."""
    columns, kept, source = schema(name, n_classes), [], iter(rows)
    text = (directory / "csv" / f"{name}.csv").open("w", newline="")
    with (
        text,
        pq.ParquetWriter(directory / "data" / f"{name}.parquet", columns, compression="zstd") as parquet,
    ):
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns.names)
        while batch := list(islice(source, BATCH_ROWS)):
            arrays = [
                pa.array(map(bool, values) if field.type == pa.bool_() else values, field.type)
                for values, field in zip(zip(*batch, strict=True), columns, strict=False)
            ]
            parquet.write_batch(pa.RecordBatch.from_arrays(arrays, schema=columns))
            writer.writerows(row[: len(columns)] for row in batch)
            kept += [tuple(row[place] for place in keep) for row in batch]
    return kept


def _labels(
    mixed: Sequence[Sequence[Any]], groups: np.ndarray, values: np.ndarray, condition: str, n_classes: int
) -> Iterator[tuple[Any, ...]]:
    """Rows of three policies: λ itself, the mean of the answers, and the mean drawn towards the curve."""
    first, second, lambdas = np.array([row[3:6] for row in mixed]).T
    n = np.bincount(groups, minlength=len(mixed))
    policies = {
        "mixup": (lambdas / 10_000, np.zeros_like(n)),
        "human_lambda": (np.bincount(groups, values) / n, n),
        "human_lambda_shrunk": (shrunk(lambdas, groups, values), n),
    }
    for policy, (shares, used) in policies.items():
        soft = two_hot(shares, first, second, n_classes).tolist()
        for row, count, share, label in zip(mixed, used.tolist(), shares.tolist(), soft, strict=True):
            yield row[0], policy, condition, count, share, None, None, None, label, False

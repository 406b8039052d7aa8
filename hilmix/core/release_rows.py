"""What the rows of a release must be to each other, checked batch by batch as they are written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hilmix.core.errors import DataError
from hilmix.core.release_columns import GIVEN
from hilmix.core.release_tables import Row, pair_key

UNITS = ("mixed_image", "pair")
KINDS = ("main", "repeat", "check")
SUMS_TO_ONE = 1e-6  # how far from 1 the sum of a soft label may be


class Written:
    """What was written of a release so far. `take` refuses a batch that does not fit to it.

    Kept are the mixed images, the conditions, and a few numbers for each participant, mixed image and label set:
    nothing that grows with the answers.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.conditions: list[Row] = []
        self._source = manifest["source"]
        self._label_sets = [(entry["name"], entry["condition"]) for entry in manifest["label_sets"]]
        self._rows = Counter(dict.fromkeys(GIVEN, 0))
        self._mixed: list[pa.RecordBatch] = []
        self._people: list[Row] = []
        self._answers: Counter[str] = Counter()  # of each participant, as are the next two
        self._answered_trials: Counter[str] = Counter()
        self._checks: Counter[tuple[str, bool]] = Counter()
        self._left_out = Counter({"invalid": 0, "excluded": 0})

    def take(self, table: str, batch: pa.RecordBatch) -> None:
        """Take a batch that was written to `table`. Raises DataError naming what does not fit."""
        self._rows[table] += batch.num_rows
        match table:
            case "mixed_images":
                self._mixed.append(batch)
            case "conditions":
                self.conditions += batch.to_pylist()
            case "responses":
                self._take_responses(batch)
            case "trials":
                self._take_trials(batch)
            case "checks":
                pairs = zip(batch["participant"].to_pylist(), batch["passed"].to_pylist(), strict=True)
                self._checks.update(pairs)
            case "participants":
                self._people += batch.select(_OF_A_PERSON).to_pylist()
            case "labels":
                self._take_labels(batch)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the rows: how many `rows` each table has, `counts` (participants who answered,
        responses, mixed images), `left_out` (how many of these participants no label uses) and `answers_per_unit` (that
        labels use, of mixed images and of pairs, where there are any: fewest, median, most).

        Raises DataError where tables do not fit together.
        """
        self._check_people()
        self._check_labelled()
        return {
            "rows": dict(self._rows),
            "counts": {
                "participants": sum(row["n_responses"] > 0 for row in self._people),
                "responses": self._answers.total(),
                "mixed_images": len(self._keys),
            },
            "left_out": dict(self._left_out),
            "answers_per_unit": {
                unit: {"fewest": int(n.min()), "median": float(np.median(n)), "most": int(n.max())}
                for unit, n in self._counted.items()
                if n.any()
            },
        }

    def by_picture(self) -> dict[str, list[Row]]:
        """The mixed images by the hash of their pixels, in the columns of the table `pictures`."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for batch in self._mixed:
            for row in batch.select(
                ["sha256", "key", "first_class", "second_class", "lambda_e4"]
            ).to_pylist():
                found[row.pop("sha256")].append(row)
        return dict(found)

    # --- answers and trials

    def _take_responses(self, batch: pa.RecordBatch) -> None:
        _check_among("responses", "a unit", batch["unit"], UNITS)
        self._check_about("responses", batch)
        self._check_counted("responses", batch)
        self._answers.update(_counts(batch["participant"]))
        for unit, names in zip(UNITS, (self._keys, self._pairs), strict=True):
            used = batch["key"].filter(pc.and_(batch["counted"], pc.equal(batch["unit"], unit)))
            places = pc.index_in(used, names).to_numpy(zero_copy_only=False)
            self._counted[unit] += np.bincount(places, minlength=len(names))

    def _take_trials(self, batch: pa.RecordBatch) -> None:
        _check_among("trials", "a unit", batch["unit"], UNITS)
        _check_among("trials", "a kind", batch["kind"], KINDS)
        self._check_about("trials", batch.filter(pc.not_equal(batch["kind"], "check")))
        self._check_counted("trials", batch)
        answered = pc.and_(batch["answered"], pc.not_equal(batch["kind"], "check"))
        self._answered_trials.update(_counts(batch["participant"].filter(answered)))

    def _check_about(self, table: str, batch: pa.RecordBatch) -> None:
        pairs = pc.equal(batch["unit"], "pair")
        _check_known(table, batch["key"].filter(pc.invert(pairs)), self._keys, "mixed_images")
        _check_known(table, batch["key"].filter(pairs), self._pairs, "mixed_images")
        _check_known(table, batch["condition"], self._ways, "conditions")

    def _check_counted(self, table: str, batch: pa.RecordBatch) -> None:
        if not batch["counted"].equals(batch["not_counted"].is_null()):
            raise DataError(f"Table {table}: an answer is counted, or not_counted says why it is not.")

    # --- participants

    def _check_people(self) -> None:
        for row in self._people:
            person = row["participant"]
            failed = self._checks[person, False]
            if row["source"] != self._source:
                raise DataError(f"The participant {person} is {row['source']}, unlike the release.")
            counts = {
                "n_responses": self._answers[person],
                "checks_shown": failed + self._checks[person, True],
                "checks_failed": failed,
            }
            for name, n in counts.items():
                if row[name] != n:
                    raise DataError(f"The participant {person} has not {name} = {row[name]}.")
            if self._answered_trials[person] != row["n_responses"]:
                raise DataError(f"Table trials: {person} has not {row['n_responses']} answered trials.")
            if row["n_responses"]:
                self._left_out["invalid"] += row["invalid"]
                self._left_out["excluded"] += not row["invalid"] and row["excluded_by"] != "[]"
        known = _unique("participants", [row["participant"] for row in self._people])
        checked = {person for person, _passed in self._checks}
        for table, named in (
            ("responses", self._answers),
            ("trials", self._answered_trials),
            ("checks", checked),
        ):
            _check_known(table, pa.array(sorted(named), pa.string()), known, "participants")

    # --- labels

    def _take_labels(self, batch: pa.RecordBatch) -> None:
        """Mark whom each label set labels; labels of one set stand together, so there are few runs of them."""
        _check_known("labels", batch["key"], self._keys, "mixed_images")
        _check_distributions(batch)
        names = pa.StructArray.from_arrays([batch["policy"], batch["condition"]], ["policy", "condition"])
        places = pc.index_in(batch["key"], self._keys).to_numpy(zero_copy_only=False)
        start = 0
        runs = pc.run_end_encode(pc.binary_join_element_wise(*names.flatten(), "\n", null_handling="replace"))
        for end in runs.run_ends.to_pylist():
            name = names[start].as_py()
            self._mark((name["policy"], name["condition"]), places[start:end])
            start = end

    def _mark(self, name: tuple[str, str | None], places: npt.NDArray[np.int64]) -> None:
        done = self._labelled.get(name)
        if done is None:
            raise DataError(f"Table labels: {_say(*name)} is not in the manifest.")
        done += np.bincount(places, minlength=len(done)).astype(np.uint8)
        if (done > 1).any():
            twice = self._keys[int(np.argmax(done))].as_py()
            raise DataError(f"Table labels: {_say(*name)} labels {twice!r} twice.")

    @cached_property
    def _labelled(self) -> dict[tuple[str, str | None], npt.NDArray[np.uint8]]:
        """How often each label set of the manifest labelled each mixed image."""
        for name, condition in self._label_sets:
            if condition is not None:
                _check_known("label_sets", pa.array([condition]), self._ways, "conditions")
            if self._label_sets.count((name, condition)) > 1:
                raise DataError(
                    f"The manifest of a release names the label set {_say(name, condition)} twice."
                )
        return {name: np.zeros(len(self._keys), np.uint8) for name in self._label_sets}

    def _check_labelled(self) -> None:
        for name, done in self._labelled.items():
            if (n := np.count_nonzero(done)) != len(done):
                raise DataError(
                    f"Table labels: the policy {_say(*name)} labels {n} of {len(done)} mixed images."
                )

    # --- names of what was written

    @cached_property
    def _keys(self) -> pa.Array:
        return _unique("mixed_images", [key for batch in self._mixed for key in batch["key"].to_pylist()])

    @cached_property
    def _pairs(self) -> pa.Array:
        parents = (
            zip(batch["first_index"].to_pylist(), batch["second_index"].to_pylist(), strict=True)
            for batch in self._mixed
        )
        return pa.array({pair_key(*pair) for pairs in parents for pair in pairs}, pa.string())

    @cached_property
    def _ways(self) -> pa.Array:
        return _unique("conditions", [row["condition"] for row in self.conditions])

    @cached_property
    def _counted(self) -> dict[str, npt.NDArray[np.int64]]:
        """Answers that labels use, of each mixed image and of each pair."""
        return {
            unit: np.zeros(len(names), np.int64)
            for unit, names in zip(UNITS, (self._keys, self._pairs), strict=True)
        }


_OF_A_PERSON = [
    "participant", "source", "invalid", "excluded_by", "n_responses", "checks_shown", "checks_failed",
]  # fmt: skip


def _say(policy: str, condition: str | None) -> str:
    return f"{policy!r}" if condition is None else f"{policy!r} under {condition!r}"


def _counts(names: pa.Array) -> dict[str, int]:
    """How often each name is there."""
    found = pc.value_counts(names)
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _unique(table: str, names: list[str]) -> pa.Array:
    if len(set(names)) != len(names):
        twice = next(name for name, n in Counter(names).items() if n > 1)
        raise DataError(f"Table {table}: {twice!r} is there twice.")
    return pa.array(names, pa.string())


def _check_known(table: str, names: pa.Array, known: pa.Array, known_from: str) -> None:
    unknown = pc.invert(pc.is_in(names, known))
    if pc.any(unknown).as_py():
        name = names.filter(unknown)[0].as_py()
        raise DataError(f"Table {table}: {name!r} is not in the table {known_from}.")


def _check_distributions(batch: pa.RecordBatch) -> None:
    labels = batch["soft_label"]
    values = labels.flatten().to_numpy().reshape(len(labels), -1)
    fit = (values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) <= SUMS_TO_ONE)
    if not fit.all():
        place = int(np.argmin(fit))
        raise DataError(
            f"Table labels: the soft label of {batch['key'][place].as_py()!r} by {batch['policy'][place].as_py()!r} is "
            f"no distribution: {values[place].tolist()}."
        )


def _check_among(table: str, what: str, values: pa.Array, choices: tuple[str, ...]) -> None:
    other = pc.invert(pc.is_in(values, pa.array(choices)))
    if pc.any(other).as_py():
        value = values.filter(other)[0].as_py()
        raise DataError(f"Table {table}: {what} is one of {', '.join(choices)}, not {value!r}.")

"""The four published H-Mix tables: their columns, what each row says, and what is known to be odd about it.

Collins et al. published them with Human-in-the-Loop Mixup (UAI 2023), a table for each interface. No database is known
here. Nothing is repaired: a row with a known flaw is kept and the flaw reported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hilmix.hub.importers.report import Flaw, Problems, Wrong
from hilmix.hub.importers.rows import (
    Answer,
    Images,
    Row,
    check_mix,
    lambda_in,
    name_in,
    number_in,
    object_in,
    percent_in,
    read_csv,
    whole_in,
)

METHOD = "hmix@1"
GRID = tuple(range(0, 10_001, 1000))  # the eleven λ of a pair, in ten-thousandths
INFER_LAMBDAS = (1000, 2500, 5000, 7500, 9000)

UNTOUCHED = 50  # where both sliders started; they could be left there
MIXING_UNTOUCHED = "mixing slider at exactly 50, where it started: perhaps untouched"
CONFIDENCE_UNTOUCHED = "confidence slider at exactly 50, where it started: perhaps untouched"
BOTH_UNTOUCHED = "both sliders at exactly 50, where they started: perhaps untouched"
REVERSED = "answer on the other side of 50 than the mixed image: perhaps reversed"
NOT_SHOWN = {
    0: "the picture for λ = 0.0 could not be shown while final_value moved on: what was seen was λ = 0.1",
    10_000: "the picture for λ = 1.0 could not be shown while final_value moved on: what was seen was λ = 0.9",
}
ACCUMULATED = "final_value is an accumulated float; read as the nearest step of 0.1"
ASKED_AGAIN = "asked about the same pair before, and not as a repeat: a later answer"
OVER_100 = "the percents come to more than 100"
CHOSEN_TWICE = "the same class is chosen as most and as second most probable"
CHOSEN_AND_EXCLUDED = "a chosen class is also excluded"
NO_ALTERNATIVE_PERCENT = "“No Alternative” with a percent"
REPEAT_FAR = "a repeat that differs much from the first answer: by more than {}"
GRID_UNKNOWN = "the order of the grid was never stored"
INSTRUCTION_CUT = "part of the instruction was swallowed by a stray “<”"
ALLOCATION = "answers per {} vary from {} to {}, repeats excluded"

Said = tuple[Answer | None, tuple[str, ...]]

_EVERY_SCREEN = (
    "trial_type", "trial_index", "time_elapsed", "subject", "study_id", "condition", "rt", "url", "view_history",
    "response", "question_order", "success", "timeout", "failed_images", "failed_audio", "failed_video",
)  # fmt: skip
_MIXED_IMAGE = ("filename", "task", "subj_id", "label1", "label2", "mixtureCoeff", "id1", "id2")


@dataclass(frozen=True)
class Table:
    """A published table: the study that it becomes, its columns in their order (the first has no name), those that are
    read, the λ shown, and what holds of every row."""

    name: str
    slug: str
    title: str
    interface: str
    header: tuple[str, ...]
    needed: tuple[str, ...]
    lambdas_e4: tuple[int, ...]
    unit: Literal["mixed image", "pair"]
    flaws: tuple[str, ...] = ()


INFER = Table(
    "hmix_infer_mixing_factor", "hmix", "H-Mix: infer mixing factor (published answers)", "infer",
    ("", "index", *_EVERY_SCREEN, "responses", *_MIXED_IMAGE, "class_pair"),
    ("subject", "condition", "task", "rt", "responses",
     "filename", "label1", "label2", "mixtureCoeff", "id1", "id2"),
    INFER_LAMBDAS, "mixed image",
)  # fmt: skip
SELECT = Table(
    "hmix_select_shuffled_midpoint", "hmix-select", "H-Mix: select shuffled midpoint (published answers)",
    "select_shuffled", ("", "index", *_EVERY_SCREEN, "task", "class_pair"),
    ("subject", "condition", "task", "rt", "response", "class_pair"),
    GRID, "pair", (GRID_UNKNOWN, INSTRUCTION_CUT),
)  # fmt: skip
CONSTRUCT = Table(
    "hmix_construct_midpoint", "hmix-construct", "H-Mix: construct midpoint (published answers)", "construct",
    ("", "index", *_EVERY_SCREEN, "final_value", "start_value", "task", "class_pair", "starting_value", "filename"),
    ("subject", "condition", "task", "rt", "final_value", "start_value", "class_pair"),
    GRID, "pair",
)  # fmt: skip
CATEGORICAL = Table(
    "hmix_categorical_soft_labels", "hmix-categorical", "H-Mix: soft categorical (published answers)",
    "categorical", ("", *_EVERY_SCREEN, *_MIXED_IMAGE),
    ("subject", "condition", "task", "rt", "response",
     "filename", "label1", "label2", "mixtureCoeff", "id1", "id2"),
    (2500, 5000, 7500), "mixed image",
)  # fmt: skip
TABLES = (INFER, SELECT, CONSTRUCT, CATEGORICAL)


def read_tables(
    directory: Path, images: Images, problems: Problems
) -> dict[Table, tuple[list[Row], list[Flaw]]]:
    """The rows and the flaws of every table in the published folder; what cannot be understood goes to `problems`.

    Raises DataError naming a file that is absent or is not the published table.
    """
    read = {}
    for table in TABLES:
        reading = _Reading(table, images)
        before = len(problems)
        rows = read_csv(directory / f"{table.name}.csv", table.needed, reading.row, problems)
        if len(problems) == before:  # else a repeat might seem to lack its first answer
            rows = list(_with_context(table, rows, problems))
        flaws = [Flaw(table=table.name, row=row.row, flaw=flaw) for row in rows for flaw in row.flaws]
        flaws += [Flaw(table=table.name, row=None, flaw=flaw) for flaw in _of_all(table, rows)]
        read[table] = rows, flaws
    return read


class _Reading:
    """Reads the rows of one table."""

    def __init__(self, table: Table, images: Images) -> None:
        self._images = images
        read = {INFER: self._infer, SELECT: self._select, CONSTRUCT: self._construct}
        self.row = read.get(table, self._categorical)

    def _infer(self, values: Mapping[str, str]) -> Said:
        said = object_in("responses", values["responses"])
        payload: dict[str, Any] = {"cannot_tell": False}
        for name, key in (("mixing_percent", "mixingcoeff"), ("confidence_percent", "confidence")):
            payload[name] = percent_in("responses", key, said.get(key))
        # In every published row the first class is on the left: side and class cannot be told apart.
        answer = self._of_mixed_image(values, payload, {"left": "first"})
        return answer, tuple(_infer_flaws(answer))

    def _select(self, values: Mapping[str, str]) -> Said:
        selected = object_in("response", values["response"]).get("select")
        text = selected.removeprefix("select") if isinstance(selected, str) else repr(selected)
        step = GRID.index(_on_grid("response", lambda_in("response", text)))
        # Nobody knows the place in the grid: the picture is named by its place from λ = 0 upwards.
        return self._of_pair(values, {"selected": step}, {"left": None}), ()

    def _construct(self, values: Mapping[str, str]) -> Said:
        final = number_in("final_value", values["final_value"])
        if not (final <= 1 and abs(10 * final - round(10 * final)) < 1e-9):
            raise Wrong(
                "final_value", f"final_value is {values['final_value']!r}, no step of 0.1 from 0 to 1."
            )
        start = {"0.1": "low", "0.9": "high"}.get(values["start_value"])
        if start is None:
            raise Wrong("start_value", f"start_value is {values['start_value']!r}, neither 0.1 nor 0.9.")
        step = round(10 * final)
        # Which class stood at which end was not published: the row is read from λ = 0 upwards.
        flaws = [NOT_SHOWN[GRID[step]]] if GRID[step] in NOT_SHOWN else []
        flaws += [ACCUMULATED] if repr(step / 10) != values["final_value"] else []
        return self._of_pair(values, {"final_step": step}, {"left": None, "start": start}), tuple(flaws)

    def _categorical(self, values: Mapping[str, str]) -> Said:
        if not values["task"]:
            return None, ()  # consent, instructions, preload, survey
        said = object_in("response", values["response"])
        first = self._class_after("mostProb", said.get("classSelect"))
        has_second = said.get("classSelect2") != "secondProbNo"
        payload = {
            "most_probable": first,
            "percent": _percent_text("prob", said.get("prob")),
            "second": self._class_after("secondProb", said["classSelect2"]) if has_second else None,
            "second_percent": _percent_text("prob2", said.get("prob2"), may_be_empty=not has_second),
            "excluded": sorted(
                self._class_after("improbClassSelect", key) for key in said if key.startswith("improbClassSelect")
            ),
        }  # fmt: skip
        answer = self._of_mixed_image(values, payload, {})
        return answer, tuple(_categorical_flaws(payload))

    def _class_after(self, prefix: str, text: Any) -> int:
        if not isinstance(text, str) or not text.startswith(prefix):
            raise Wrong("response", f"response says {text!r}, not {prefix} and a class.")
        return self._images.class_index("response", text.removeprefix(prefix))

    def _of_mixed_image(
        self, values: Mapping[str, str], payload: dict[str, Any], params: dict[str, Any]
    ) -> Answer:
        lambda_e4 = _published_lambda(values["mixtureCoeff"])
        parents = whole_in("id1", values["id1"]), whole_in("id2", values["id2"])
        first, second = f"{values['label1']}_{parents[0]}", f"{values['label2']}_{parents[1]}"
        name = f"mixed_{values['mixtureCoeff']}_{first}_{second}.png"
        if values["filename"] != name:
            raise Wrong(
                "filename", f"filename is {values['filename']!r}, but the other columns say {name!r}."
            )
        for column, index, label in zip(("id1", "id2"), parents, ("label1", "label2"), strict=True):
            self._images.check_parent(column, index, values[label])
        return _answer(values, parents, lambda_e4, payload, params)

    def _of_pair(self, values: Mapping[str, str], payload: dict[str, Any], params: dict[str, Any]) -> Answer:
        found = re.fullmatch(r"([^_]+)_([0-9]{1,9})_([^_]+)_([0-9]{1,9})", values["class_pair"])
        if found is None:
            raise Wrong(
                "class_pair", f"class_pair is {values['class_pair']!r}, not CLASS_NUMBER_CLASS_NUMBER."
            )
        parents = int(found[2]), int(found[4])
        for index, label in zip(parents, (found[1], found[3]), strict=True):
            self._images.check_parent("class_pair", index, label)
        return _answer(values, parents, None, payload, params)


def _answer(
    values: Mapping[str, str],
    parents: tuple[int, int],
    lambda_e4: int | None,
    payload: dict[str, Any],
    params: dict[str, Any],
) -> Answer:
    for column in ("subject", "condition"):
        if not values[column]:
            raise Wrong(column, f"{column} is empty.")
    return Answer(
        subject=name_in("subject", values["subject"]),
        batch=values["condition"],
        repeat=values["task"].startswith("rerun_"),
        parents=parents,
        lambda_e4=lambda_e4,
        params=params,
        payload=payload,
        rt_ms=round(number_in("rt", values["rt"])),
    )


def _percent_text(name: str, text: Any, *, may_be_empty: bool = False) -> int | None:
    if may_be_empty and text == "":
        return None
    value = int(text) if isinstance(text, str) and text.isdecimal() and text.isascii() else text
    return percent_in("response", name, value)


def _published_lambda(text: str) -> int:
    lambda_e4 = lambda_in("mixtureCoeff", text)
    check_mix("mixtureCoeff", lambda_e4, METHOD)
    return lambda_e4


def _on_grid(column: str, lambda_e4: int) -> int:
    if lambda_e4 not in GRID:
        raise Wrong(column, f"{column} names a picture that was not in the grid of λ = 0.0, 0.1 … 1.0.")
    return lambda_e4


# --- flaws


def _infer_flaws(answer: Answer) -> Iterator[str]:
    """The flaws of one answer, in words; one with both sliders at 50 has all three that say so."""
    percent = answer.payload["mixing_percent"]
    mixing, confidence = percent == UNTOUCHED, answer.payload["confidence_percent"] == UNTOUCHED
    if mixing:
        yield MIXING_UNTOUCHED
    if confidence:
        yield CONFIDENCE_UNTOUCHED
    if mixing and confidence:
        yield BOTH_UNTOUCHED
    # The slider's left end, 0, is all of the first class, whose share λ is.
    if answer.lambda_e4 is not None and (answer.lambda_e4 - 5000) * (50 - percent) < 0:
        yield REVERSED


def _categorical_flaws(payload: Mapping[str, Any]) -> Iterator[str]:
    if payload["second"] is None and payload["second_percent"] is not None:
        yield NO_ALTERNATIVE_PERCENT
    if payload["percent"] + (payload["second_percent"] or 0) > 100:
        yield OVER_100
    if payload["most_probable"] == payload["second"]:
        yield CHOSEN_TWICE
    if {payload["most_probable"], payload["second"]} & set(payload["excluded"]):
        yield CHOSEN_AND_EXCLUDED


# How far a repeat may be from the first answer before it is reported: what is compared, by how much, in words.
_FAR = {INFER: ("mixing_percent", 20, "20 points"), CONSTRUCT: ("final_step", 1, "0.1")}


def _with_context(table: Table, rows: Sequence[Row], problems: Problems) -> Iterator[Row]:
    """The rows, with the flaws that only show beside the same person's other answers.

    A person answers a mixed image once, and repeats it only after that; pairs were asked about again here and there.
    """
    answered: dict[tuple[object, ...], Answer] = {}
    field, most, words = _FAR.get(table, ("", 0, ""))
    for row in rows:
        if (answer := row.answer) is None:
            yield row
            continue
        flaws, named = row.flaws, row.values.get("filename") or row.values["class_pair"]
        first = answered.get((answer.subject, answer.about, False))
        before = answered.setdefault((answer.subject, answer.about, answer.repeat), answer)
        if answer.repeat and first is None:
            problems.add(table.name, row.row, Wrong("task", f"a repeat of {named} without a first answer."))
        elif field and answer.repeat and first and _differ(answer, first, field) > most:
            flaws += (REPEAT_FAR.format(words),)
        if before is not answer and table.unit == "mixed image":
            problems.add(table.name, row.row, Wrong("filename", f"{answer.subject} answers {named} twice."))
        elif before is not answer:
            flaws += (ASKED_AGAIN,)
        yield replace(row, flaws=flaws)


def _differ(one: Answer, other: Answer, field: str) -> int:
    return abs(int(one.payload[field]) - int(other.payload[field]))


def _of_all(table: Table, rows: Sequence[Row]) -> list[str]:
    """What holds of the table as a whole."""
    answers = [row.answer for row in rows if row.answer is not None and not row.answer.repeat]
    shown = Counter(answer.about for answer in answers)
    least, most = min(shown.values(), default=0), max(shown.values(), default=0)
    varies = [ALLOCATION.format(table.unit, least, most)] if least < most else []
    return [*table.flaws, *varies]

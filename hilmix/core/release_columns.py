"""What the tables of a release hold: the one list of columns.

Parquet schema, csv header, data dictionary, dataset card, JSON Schema and Croissant are all made of it
(`release_tables`, `release_card`, `croissant`). `since` keeps releases of older versions of the format readable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

VERSION = 4  # of the format of releases, written today
OF_A_FACTOR = "level_<factor>"  # stands for a column for each factor

Row = Mapping[str, Any]
Factors = Sequence[Mapping[str, Any]]  # of a manifest: name, varies (between or within people), levels


@dataclass(frozen=True)
class Column:
    """One column: name, type (of `TYPES`), meaning with unit and range, may it be empty, and the version of the format
    that brought it."""

    name: str
    type: str
    description: str
    nullable: bool = False
    since: int = 1


# What a type is in words; its Parquet type is in `release_tables`.
TYPES: dict[str, str] = {
    "text": "text",
    "json": "json",
    "integer": "integer",
    "class": "integer",  # a position in the manifest's classes
    "number": "number",
    "boolean": "boolean",
    "probabilities": "list of K numbers",
    "picture": "PNG",
}

PICTURES = "pictures"  # the table that the writer makes of the pictures itself; in Parquet only

# fmt: off
COLUMNS: dict[str, tuple[Column, ...]] = {
    "mixed_images": (
        Column("key", "text", "name of the mixed image in this release"),
        Column("first_index", "integer", "position of the first parent in the image set"),
        Column("second_index", "integer", "position of the second parent in the image set"),
        Column("first_class", "class", "class of the first parent, a position in the manifest's classes"),
        Column("second_class", "class", "class of the second parent, a position in the manifest's classes"),
        Column("lambda_e4", "integer", "λ, the share of the first image, in ten-thousandths, 0–10000"),
        Column("method", "text", "mixing method, which decides the last bit of the pixels"),
        Column("sha256", "text", "sha256 of the decoded pixels; the picture is `images/<sha256>.png`"),
        Column("split", "text", "split of the image set that both parents are in; empty where they are in none",
               nullable=True, since=4),
    ),
    "conditions": (
        Column("condition", "text", "name of this way of asking in this release", since=2),
        Column("interface", "text", "what was asked: infer, select_shuffled, construct, categorical, …", since=2),
        Column("interface_version", "integer", "version of the interface's questions and answers", since=2),
        Column("options", "json", "what the study chose for this interface", since=2),
        Column("language", "text", "language of the pages", since=2),
        Column("perspective", "text", "“you”: what do you see; “100 others”: what would 100 other people say", since=2),
        Column("wording", "json", "the words of each trial, by name", since=2),
        Column("bonus", "text", "the bonus rule as people read it; empty for none", since=2),
        Column("display", "json", "enlargement, the pixels it counts, resampling, exposure in milliseconds", since=2),
        Column(OF_A_FACTOR, "text", "level that belongs to this way of asking; a column for each factor of the study, "
               "empty where several levels do", nullable=True, since=3),
    ),
    "responses": (
        Column("key", "text", "what the answer is about: a mixed image, or FIRST-SECOND, the parents of a pair"),
        Column("unit", "text", "mixed_image, or pair where the pair was shown at every λ of the study", since=2),
        Column("condition", "text", "how it was asked, a row of `conditions`", since=2),
        Column("participant", "text", "pseudonym of the participant"),
        Column("protocol_sha256", "text", "the version of the study's protocol under which it was asked", since=3),
        Column(OF_A_FACTOR, "text", "level of this trial; a column for each factor of the study",
               nullable=True, since=3),
        Column("position", "integer", "position of the trial in this participant's plan, from 0"),
        Column("trial_index", "integer", "the how-manieth answer of the participant, over all windows, from 0",
               nullable=True, since=2),
        Column("repeat", "boolean", "a trial asked again to measure consistency"),
        Column("counted", "boolean", "labels use it: the first answer to this, a number, of a person who counts"),
        Column("not_counted", "text", "why labels do not use it: “invalid” (so marked by a researcher), “excluded: ” "
               "and the flags whose rules leave the person out, “repeat”, “later answer”, “cannot tell”",
               nullable=True, since=3),
        Column("flags", "json", "how it was given: untouched, reversed, focus_lost; cannot_tell? for an imported 50 "
               "with a confidence of at most 50. None of them leaves an answer out", since=3),
        Column("cannot_tell", "boolean", "the answer is “I cannot tell”"),
        Column("perceived_lambda", "number", "perceived share of the first image, 0–1", nullable=True),
        Column("confidence", "number", "confidence in the answer, 0–1", nullable=True),
        Column("perceived_midpoint", "number", "λ at which as much is seen of one image as of the other, 0–1",
               nullable=True, since=2),
        Column("mass", "json", "class, a position in the manifest's classes → the share of 0–1 given to it, in the "
               "order in which classes were named", nullable=True, since=2),
        Column("excluded", "json", "classes said not to be in the picture, positions in the manifest's classes",
               nullable=True, since=2),
        Column("probabilities", "probabilities", "a whole soft label, said by one person; sums to 1",
               nullable=True, since=2),
        Column("left", "text", "whose class was named or stood on the left: first or second", nullable=True),
        Column("drawn", "json", "all that was drawn for this trial: sides, order, start", since=2),
        Column("rt_ms", "number", "time on the trial, milliseconds", nullable=True),
        Column("time_elapsed_ms", "integer", "time in the study until then, milliseconds", nullable=True, since=2),
        Column("attempt", "integer", "which showing of the trial was answered, from 1", since=2),
        Column("payload", "json", "the answer as it was given, verbatim"),
        Column("source_row", "json", "for an imported answer, the row it came from, verbatim", nullable=True),
    ),
    "trials": (
        Column("participant", "text", "pseudonym of the participant", since=4),
        Column("position", "integer", "position of the trial in this participant's plan, from 0", since=4),
        Column("kind", "text", "main, repeat (asked again to measure consistency) or check (of attention)", since=4),
        Column("unit", "text", "mixed_image, or pair where the pair was shown at every λ of the study", since=4),
        Column("key", "text", "what it asks about, as in `responses`; empty for an attention check",
               nullable=True, since=4),
        Column("condition", "text", "how it is asked, a row of `conditions`", since=4),
        Column(OF_A_FACTOR, "text", "level of this trial; a column for each factor of the study",
               nullable=True, since=4),
        Column("protocol_sha256", "text", "the version of the study's protocol that planned it", since=4),
        Column("first_index", "integer", "position of the first parent in the image set", since=4),
        Column("second_index", "integer", "position of the second parent in the image set", since=4),
        Column("first_class", "class", "class of the first parent, a position in the manifest's classes", since=4),
        Column("second_class", "class", "class of the second parent, a position in the manifest's classes", since=4),
        Column("lambda_e4", "integer", "λ, the share of the first image, in ten-thousandths, 0–10000; empty for a pair",
               nullable=True, since=4),
        Column("left", "text", "whose class is named or stands on the left: first or second", nullable=True, since=4),
        Column("start", "text", "near which end of the row it starts: low (at the left) or high",
               nullable=True, since=4),
        Column("answered", "boolean", "there is an answer, in `responses` or, for a check, in `checks`", since=4),
        Column("counted", "boolean", "labels use the answer", since=4),
        Column("not_counted", "text", "why not, as in `responses`, or “check”, or “unanswered”",
               nullable=True, since=4),
        Column("flags", "json", "how the answer was given, as in `responses`", since=4),
        Column("cannot_tell", "boolean", "the answer is “I cannot tell”; empty without an answer",
               nullable=True, since=4),
        Column("perceived_lambda", "number", "perceived share of the first image, 0–1", nullable=True, since=4),
        Column("confidence", "number", "confidence in the answer, 0–1", nullable=True, since=4),
        Column("perceived_midpoint", "number", "λ at which as much is seen of one image as of the other, 0–1",
               nullable=True, since=4),
        Column("rt_ms", "number", "time on the trial, milliseconds", nullable=True, since=4),
        Column("previous_lambda", "number", "perceived share of the first image that this person gave in the trial "
               "answered before, 0–1; empty where that gave none", nullable=True, since=4),
    ),
    "checks": (
        Column("participant", "text", "pseudonym of the participant", since=2),
        Column("position", "integer", "position of the attention check in this participant's plan, from 0", since=2),
        Column("class_index", "class", "class of the unmixed image, a position in the manifest's classes", since=2),
        Column("share", "number", "share that the answer gave to this class, 0–1", nullable=True, since=2),
        Column("passed", "boolean", "more than 0.75 went to this class; a failure only flags", since=2),
    ),
    "participants": (
        Column("participant", "text", "pseudonym, valid in this release only; published ids stay"),
        Column("source", "text", "person, simulated or imported"),
        Column("protocol_sha256", "text", "the version of the study's protocol that this person met", since=2),
        Column(OF_A_FACTOR, "text", "level of this person; a column for each factor that varies between people",
               nullable=True, since=3),
        Column("over_quota", "boolean", "finished after the place was given to somebody else; counts all the same",
               since=3),
        Column("invalid", "boolean", "marked by a researcher as not to count; labels use none of the answers", since=3),
        Column("measures", "json", "flag → what it measures in the answers, null where that cannot be said", since=3),
        Column("flags", "json", "the flags that stand under the rules in the manifest", since=3),
        Column("excluded_by", "json", "those of them whose rules leave this person out of the labels", since=3),
        Column("n_responses", "integer", "answers of this participant, repeats included"),
        Column("checks_shown", "integer", "attention checks that this participant answered", since=2),
        Column("checks_failed", "integer", "those of them that were not passed", since=2),
        Column("drawn", "json", "what was drawn once for this person: order of classes, direction", since=2),
        Column("survey", "json", "answers on the closing scales; free text is never released", since=2),
    ),
    "labels": (
        Column("key", "text", "mixed image"),
        Column("policy", "text", "label policy, with the parameters chosen for it where they are not its defaults; its "
               "meaning and all parameters are in the manifest"),
        Column("condition", "text", "the condition whose answers it uses; empty where it uses none",
               nullable=True, since=2),
        Column("n", "integer", "answers that the label uses"),
        Column("lambda", "number", "share that the label gives to the first class, 0–1", nullable=True),
        Column("spread", "number", "population standard deviation of those answers, 0–1", nullable=True),
        Column("low", "number", "lower end of the 95% interval of lambda", nullable=True),
        Column("high", "number", "upper end of the 95% interval of lambda", nullable=True),
        Column("soft_label", "probabilities", "probability of each class in the manifest's order, sums to 1"),
        Column("predicted", "boolean", "it says what people would say, not what they said", since=4),
    ),
    PICTURES: (
        Column("key", "text", "mixed image, a row of `mixed_images`", since=4),
        Column("image", "picture", "the picture, a lossless PNG at its native size", since=4),
        Column("first_class", "class", "class of the first parent, a position in the manifest's classes", since=4),
        Column("second_class", "class", "class of the second parent, a position in the manifest's classes", since=4),
        Column("lambda_e4", "integer", "λ, the share of the first image, in ten-thousandths, 0–10000", since=4),
    ),
}
# fmt: on


GIVEN = tuple(table for table in COLUMNS if table != PICTURES)  # the tables whose rows a writer is given


def tables_of(version: int, *, pictures: bool = True) -> list[str]:
    """Return the tables that a release of this version of the format has, with its pictures or without."""
    return [
        table
        for table, columns in COLUMNS.items()
        if any(column.since <= version for column in columns) and (pictures or table != PICTURES)
    ]


def columns_of(table: str, factors: Factors = (), version: int = VERSION) -> list[Column]:
    """Return the columns that a table has in a release with these factors."""
    columns: list[Column] = []
    for column in COLUMNS[table]:
        if column.name != OF_A_FACTOR:
            columns.append(column)
            continue
        for factor in factors:
            if table != "participants" or factor["varies"] == "between":
                columns.append(replace(column, name=level_column(factor["name"])))
    return [column for column in columns if column.since <= version]


def level_column(factor: str) -> str:
    """Return the name of the column that holds a factor's levels."""
    return f"level_{factor}"

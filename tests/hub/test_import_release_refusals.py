"""A release that anybody may have made is refused by row, before anything is stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elicitation.studies.models import Source, Study
from hilmix.accounts.roles import OPERATOR
from hilmix.core import parquet as core_parquet
from hilmix.core.errors import DataError, Refused
from hilmix.core.files import MANIFEST, describe_file, sha256_json
from hilmix.core.release import open_release
from hilmix.core.release_manifest import content_sha256
from hilmix.hub.importers.release_ways import Ways
from hilmix.hub.importers.releases import import_release
from hilmix.hub.importers.report import Wrong
from hilmix.hub.models import Import
from hilmix.jobs.progress import JobCancelled
from tests.hub.importing import Stopping
from tests.hub.test_import_release import agreed
from tests.hub.test_quality_in_releases import TURNED, freeze

_kept: dict[str, Path] = {}  # made once: no test changes it


@pytest.fixture
def sound(request, larger_image_set, tmp_path_factory) -> Path:
    """The folder of a release of two people's answers, whose study is not here."""
    if "sound" not in _kept:
        study = request.getfixturevalue("make_study")(source=Source.PERSON)
        agreed(study)
        agreed(study, TURNED)
        folder = tmp_path_factory.mktemp("kept") / "release"
        shutil.copytree(freeze(study).directory, folder)
        _kept["sound"] = folder
        Study.objects.filter(pk=study.pk).update(slug="elsewhere")
    return _kept["sound"]


@pytest.fixture
def changed(sound, tmp_path) -> Callable[..., Path]:
    """`changed(table, row, column, value)` or `changed(manifest=function)`: the release with that, sealed anew."""

    def change(
        table: str = "", row: int = 0, column: str = "", value: Any = None, *, manifest: Any = None
    ) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(sound, folder)
        if table:
            path = folder / "data" / f"{table}.parquet"
            read = pq.read_table(path)
            cells = read[column].to_pylist()
            cells[row] = value(cells) if callable(value) else value
            at = read.schema.get_field_index(column)
            array = pa.array(cells, read.schema.field(at).type)
            pq.write_table(read.set_column(at, read.schema.field(at), array), path)
        return seal(folder, manifest or (lambda said: None))

    return change


def seal(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Make the manifest agree with the files, and then say something else."""
    said = json.loads((folder / MANIFEST).read_text("utf-8"))
    del said["manifest_sha256"]
    said["files"] = {name: describe_file(folder / name) for name in said["files"]}
    change(said)
    if "files" in said:
        said["sha256"] = content_sha256(said, said["files"])
    said["manifest_sha256"] = sha256_json(said)
    (folder / MANIFEST).write_text(json.dumps(said), "utf-8")
    return folder


def bring_in(folder: Path, image_set, **options: Any):
    return import_release(directory=folder, slug="again", image_set=image_set, actor=OPERATOR, **options)


def assert_nothing_came_in() -> None:
    assert not Study.objects.filter(slug="again").exists()
    assert not Import.objects.exists()


def first(cells: list[Any]) -> Any:
    return cells[0]


def with_payload(**said: Any) -> Callable[[list[Any]], str]:
    return lambda cells: json.dumps({**json.loads(cells[0]), **said})


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "said"),
    [
        ("mixed_images", 1, "key", first, "as in a row before"),
        ("mixed_images", 0, "first_index", 99, "none at 99"),
        ("mixed_images", 0, "second_index", -1, "none at -1"),
        ("mixed_images", 0, "first_class", 99, "first_class is 99, not a whole number from 0 to 2"),
        ("mixed_images", 0, "lambda_e4", 10_001, "not as 10001"),
        ("mixed_images", 0, "method", "blur@9", "no mixing method 'blur@9'"),
        ("conditions", 0, "condition", "", "condition is empty"),
        ("conditions", 0, "interface", "guess", "There is no interface 'guess'"),
        ("conditions", 0, "interface_version", 99, "infer has no version 99"),
        ("conditions", 0, "options", '{"evil": 1}', "no option evil"),
        ("conditions", 0, "options", "[]", "no JSON object"),
        ("conditions", 0, "display", '{"size": 1}', "size"),
        ("conditions", 0, "display", '{"enlargement": "big"}', "which is none"),
        ("conditions", 0, "display", '{"exposure_ms": 1}', "From 20 to 60,000"),
        ("conditions", 0, "wording", '{"question": 5}', "not a text"),
        ("conditions", 0, "language", "xx", "none of"),
        ("conditions", 0, "perspective", "them", "none of you, 100 others"),
        ("participants", 0, "participant", "a/b c", "no name of 1 to 15 letters"),
        ("participants", 1, "participant", first, "as in a row before"),
        ("participants", 0, "drawn", "[1]", "no JSON object"),
        ("participants", 0, "drawn", '{"class_order": [0, 0, 7]}', "no order of the classes"),
        ("participants", 0, "survey", '{"age": "I am Ann"}', "no point on a scale"),
        ("participants", 0, "measures", '{"reversed": "x"}', "no number"),
        ("participants", 0, "measures", '{"reversed": NaN}', "no JSON object"),
        ("responses", 0, "key", "nothing", "in no row of mixed_images"),
        ("responses", 0, "participant", "nobody", "There is no participant 'nobody'"),
        ("responses", 0, "condition", "zz", "There is no condition 'zz'"),
        ("responses", 0, "unit", "pair", "infer asks about a mixed_image"),
        ("responses", 0, "position", -1, "not a whole number"),
        ("responses", 1, "position", first, "as in a row before"),
        ("responses", 0, "payload", '{"evil": 1}', "no field 'evil'"),
        ("responses", 0, "payload", "[1]", "no JSON object"),
        ("responses", 0, "payload", "{", "no JSON object"),
        ("responses", 0, "payload", "[" * 100_000, "no JSON object"),
        ("responses", 0, "payload", '{"viewport": [1, 2, 1e999]}', "no JSON object"),
        ("responses", 0, "payload", with_payload(mixing_percent=120), "from 0 to 100"),
        ("responses", 0, "payload", with_payload(touched="yes"), "touched"),
        ("responses", 0, "payload", with_payload(n_moves=None), "not in the form in which it is stored"),
        ("responses", 0, "drawn", "{}", "left is None"),
        ("responses", 0, "drawn", '{"left": "up"}', "left is 'up'"),
        ("responses", 0, "drawn", '{"left": "first", "order": [1]}', "order is [1]"),
        ("responses", 0, "drawn", '{"left": "first", "more": 1}', "draws no 'more'"),
        ("responses", 0, "rt_ms", float("nan"), "rt_ms is nan"),
        ("responses", 0, "rt_ms", -1.0, "rt_ms is -1.0"),
        ("responses", 0, "trial_index", -5, "trial_index is -5"),
        ("responses", 0, "time_elapsed_ms", -1, "time_elapsed_ms is -1"),
        ("responses", 0, "attempt", 2**40, "attempt is 1099511627776"),
        ("responses", 0, "source_row", "7", "no JSON object"),
        ("responses", 0, "source_row", '{"a": "\\u0000"}', "no JSON object"),
        ("responses", 0, "source_row", '{"a":' * 40 + "1" + "}" * 40, "no JSON object"),
        ("responses", 0, "not_counted", "a\0b", "cannot be kept"),
        ("responses", 0, "confidence", float("inf"), "cannot be kept"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_named_and_nothing_comes_in(
    changed, larger_image_set, table, row, column, value, said
):
    folder = changed(table, row, column, value)
    with pytest.raises(Refused) as refused:
        bring_in(folder, larger_image_set)
    error = refused.value.errors[0]
    assert (error["table"], error["row"], error["column"]) == (table, row, column)
    assert said in error["problem"]
    assert len(error["problem"]) < 400
    assert_nothing_came_in()


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest.pop(key)


def having(**said: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest.update(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *((without(key), "lacks something") for key in ("study", "protocol_sha256", "image_set", "rules")),
        (without("files"), "lacks something"),
        (having(study={"slug": "a", "title": 7}), "lacks something"),
        (having(study={"slug": "a", "title": " "}), "title: A title is needed"),
        (having(creators=7), "lacks something"),
        (having(factors=[{"name": "a", "varies": "between", "levels": ["b"]}]), "at least two levels"),
        (having(factors=[7]), "lacks something"),
        (having(rules={"rules": [{"flag": "reversed", "params": {"share": "x"}}]}), "lacks something"),
        (having(rules={"rules": [{"flag": "mood"}]}), "no flag 'mood'"),
        (having(licences={"answers": "MY-OWN", "image_set": "unstated", "origin": {}}), "MY-OWN"),
        (having(source="martian"), "martian"),
    ],
)
def test_a_manifest_of_another_kind_is_refused_in_words(changed, larger_image_set, change, said):
    folder = changed(manifest=change)
    with pytest.raises(DataError, match=said):
        bring_in(folder, larger_image_set)
    assert_nothing_came_in()


def test_every_wrong_row_is_named_at_once(changed, larger_image_set, tmp_path):
    folder = changed("responses", 0, "payload", "{}")
    path = folder / "data" / "responses.parquet"
    read = pq.read_table(path)
    at = read.schema.get_field_index("payload")
    pq.write_table(read.set_column(at, read.schema.field(at), [["{}"] * len(read)]), path)
    with pytest.raises(Refused) as refused:
        bring_in(seal(folder, lambda said: None), larger_image_set)
    assert [error["row"] for error in refused.value.errors] == list(range(12))


def test_an_empty_table_of_answers_is_refused(changed, larger_image_set):
    folder = changed()
    path = folder / "data" / "responses.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(DataError, match="nobody knows how it asked"):
        bring_in(seal(folder, lambda said: None), larger_image_set)
    assert_nothing_came_in()


def test_one_way_of_asking_has_one_name(sound):
    (row,) = open_release(sound).table("conditions").to_pylist()
    ways = Ways(n_classes=3, n_lambdas=3)
    assert ways.read(row)[0] == row["condition"]
    with pytest.raises(Wrong, match="as in a row before"):
        ways.read({**row, "condition": "another"})


def test_a_manifest_with_half_a_character_is_refused_in_words(changed, larger_image_set):
    path = changed() / MANIFEST
    path.write_text(path.read_text("utf-8").replace('"title": "', '"title": "\\ud800'), "utf-8")
    with pytest.raises(DataError, match="lacks something"):
        bring_in(path.parent, larger_image_set)
    assert_nothing_came_in()


def test_tables_that_would_fill_the_memory_are_not_read(sound, larger_image_set, monkeypatch):
    limits = {"largest": 1000, "most_rows": 10**6}
    monkeypatch.setattr(core_parquet.check_expanded, "__kwdefaults__", limits)
    with pytest.raises(DataError, match="the tables hold more than"):
        bring_in(sound, larger_image_set)
    assert_nothing_came_in()


def test_the_licence_that_is_said_is_kept_where_the_release_states_none(changed, sound, larger_image_set):
    def unstated(manifest: dict[str, Any]) -> None:
        manifest["licences"]["answers"] = ""

    bring_in(changed(manifest=unstated), larger_image_set, licence="CC0-1.0", dry_run=False)
    assert Import.objects.get().licence == "CC0-1.0"


def test_an_import_says_how_far_it_is_and_stops_when_it_should(sound, larger_image_set):
    progress = Stopping()
    with pytest.raises(JobCancelled):
        bring_in(sound, larger_image_set, progress=progress)
    assert progress.said[-1] == (0, 12, "responses: answers")
    assert_nothing_came_in()


def test_the_release_that_all_of_these_are_made_of_comes_in(sound, larger_image_set):
    open_release(sound)
    assert bring_in(sound, larger_image_set, dry_run=True).responses == 12

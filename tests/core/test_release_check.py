"""What `mlcroissant` 1.1.1 accepts in silence or with a warning is found by our own check."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilmix.core.errors import DataError
from hilmix.core.release import write_release
from hilmix.core.release_check import check
from tests.core.releases import release_input, reseal


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("check") / "pets"
    write_release(directory, **release_input())
    return directory


@pytest.fixture
def directory(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "pets"))


def change_json(directory: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file of the release and say so in the lists of files."""
    path = directory / name
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
    agree_on_files(directory)


def agree_on_files(directory: Path) -> None:
    sums = directory / "SHA256SUMS"
    names = [line.split("  ")[1] for line in sums.read_text("utf-8").splitlines()]
    reseal(directory)
    files = json.loads((directory / "manifest.json").read_text("utf-8"))["files"]
    sums.write_text("".join(f"{files[name]['sha256']}  {name}\n" for name in names), "utf-8")
    reseal(directory)


def of_table(dataset: dict, table: str) -> dict:
    return next(one for one in dataset["recordSet"] if one["@id"] == table)


def test_nothing_is_wrong_with_a_release_as_it_was_written(sound):
    assert check(sound) == []


@pytest.mark.parametrize(
    "name",
    ["name", "description", "url", "creator", "license", "datePublished", "version", "citeAs", "recordSet"],
)
def test_an_entry_that_is_missing_is_named(directory, name):
    change_json(directory, "croissant.json", lambda dataset: dataset.pop(name))
    assert f"croissant.json has no {name}." in check(directory)


CHANGES = {
    "wrong sha256": (
        lambda dataset: dataset["distribution"][0].update(sha256="0" * 64),
        "states another sha256 of csv/checks.csv",
    ),
    "wrong size": (
        lambda dataset: dataset["distribution"][0].update(contentSize="1 B"),
        "states another size of csv/checks.csv",
    ),
    "no sha256": (lambda dataset: dataset["distribution"][0].pop("sha256"), "states another sha256"),
    "file not described": (lambda dataset: dataset["distribution"].pop(0), "does not describe the file csv/checks.csv"),
    "file that is not there": (
        lambda dataset: dataset["distribution"][0].update(contentUrl="csv/other.csv"),
        "describes csv/other.csv, which is no file",
    ),
    "column that is not there": (
        lambda dataset: of_table(dataset, "labels")["field"][0]["source"]["extract"].update(column="mood"),
        "is the column mood of data/labels.parquet; there is none",
    ),
    "column not described": (
        lambda dataset: of_table(dataset, "labels")["field"].pop(3),
        "does not describe the column n of data/labels.parquet",
    ),
    "table not described": (
        lambda dataset: dataset["recordSet"].remove(of_table(dataset, "checks")),
        "does not describe the column participant of data/checks.parquet",
    ),
    "another type": (
        lambda dataset: of_table(dataset, "labels")["field"][3].update(dataType="sc:Text"),
        "the field labels/n is no sc:Text",
    ),
    "no description": (
        lambda dataset: of_table(dataset, "labels")["field"][3].pop("description"),
        "the field labels/n is not described",
    ),
    "key that is no field": (
        lambda dataset: of_table(dataset, "checks").update(key={"@id": "checks/mood"}),
        "the key of checks is checks/mood, which is no field",
    ),
    "id twice": (
        lambda dataset: of_table(dataset, "labels")["field"][3].update({"@id": "labels/key"}),
        "the @id labels/key is there 2 times",
    ),
    "name with spaces": (lambda dataset: dataset.update(name="my pets"), "the name 'my pets' has spaces"),
    "version that is a number": (lambda dataset: dataset.update(version=1.5), "1.5 is no version"),
    "version in other words": (lambda dataset: dataset.update(version="v1"), "'v1' is no version"),
    "version of another release": (lambda dataset: dataset.update(version="1.0.1"), "is of version 1.0.1"),
    "licence nobody knows": (lambda dataset: dataset.update(license="free"), "the licence 'free' is not known"),
    "date in words": (lambda dataset: dataset.update(datePublished="today"), "'today' is no date"),
    "not by RAI": (lambda dataset: dataset["conformsTo"].pop(), "does not say that it conforms to"),
    "no dataset": (lambda dataset: dataset.update({"@type": "sc:Thing"}), "describes no sc:Dataset"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_what_croissant_says_wrongly_is_found(directory, kind):
    change, message = CHANGES[kind]
    change_json(directory, "croissant.json", change)
    problems = check(directory)
    assert any(message in problem for problem in problems), problems


def test_a_file_that_was_changed_is_found_whatever_else_is_right(directory):
    path = directory / "csv" / "labels.csv"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    assert "the file csv/labels.csv was changed" in " ".join(check(directory))


def test_tables_that_differ_from_one_another_are_found(directory):
    path = directory / "csv" / "labels.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0].replace('"n"', '"m"'), *lines[2:]]), "utf-8")
    change_json(directory, "schema/labels.json", lambda schema: schema["properties"].pop("n"))
    problems = " ".join(check(directory))
    assert "csv/labels.csv does not say what data/labels.parquet says" in problems
    assert "schema/labels.json does not describe the columns of data/labels.parquet" in problems


def test_a_value_that_is_another_in_csv_is_found(directory):
    path = directory / "csv" / "responses.csv"
    text = path.read_text("utf-8")
    path.write_text(text.replace("0.25", "0.26", 1), "utf-8")
    assert path.read_text("utf-8") != text
    agree_on_files(directory)
    (problem,) = [one for one in check(directory) if one.startswith("csv/")]
    assert problem == "csv/responses.csv does not say what data/responses.parquet says."


def test_a_soft_label_that_is_no_distribution_is_neither_written_nor_passed(directory, tmp_path):
    given = release_input()
    given["tables"]["labels"][0]["soft_label"] = [0.9, 0.9, -3.0]
    with pytest.raises(DataError, match="soft label of 'm2' by 'mixup' is no distribution"):
        write_release(tmp_path / "refused", **given)
    path = directory / "data" / "labels.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("soft_label")
    wrong = pa.array([[0.9, 0.9, -3.0]] * table.num_rows, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), wrong), path)
    agree_on_files(directory)
    assert "is no distribution" in " ".join(check(directory))


def test_a_table_that_is_missing_is_found(directory):
    for name in ("data/checks.parquet", "data/pictures.parquet"):
        (directory / name).unlink()
    sums = directory / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines(keepends=True)
    gone = ("data/checks.parquet\n", "data/pictures.parquet\n")
    sums.write_text("".join(line for line in lines if not line.endswith(gone)), "utf-8")
    agree_on_files(directory)
    problems = check(directory)
    assert "data/checks.parquet is missing." in problems
    assert "data/pictures.parquet is missing." in problems


def test_counts_that_the_tables_do_not_bear_out_are_found(directory):
    change_json(directory, "manifest.json", lambda manifest: manifest["left_out"].update(invalid=1))
    assert "The manifest says of left_out what the tables do not." in check(directory)


@pytest.mark.parametrize(
    ("name", "was", "becomes"),
    [
        ("LICENSE", "CC-BY-4.0", "CC0-1.0"),
        ("README.md", "license: cc-by-4.0", "license: cc0-1.0"),
        ("croissant.json", "licenses/by/4.0/", "licenses/by-sa/4.0/"),
        ("croissant.json", "Ada Lovelace", "Charles Babbage"),
        ("CITATION.cff", "2026-01-01", "2025-01-01"),
        (".zenodo.json", "Grace Hopper", "Nobody"),
    ],
)
def test_a_paper_with_another_licence_creator_or_date_is_found(directory, name, was, becomes):
    path = directory / name
    text = path.read_text("utf-8")
    assert was in text
    path.write_text(text.replace(was, becomes), "utf-8")
    agree_on_files(directory)
    assert [problem for problem in check(directory) if problem.startswith(f"{name} does not say")]


def test_a_column_without_a_word_on_it_is_found(directory):
    path = directory / "data" / "labels.parquet"
    table = pq.read_table(path)
    pq.write_table(table.cast(table.schema.set(3, table.schema.field(3).remove_metadata())), path)
    agree_on_files(directory)
    assert "data/labels.parquet: the column n is not described." in check(directory)


def test_a_card_whose_features_are_not_the_columns_is_found(directory):
    path = directory / "README.md"
    path.write_text(path.read_text("utf-8").replace('  - name: "spread"\n', '  - name: "width"\n'), "utf-8")
    agree_on_files(directory)
    assert "README.md describes other features than the columns of data/labels.parquet." in check(directory)


def test_papers_of_another_version_are_found(directory):
    change_json(directory, ".zenodo.json", lambda record: record.update(version="9.0.0"))
    for name in ("CITATION.cff", "CHANGELOG.md"):
        path = directory / name
        path.write_text(path.read_text("utf-8").replace("1.0.0", "9.0.0"), "utf-8")
    reseal(directory)
    problems = " ".join(check(directory))
    for name in (".zenodo.json does", "CITATION.cff does", "CHANGELOG.md does", "SHA256SUMS does"):
        assert name in problems


def test_licences_that_do_not_go_together_are_found(directory):
    change_json(
        directory, "manifest.json", lambda manifest: manifest["licences"].update(image_set="CC-BY-NC-4.0")
    )
    assert "forbids commercial use" in " ".join(check(directory))


def test_a_manifest_that_is_no_json_is_a_problem_and_no_crash(directory):
    (directory / "manifest.json").write_text("{", "utf-8")
    assert "not readable as JSON" in " ".join(check(directory))
    (directory / "croissant.json").unlink()
    assert check(directory)


def test_the_check_is_a_command_that_says_what_is_wrong(directory):
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hilmix.core.release_check", str(directory)]
        return subprocess.run(command, capture_output=True, text=True)

    good = run()
    assert (good.returncode, good.stdout) == (0, "Nothing is wrong.\n")
    (directory / "LICENSE").unlink()
    bad = run()
    assert bad.returncode == 1
    assert "LICENSE" in bad.stdout

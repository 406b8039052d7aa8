from __future__ import annotations

import json
import logging
from pathlib import Path

import datasets
import mlcroissant
import pytest

from hilmix.core.croissant import CLASSES
from hilmix.core.release import write_release
from hilmix.core.release_check import check
from hilmix.core.release_columns import COLUMNS, GIVEN, PICTURES, columns_of
from tests.core.releases import FACTORS, YOU, release_input

# rdflib under mlcroissant, and fsspec under datasets, warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """A release of which nobody was asked to pay attention: its table of checks is empty."""
    given = release_input()
    given["tables"]["checks"] = []
    given["tables"]["trials"] = [row for row in given["tables"]["trials"] if row["kind"] != "check"]
    given["tables"]["participants"][0] |= {"checks_shown": 0, "checks_failed": 0}
    directory = tmp_path_factory.mktemp("croissant") / "pets"
    write_release(directory, **given)
    return directory


def recipe_only(directory: Path) -> Path:
    given = release_input()
    given["manifest"]["images"] = "recipe-only"
    write_release(directory, **given)
    return directory


def test_mlcroissant_finds_nothing_wrong_and_reads_every_record_of_every_table(directory, caplog):
    with caplog.at_level(logging.WARNING):
        opened = mlcroissant.Dataset(str(directory / "croissant.json"))
    issues = opened.metadata.ctx.issues
    assert (issues.errors, issues.warnings, caplog.messages) == (set(), set(), [])
    assert check(directory) == []
    read = {record_set.id: list(opened.records(record_set.id)) for record_set in opened.metadata.record_sets}
    given = release_input()["tables"]
    assert {name: len(rows) for name, rows in read.items()} == {
        CLASSES: 3, "mixed_images": 3, "conditions": 1, "responses": 4, "trials": 5, "checks": 0, "participants": 2,
        "labels": 6, PICTURES: 3,
    }  # fmt: skip
    for table in GIVEN:
        names = {f"{table}/{column.name}" for column in columns_of(table, FACTORS)}
        assert all(row.keys() == names for row in read[table])
    label = read["labels"][0]
    assert label["labels/soft_label"] == given["labels"][0]["soft_label"]
    assert read[PICTURES][0][f"{PICTURES}/image"].size == (4, 4)
    assert [row["responses/perceived_lambda"] for row in read["responses"]] == [0.25] * 4
    assert [row[f"{CLASSES}/name"] for row in read[CLASSES]] == ["cat", "dog", "fox"]


def test_the_library_datasets_opens_every_table_offline_with_typed_pictures_and_labels(
    directory, tmp_path, monkeypatch
):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def load(table: str) -> datasets.Dataset:
        return datasets.load_dataset(str(directory), table, split="train", cache_dir=str(tmp_path))

    for table in set(COLUMNS) - {"checks"}:  # a table without a row is what it refuses
        assert load(table).column_names == [column.name for column in columns_of(table, FACTORS)]
    labels, pictures = load("labels"), load(PICTURES)
    assert labels.features["soft_label"] == datasets.List(datasets.Value("float64"), length=3)
    assert pictures.features["first_class"].names == ["cat", "dog", "fox"]
    assert isinstance(pictures.features["image"], datasets.Image)
    assert pictures[0]["image"].getpixel((0, 0)) == 50  # a quarter of 200
    with pytest.raises(ValueError, match="'checks' not found"):
        load("checks")


def test_a_release_without_pixels_is_read_too_and_has_no_pictures(tmp_path):
    directory = recipe_only(tmp_path / "pets")
    opened = mlcroissant.Dataset(str(directory / "croissant.json"))
    assert PICTURES not in [record_set.id for record_set in opened.metadata.record_sets]
    assert len(list(opened.records("mixed_images"))) == 3
    assert PICTURES not in (directory / "README.md").read_text("utf-8")
    assert check(directory) == []


def test_croissant_says_who_made_it_of_what_and_how_people_were_asked(directory):
    said = json.loads((directory / "croissant.json").read_text("utf-8"))
    assert said["name"] == "pets-1.0.0"
    assert said["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert [creator["name"] for creator in said["creator"]] == ["Ada Lovelace", "Grace Hopper"]
    assert said["datePublished"] == "2026-01-01"
    assert said["rai:annotationsPerItem"] == "1 counted answers a mixed image (median; from 1 to 1)"
    assert said["rai:dataCollectionTimeframe"] == ["2026-01-01", "2026-01-02"]
    assert said["rai:dataAnnotationAnalysis"] == [f"{YOU}: Krippendorff's α = 0.610 (n = 4). 1 is all."]
    assert "2 of 3 people agreed." in said["rai:personalSensitiveInformation"]
    assert [one["name"] for one in said["prov:wasDerivedFrom"]] == [
        "image set pets", "answers and labels", "images that were mixed",
    ]  # fmt: skip
    assert said["prov:wasGeneratedBy"]["name"] == "frozen by hilmix 0.1.0"
    labels = next(one for one in said["recordSet"] if one["@id"] == "labels")
    (soft_label,) = [field for field in labels["field"] if field["name"] == "soft_label"]
    assert (soft_label["isArray"], soft_label["arrayShape"]) == (True, "3")
    assert "cr:Label" in soft_label["dataType"]


def test_simulated_answers_are_called_so_by_every_paper(tmp_path):
    given = release_input()
    given["manifest"]["source"] = "simulated"
    for person in given["tables"]["participants"]:
        person["source"] = "simulated"
    write_release(tmp_path / "pets", **given)
    for name in ("README.md", "croissant.json", "CITATION.cff", ".zenodo.json", "LICENSE"):
        assert "SIMULATED" in (tmp_path / "pets" / name).read_text("utf-8"), name


def test_imported_answers_are_not_said_to_be_asked_or_named_here(tmp_path):
    given = release_input()
    given["manifest"] |= {"source": "imported", "creators": ["Collins et al."]}
    given["manifest"]["licences"] |= {"imported": "CC-BY-4.0"}
    for person in given["tables"]["participants"]:
        person["source"] = "imported"
    write_release(tmp_path / "pets", **given)
    said = json.loads((tmp_path / "pets" / "croissant.json").read_text("utf-8"))
    assert "rai:dataAnnotationPlatform" not in said
    assert said["creator"] == [{"@type": "sc:Organization", "name": "Collins et al."}]
    kept = "Participants have the ids under which their answers were published before."
    assert kept in said["rai:personalSensitiveInformation"]
    assert "imported answers" in [one["name"] for one in said["prov:wasDerivedFrom"]]
    card = (tmp_path / "pets" / "README.md").read_text("utf-8")
    assert kept in card
    assert "pseudonyms" not in card
    assert "| imported answers | [CC-BY-4.0]" in card
    assert check(tmp_path / "pets") == []


@pytest.mark.parametrize(
    ("image_set", "theirs"),
    [
        ("", "none was stated. Ask their makers before you pass pictures on."),
        ("CC0-1.0", "Creative Commons Zero 1.0."),
    ],
)
def test_pictures_keep_the_licence_of_the_image_set_as_every_paper_says(tmp_path, image_set, theirs):
    given = release_input()
    given["manifest"]["licences"]["image_set"] = image_set
    write_release(tmp_path / "pets", **given)
    for name in ("README.md", "croissant.json", "LICENSE"):
        text = (tmp_path / "pets" / name).read_text("utf-8")
        assert f"that were mixed and have the licence of these: {theirs}" in text, name

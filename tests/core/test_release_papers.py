from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from hilmix.core.release import open_release, write_release
from hilmix.core.release_columns import GIVEN
from tests.core.releases import release_input


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    given = release_input()
    given["manifest"]["creators"] = [
        'Ada "the first" Lovelace',
        "Grace: Hopper",
    ]  # what YAML must not misread
    directory = tmp_path_factory.mktemp("papers") / "pets"
    write_release(directory, **given)
    return directory


def test_every_row_is_as_the_schema_of_its_table_says(directory):
    release = open_release(directory)
    for table in GIVEN:
        schema = json.loads((directory / "schema" / f"{table}.json").read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        rows = release.table(table).to_pylist()
        assert rows
        for row in rows:
            validator.validate(row)
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({**rows[0], "mood": "good"})


def test_a_class_that_is_not_there_is_no_row_of_the_schema(directory):
    schema = json.loads((directory / "schema" / "mixed_images.json").read_text("utf-8"))
    row = open_release(directory).table("mixed_images").to_pylist()[0]
    with pytest.raises(jsonschema.ValidationError, match="3 is greater than the maximum of 2"):
        jsonschema.validate({**row, "first_class": 3}, schema)


def test_the_citation_names_the_creators_the_version_and_the_content(directory):
    said = yaml.safe_load((directory / "CITATION.cff").read_text("utf-8"))
    assert said["cff-version"] == "1.2.0"
    assert [author["name"] for author in said["authors"]] == ['Ada "the first" Lovelace', "Grace: Hopper"]
    assert (said["type"], said["version"], said["license"]) == ("dataset", "1.0.0", "CC-BY-4.0")
    assert said["date-released"] == "2026-01-01"
    assert said["identifiers"][0]["value"] == f"sha256:{open_release(directory).sha256}"


def test_the_head_of_the_card_is_yaml_with_every_table(directory):
    head = yaml.safe_load((directory / "README.md").read_text("utf-8").split("---\n")[1])
    assert head["license"] == "cc-by-4.0"
    assert {one["config_name"] for one in head["configs"]} == {*GIVEN, "pictures"}
    assert [one["config_name"] for one in head["configs"] if one.get("default")] == ["labels"]
    assert head["size_categories"] == ["n<1K"]
    assert head["source_datasets"] == ["extended|other-pets"]
    assert head["language"] == ["en-gb"]


def test_zenodo_is_told_who_made_it_and_under_which_licence(directory):
    record = json.loads((directory / ".zenodo.json").read_text("utf-8"))
    assert record["creators"] == [{"name": 'Ada "the first" Lovelace'}, {"name": "Grace: Hopper"}]
    assert (record["license"], record["upload_type"], record["access_right"]) == (
        "cc-by-4.0",
        "dataset",
        "open",
    )


def test_the_licence_says_what_each_part_is_under_and_whom_to_credit(directory):
    text = (directory / "LICENSE").read_text("utf-8")
    assert (
        "Answers and labels: Creative Commons Attribution 4.0 (CC-BY-4.0)\nhttps://creativecommons.org/"
        in text
    )
    assert "Images that were mixed: No licence was stated\nA. Vet" in text
    card = (directory / "README.md").read_text("utf-8")
    assert "Where no licence was stated, nobody gave you leave" in card


def test_a_release_without_a_licence_is_not_called_open(tmp_path):
    given = release_input()
    given["manifest"]["licences"]["answers"] = ""
    write_release(tmp_path / "pets", **given)
    record = json.loads((tmp_path / "pets" / ".zenodo.json").read_text("utf-8"))
    assert record["access_right"] == "restricted"
    assert "license" not in record
    assert "license" not in yaml.safe_load((tmp_path / "pets" / "CITATION.cff").read_text("utf-8"))


def test_the_first_release_says_so_in_its_changes(directory):
    text = (directory / "CHANGELOG.md").read_text("utf-8")
    assert text == "# Changes\n\n## 1.0.0 (2026-01-01)\n\nThe first release of this study.\n"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum")
def test_the_checksums_are_those_that_sha256sum_checks(directory):
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=directory, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    listed = {line.split("  ")[1] for line in (directory / "SHA256SUMS").read_text("utf-8").splitlines()}
    present = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert present - listed == {"manifest.json", "SHA256SUMS"}

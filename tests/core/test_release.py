from __future__ import annotations

import csv
import json
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilmix.core import release_tables
from hilmix.core.errors import DataError
from hilmix.core.release import open_release, write_release
from hilmix.core.release_columns import GIVEN
from hilmix.core.release_tables import COLUMNS, columns_of, dictionary
from tests.core.releases import (
    FACTORS,
    LAMBDAS,
    OTHERS,
    RULES,
    YOU,
    asked_in_two_ways,
    label_set,
    pictures,
    release_input,
    response,
)

KEPT = Path(__file__).parents[1] / "upgrade"
V1, V2 = KEPT / "v0.1" / "release.tar.gz", KEPT / "v0.2" / "release.tar.gz"  # what these versions wrote


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_release(tmp_path / "pets-1.0.0", **release_input())
    return tmp_path / "pets-1.0.0"


def test_a_release_gives_arrays_in_the_order_of_its_mixed_images(directory):
    release = open_release(directory)
    assert np.array_equal(release.images(), np.stack(pictures()))
    assert release.lambdas().tolist() == [0.25, 0.5, 0.9]
    assert release.parents().tolist() == [[0, 10], [1, 11], [2, 12]]
    assert release.labels("mixup")[:, 0].tolist() == [0.25, 0.5, 0.9]
    assert release.labels("human_lambda") == pytest.approx(
        np.array([[0.3, 0, 0.7], [0.55, 0, 0.45], [0.95, 0, 0.05]])
    )
    assert (release.name, release.version, release.source, release.n) == ("pets", "1.0.0", "person", 3)
    assert (release.classes, release.policies) == (("cat", "dog", "fox"), ("human_lambda", "mixup"))
    assert release.image_set_sha256 == "cd" * 32
    assert release.manifest["counts"] == {"participants": 2, "responses": 4, "mixed_images": 3}


def test_what_is_not_in_a_release_is_refused_in_words(directory):
    release = open_release(directory)
    with pytest.raises(DataError, match="has no labels 'median', only human_lambda, mixup"):
        release.labels("median")
    with pytest.raises(DataError, match="no table 'people', only mixed_images"):
        release.table("people")


def test_labels_asked_for_in_two_ways_are_had_by_naming_one(tmp_path):
    write_release(tmp_path / "pets", **asked_in_two_ways())
    release = open_release(tmp_path / "pets")
    assert release.conditions == (YOU, OTHERS)
    with pytest.raises(DataError, match=f"under 2 conditions, {YOU}, {OTHERS}.*Name one"):
        release.labels("human_lambda")
    assert release.labels("human_lambda", YOU)[:, 0] == pytest.approx([0.3, 0.55, 0.95])
    assert release.labels("human_lambda", OTHERS)[:, 0] == pytest.approx([0.32, 0.57, 0.97])
    assert release.label_set("human_lambda", OTHERS)["condition"] == OTHERS
    assert f'release.labels("human_lambda", "{YOU}")' in (tmp_path / "pets" / "README.md").read_text("utf-8")
    # Where no answer is used, there is nothing to tell apart.
    assert np.array_equal(release.labels("mixup"), release.labels("mixup", OTHERS))
    with pytest.raises(DataError, match=f"no condition 'ffff'; its conditions: {YOU}, {OTHERS}"):
        release.labels("human_lambda", "ffff")


def test_labels_of_the_other_condition_are_not_given_instead(tmp_path):
    given = asked_in_two_ways()
    given["manifest"]["label_sets"].pop()
    given["tables"]["labels"] = [row for row in given["tables"]["labels"] if row["condition"] != OTHERS]
    write_release(tmp_path / "pets", **given)
    release = open_release(tmp_path / "pets")
    with pytest.raises(DataError, match=f"'human_lambda' under the condition '{OTHERS}', only under {YOU}"):
        release.labels("human_lambda", OTHERS)
    assert release.labels("human_lambda")[:, 0] == pytest.approx([0.3, 0.55, 0.95])


def test_every_kind_of_answer_has_its_columns(tmp_path):
    given = release_input()
    given["tables"]["responses"][1:] = [
        response("1-11", "P1", 1, unit="pair", perceived_midpoint=0.6, left="second"),
        response("m2", "P1", 2, mass='{"0": 0.7, "2": 0.2}', excluded="[1]"),
        response("m2", "P2", 0, probabilities=[0.5, 0.25, 0.25]),
    ]
    write_release(tmp_path / "pets", **given)
    release = open_release(tmp_path / "pets")
    assert release.manifest["answers_per_unit"] == {
        "mixed_image": {"fewest": 0, "median": 1.0, "most": 2},
        "pair": {"fewest": 0, "median": 0.0, "most": 1},
    }
    rows = release.table("responses").to_pylist()
    assert [row["unit"] for row in rows] == ["mixed_image", "pair", "mixed_image", "mixed_image"]
    assert [row["perceived_midpoint"] for row in rows] == [None, 0.6, None, None]
    assert json.loads(rows[2]["mass"]) == {"0": 0.7, "2": 0.2}
    assert [row["probabilities"] for row in rows] == [None, None, None, [0.5, 0.25, 0.25]]


def test_a_release_of_hilmix_0_1_is_opened_as_it_was_written(tmp_path):
    with tarfile.open(V1) as archive:
        archive.extractall(tmp_path, filter="data")
    (directory,) = tmp_path.iterdir()
    release = open_release(directory)
    assert (release.format, release.n, release.source) == (1, 60, "simulated")
    assert release.policies == ("human_lambda", "human_lambda_shrunk", "mixup")
    assert release.label_set("human_lambda_shrunk")["params"]["n_answers"] == 716
    assert release.labels("human_lambda_shrunk").sum(axis=1) == pytest.approx(np.ones(60))
    responses = release.table("responses")
    assert responses.num_rows == 768
    assert responses.column_names == [column.name for column in COLUMNS["responses"] if column.since == 1]
    assert release.conditions == ()
    with pytest.raises(
        DataError, match="has no table 'conditions', only mixed_images, responses, participants"
    ):
        release.table("conditions")
    with pytest.raises(DataError, match="has no condition 'x'; its conditions: none"):
        release.labels("human_lambda", "x")


def test_a_release_of_hilmix_0_2_is_opened_as_it_was_written(tmp_path):
    with tarfile.open(V2) as archive:
        archive.extractall(tmp_path, filter="data")
    (directory,) = tmp_path.iterdir()
    release = open_release(directory)
    assert (release.format, release.rules) == (2, [])
    assert release.labels("human_lambda_shrunk").sum(axis=1) == pytest.approx(np.ones(release.n))
    responses = release.table("responses")
    assert responses.column_names == [column.name for column in COLUMNS["responses"] if column.since <= 2]
    assert responses.num_rows == release.manifest["counts"]["responses"]


def test_a_release_of_a_later_version_is_refused(directory):
    path = directory / "manifest.json"
    path.write_text(path.read_text("utf-8").replace("hilmix-release/4", "hilmix-release/5"), "utf-8")
    with pytest.raises(DataError, match=r"says format 'hilmix-release/5'.*/1'.*'hilmix-release/4'"):
        open_release(directory)


def test_the_same_input_gives_the_same_bytes(directory, tmp_path):
    write_release(tmp_path / "again", **release_input())
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(directory)).read_bytes() == path.read_bytes(), path


def test_the_hash_names_the_content_and_not_its_making(tmp_path):
    def sha256(folder: str, **change: object) -> str:
        given = release_input()
        return write_release(tmp_path / folder, **{**given, "manifest": {**given["manifest"], **change}})

    first = sha256("a")
    assert (
        sha256("b", version="1.0.1", created_at="2027-01-01T00:00:00Z", code_version="9", name="dogs")
        == first
    )
    assert open_release(tmp_path / "b").sha256 == first
    assert sha256("c", study={"slug": "pets", "title": "Dogs"}) != first
    assert sha256("d", protocol_sha256="ef" * 32) != first


def change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_every_file_that_changed_is_named(directory, tmp_path):
    names = [path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file()]
    papers = {"README.md", "LICENSE", "CITATION.cff", ".zenodo.json", "CHANGELOG.md", "SHA256SUMS", "DICTIONARY.md",
              "croissant.json", "manifest.json"}  # fmt: skip
    assert {str(name) for name in names if len(name.parts) == 1} == papers
    assert len(names) == len(papers) + len(GIVEN) * 3 + len(["pictures.parquet"]) + len(LAMBDAS)
    for number, name in enumerate(names):
        copy = Path(shutil.copytree(directory, tmp_path / f"changed{number}"))
        if name.name == "manifest.json":
            manifest = json.loads((copy / name).read_text("utf-8"))
            (copy / name).write_text(json.dumps({**manifest, "version": "2.0.0"}), "utf-8")
        else:
            change_a_byte(copy / name)
        with pytest.raises(DataError, match=f"the file {name} was changed"):
            open_release(copy)


def test_every_file_that_is_missing_is_named(directory, tmp_path):
    names = [path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file()]
    for number, name in enumerate(names):
        copy = Path(shutil.copytree(directory, tmp_path / f"missing{number}"))
        (copy / name).unlink()
        with pytest.raises(DataError, match=f"{name}.* is missing"):
            open_release(copy)


def test_a_file_that_does_not_belong_there_is_named(directory):
    (directory / "data" / "extra.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match=r"data/extra\.parquet does not belong here"):
        open_release(directory)


def test_a_file_replaced_by_a_link_is_refused(directory, tmp_path):
    shutil.copy(directory / "README.md", tmp_path / "elsewhere.md")
    (directory / "README.md").unlink()
    (directory / "README.md").symlink_to(tmp_path / "elsewhere.md")
    with pytest.raises(DataError, match=r"README\.md was changed"):
        open_release(directory)


def test_simulated_answers_are_not_turned_into_peoples(tmp_path):
    given = release_input()
    given["manifest"]["source"] = "simulated"
    for person in given["tables"]["participants"]:
        person["source"] = "simulated"
    write_release(tmp_path / "simulated", **given)
    path = tmp_path / "simulated" / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"simulated"', '"person"'), "utf-8")
    with pytest.raises(DataError, match=r"manifest\.json was changed"):
        open_release(tmp_path / "simulated")


def broken(table: str, row: int, **change: object) -> dict:
    given = release_input()
    given["tables"][table][row].update(change)
    return given


def without(key: str, **change: object) -> dict:
    given = release_input()
    return {**given, "manifest": {k: v for k, v in {**given["manifest"], **change}.items() if k != key}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (broken("responses", 1, position=None), "Table responses, row 1: the column 'position' is empty"),
        (broken("responses", 1, mood="good"), "Table responses, row 1: there is no column 'mood'"),
        (broken("responses", 1, position="third"), "Table responses, rows 0 to 3, column position"),
        (broken("responses", 1, key="m9"), "Table responses: 'm9' is not in the table mixed_images"),
        (broken("responses", 1, participant="P9"), "has not n_responses = 3"),
        (broken("responses", 1, key="0-10"), "Table responses: '0-10' is not in the table mixed_images"),
        (broken("responses", 1, unit="pair"), "Table responses: 'm1' is not in the table mixed_images"),
        (broken("responses", 1, unit="video"), "a unit is one of mixed_image, pair, not 'video'"),
        (broken("responses", 1, condition=OTHERS), f"'{OTHERS}' is not in the table conditions"),
        (broken("responses", 1, probabilities=[1.0]), "Table responses, rows 0 to 3, column probabilities"),
        (broken("responses", 1, not_counted="repeat"), "counted, or not_counted says why"),
        (broken("responses", 1, counted=False), "counted, or not_counted says why"),
        (broken("checks", 0, participant="P9"), "has not checks_shown = 2"),
        (broken("checks", 0, passed=False), "has not checks_failed = 1"),
        (broken("participants", 0, source="simulated"), "The participant P1 is simulated"),
        (broken("participants", 1, participant="P1"), "has not n_responses"),
        (broken("mixed_images", 1, key="m0"), "Table mixed_images: 'm0' is there twice"),
        (broken("labels", 0, soft_label=[0.5, 0.5]), "Table labels, rows 0 to 5, column soft_label"),
        (broken("labels", 0, key="m0"), "labels 'm0' twice"),
        (broken("labels", 0, policy="median"), "'median'.* is not in the manifest"),
        ({**release_input(), "images": release_input()["images"][:2]}, "was not given"),
        ({**release_input(), "images": [("ff" * 32, b"")]}, "belongs to no row"),
        ({**release_input(), "images": [(release_input()["images"][0][0], release_input()["images"][1][1])]},
         "does not show the pixels"),
        (without("study"), "needs 'study'"),
        (without("", label_sets=[]), "needs 'label_sets'"),
        (without("", label_sets=[{"policy": "mixup"}]), "A label set is described by chosen, condition, meaning"),
        (without("", label_sets=[label_set("mixup", None)] * 2), "names the label set 'mixup' twice"),
        (without("", label_sets=[label_set("mixup", OTHERS)]), f"'{OTHERS}' is not in the table conditions"),
        (without("", rules={"rules": []}), "The entry 'rules' is described by protocol_sha256, rules"),
        (without("rules"), "needs 'rules'"),
        (without("", source="bots"), "one source, person, simulated, imported; not 'bots'"),
        (without("", version="1.0"), "'1.0' is no version"),
        (without("", mood="good"), "no entry 'mood'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_and_nothing_is_left(tmp_path, given, message):
    with pytest.raises(DataError, match=message):
        write_release(tmp_path / "pets", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_table_and_missing_labels_are_refused(tmp_path):
    given = release_input()
    given["tables"]["labels"] = given["tables"]["labels"][:-1]
    with pytest.raises(DataError, match=f"'human_lambda' under '{YOU}' labels 2 of 3 mixed images"):
        write_release(tmp_path / "pets", **given)
    del given["tables"]["labels"]
    with pytest.raises(
        DataError, match="needs the tables mixed_images, conditions, responses, trials, checks"
    ):
        write_release(tmp_path / "pets", **given)


def test_a_reader_that_fails_in_the_middle_leaves_nothing(tmp_path):
    given = release_input()
    rows = given["tables"]["responses"]

    def cancelled():
        yield rows[0]
        raise KeyboardInterrupt

    given["tables"]["responses"] = cancelled()
    with pytest.raises(KeyboardInterrupt):
        write_release(tmp_path / "pets", **given)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_streamed_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(release_tables, "BATCH_ROWS", 2)
    given = release_input()
    given["tables"] = {name: iter(rows) for name, rows in given["tables"].items()}
    write_release(tmp_path / "pets", **given)
    assert pq.ParquetFile(tmp_path / "pets" / "data" / "responses.parquet").num_row_groups == 2
    assert open_release(tmp_path / "pets").table("responses").num_rows == 4


def test_csv_and_parquet_hold_the_same_rows_in_the_same_order(directory):
    release = open_release(directory)
    for table in GIVEN:
        columns = columns_of(table, FACTORS)
        with (directory / "csv" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == [column.name for column in columns] == release.table(table).column_names
        for text, row in zip(rows[1:], release.table(table).to_pylist(), strict=True):
            for cell, value in zip(text, row.values(), strict=True):
                if isinstance(value, str):
                    assert cell == value
                else:
                    assert (json.loads(cell) if cell else None) == value


def test_every_factor_has_a_column_where_it_varies(tmp_path):
    given = release_input()
    given["tables"]["responses"][0] |= {"level_view": "you", "level_side": "second"}
    given["tables"]["participants"][0]["level_view"] = "you"
    given["tables"]["conditions"][0]["level_view"] = "you"
    write_release(tmp_path / "pets", **given)
    release = open_release(tmp_path / "pets")
    assert release.factors == FACTORS
    assert release.table("responses")["level_side"].to_pylist() == ["second", None, None, None]
    assert release.table("conditions")["level_view"].to_pylist() == ["you"]
    assert "level_side" not in release.table("participants").column_names
    assert "| side | within people | first, second |" in (tmp_path / "pets" / "README.md").read_text("utf-8")
    given["tables"]["participants"][0]["level_side"] = "first"
    with pytest.raises(DataError, match="there is no column 'level_side'"):
        write_release(tmp_path / "other", **given)
    given["manifest"]["factors"] = [{"name": "view"}]
    with pytest.raises(DataError, match="A factor is described by levels, name, varies"):
        write_release(tmp_path / "other", **given)


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    given = release_input()
    given["tables"]["participants"][1]["participant"] = "=cmd()"
    for table in ("responses", "trials"):
        given["tables"][table] = [
            {**row, "participant": row["participant"].replace("P2", "=cmd()")}
            for row in given["tables"][table]
        ]
    given["tables"]["conditions"][0]["bonus"] = "=cmd()"
    write_release(tmp_path / "pets", **given)
    for table in ("participants", "conditions", "responses", "trials"):
        assert re.search(
            '[\n,]"\'=cmd[(][)]",', (tmp_path / "pets" / "csv" / f"{table}.csv").read_text("utf-8")
        )
    assert open_release(tmp_path / "pets").table("participants")["participant"].to_pylist()[1] == "=cmd()"


def test_every_column_is_described_once_for_all_readers(directory):
    text = (directory / "DICTIONARY.md").read_text("utf-8")
    assert text == dictionary(FACTORS)
    assert "| `level_<factor>` |" in dictionary()
    for table in COLUMNS:
        columns = columns_of(table, FACTORS)
        schema = pq.read_schema(directory / "data" / f"{table}.parquet")
        assert schema.names == [column.name for column in columns]
        for column in columns:
            assert f"| `{column.name}` |" in text
            assert schema.field(column.name).metadata[b"description"].decode() == column.description


def test_the_card_says_who_answered(directory, tmp_path):
    assert "SIMULATED" not in (directory / "README.md").read_text("utf-8")
    given = release_input()
    given["manifest"]["source"] = "simulated"
    for person in given["tables"]["participants"]:
        person["source"] = "simulated"
    write_release(tmp_path / "simulated", **given)
    card = (tmp_path / "simulated" / "README.md").read_text("utf-8")
    assert "# pets 1.0.0 — SIMULATED ANSWERS" in card
    assert "no person answered" in card


def test_a_release_says_whom_its_labels_leave_out_and_by_which_rules(directory, tmp_path):
    given = release_input()
    given["tables"]["participants"][0]["excluded_by"] = '["reversed"]'
    given["tables"]["participants"][1] |= {"invalid": True, "excluded_by": '["reversed"]'}
    write_release(tmp_path / "pets", **given)
    release = open_release(tmp_path / "pets")
    assert release.manifest["left_out"] == {"invalid": 1, "excluded": 1}  # each person once
    assert release.rules == RULES["rules"]
    card = (tmp_path / "pets" / "README.md").read_text("utf-8")
    assert (
        "Of 2 participants, 1 were marked as invalid by a researcher, and of the others 1 were left out by a rule"
        in card
    )
    assert '| reversed | `{"share": 0.5}` | yes | The key was \\| turned. |' in card
    assert open_release(directory).manifest["left_out"] == {"invalid": 0, "excluded": 0}


def test_what_somebody_named_is_text_on_the_card(tmp_path):
    given = release_input()
    given["manifest"]["study"]["title"] = "cats | *dogs* <b>\n# birds"
    given["manifest"]["consent"] = ["[agree](http://x) `all`"]
    write_release(tmp_path / "pets", **given)
    card = (tmp_path / "pets" / "README.md").read_text("utf-8")
    assert "| study | cats \\| \\*dogs\\* \\<b> # birds (`" in card
    assert "\n- [agree]\\(http://x) \\`all\\`\n" in card


def test_a_study_without_rules_is_said_to_have_none(tmp_path):
    given = release_input()
    given["manifest"]["rules"] = {**RULES, "rules": []}
    write_release(tmp_path / "pets", **given)
    assert "The protocol has no rules of quality." in (tmp_path / "pets" / "README.md").read_text("utf-8")


def test_a_release_names_the_versions_that_wrote_it_which_are_no_content(directory, tmp_path, monkeypatch):
    first = open_release(directory)
    assert first.manifest["writers"] == {
        "numpy": np.__version__,
        "Pillow": PIL.__version__,
        "pyarrow": pa.__version__,
    }
    monkeypatch.setattr(PIL, "__version__", "99.0")
    write_release(tmp_path / "again", **release_input())
    again = open_release(tmp_path / "again")
    assert again.manifest["writers"]["Pillow"] == "99.0"
    assert again.sha256 == first.sha256

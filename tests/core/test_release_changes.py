from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilmix.core.release import Release, open_release, write_release
from hilmix.core.release_changes import Change, Records, compare, next_version
from tests.core.releases import OTHERS, YOU, asked_in_two_ways, label_set, release_input, response, trial

KEPT = Path(__file__).parents[1] / "upgrade"


@pytest.fixture
def written(tmp_path):
    def write(given: dict[str, Any]) -> Release:
        directory = Path(tmp_path / f"release{len(list(tmp_path.iterdir()))}")
        write_release(directory, **given)
        return open_release(directory)

    return write


@pytest.fixture
def changed(written):
    """What compares the small release with a changed one."""

    def compared(given: dict[str, Any], same_person: dict[str, str] | None = None) -> Change:
        return compare(written(release_input()), written(given), same_person or {})

    return compared


def with_answer(given: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The same with one more answer."""
    tables = given["tables"]
    tables["responses"].append(said)
    tables["trials"] = [
        row for row in tables["trials"]
        if (row["participant"], row["position"]) != (said["participant"], said["position"])
    ] + [trial(said, kind="main")]  # fmt: skip
    for person in tables["participants"]:
        person["n_responses"] += person["participant"] == said["participant"]
    return given


def test_the_same_release_under_another_date_has_not_changed(changed):
    given = release_input()
    given["manifest"] |= {"created_at": "2027-01-01T00:00:00Z", "code_version": "9.9.9", "version": "1.0.1"}
    change = changed(given)
    assert (change.level, change.reasons) == ("", [])
    assert change.tables["responses"] == Records(same=4, added=0, changed=0, gone=0)


def test_pseudonyms_made_anew_change_nothing(changed):
    given = release_input()
    names = {"P1": "Q7", "P2": "Q1"}
    for table in ("responses", "trials", "checks", "participants"):
        given["tables"][table] = [
            {**row, "participant": names[row["participant"]]} for row in given["tables"][table]
        ]
    assert changed(given, names).level == ""
    assert changed(given).level == "major"  # who is not known to be the same is another


@pytest.mark.parametrize(
    ("table", "row", "change", "reason"),
    [
        ("mixed_images", 0, {"split": None}, "1 mixed image changed: split."),
        ("conditions", 0, {"bonus": "1 €"}, "1 condition changed: bonus."),
        ("responses", 1, {"perceived_lambda": 0.3}, "1 answer changed: perceived_lambda."),
        ("responses", 1, {"payload": "{}"}, "1 answer changed: payload."),
        ("responses", 3, {"time_elapsed_ms": None}, "1 answer changed: time_elapsed_ms."),
        ("responses", 1, {"probabilities": [0.2, 0.3, 0.5]}, "1 answer changed: probabilities."),
        ("trials", 0, {"left": "second"}, "1 answered trial changed: left."),
        ("participants", 0, {"invalid": True}, "1 participant changed: invalid."),
        ("participants", 0, {"over_quota": True}, "1 participant changed: over_quota."),
    ],
)
def test_a_record_that_changed_makes_a_major_version(changed, table, row, change, reason):
    given = release_input()
    given["tables"][table][row].update(change)
    found = changed(given)
    assert (found.level, found.reasons) == ("major", [reason])


def test_who_is_gone_makes_a_major_version(changed):
    given = release_input()
    tables = given["tables"]
    for table in ("responses", "trials", "participants"):
        tables[table] = [row for row in tables[table] if row["participant"] != "P2"]
    change = changed(given)
    assert change.level == "major"
    assert "1 participant is gone." in change.reasons
    assert "1 answer is gone." in change.reasons


def test_an_answer_that_came_makes_a_minor_version_however_labels_move(changed):
    given = with_answer(release_input(), response("m0", "P2", 1, perceived_lambda=0.5))
    for row in given["tables"]["labels"]:
        if row["policy"] == "human_lambda":
            row["soft_label"] = [0.5, 0.0, 0.5]
    change = changed(given)
    assert change.level == "minor"
    assert change.reasons == ["1 answer came.", "1 answered trial came."]
    (moved,) = [one for one in change.labels if one.name == "human_lambda"]
    assert (moved.condition, moved.n, moved.n_moved) == (YOU, 3, 3)
    assert moved.most == pytest.approx(0.45)
    assert moved.mean == pytest.approx(np.mean([0.2, 0.05, 0.45]))


def test_a_survey_that_was_left_open_may_be_answered_later_and_not_changed(changed, written):
    given = release_input()
    given["tables"]["participants"][0]["survey"] = '{"age": 3}'
    change = changed(given)
    assert (change.level, change.reasons) == ("minor", ["1 participant says what they left open."])
    assert compare(written(given), written(release_input()), {}).level == "major"


def test_other_labels_of_the_same_answers_make_a_major_version(changed):
    given = release_input()
    given["tables"]["labels"][3]["soft_label"] = [0.5, 0.0, 0.5]
    assert changed(given).reasons == [f"1 labels human_lambda under {YOU} differ, made of the same answers."]
    given["tables"]["labels"][3]["soft_label"] = [0.95 + 1e-12, 0.0, 0.05 - 1e-12]
    assert changed(given).level == ""  # another machine adds up in another order


@pytest.mark.parametrize("number", ["n", "lambda", "spread", "low", "high"])
def test_another_number_of_a_label_of_the_same_answers_makes_a_major_version(changed, number):
    given = release_input()
    given["tables"]["labels"][3][number] = 2
    assert changed(given).reasons == [f"1 labels human_lambda under {YOU} differ, made of the same answers."]


def test_a_newcomer_without_an_answer_excuses_no_label_that_moved(changed):
    given = release_input()
    given["tables"]["participants"].append(
        {**given["tables"]["participants"][1], "participant": "P3", "n_responses": 0}
    )
    given["tables"]["labels"][3]["soft_label"] = [0.5, 0.0, 0.5]
    change = changed(given)
    assert change.level == "major"
    assert change.reasons == [
        f"1 labels human_lambda under {YOU} differ, made of the same answers.",
        "1 participant came.",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"protocol_sha256": "cd" * 32}, "The protocols differ."),
        ({"collected": {"from": None, "to": None}}, "The days on which answers were collected differ."),
        ({"label_sets": "meant otherwise"}, "The parameters or meanings of label sets differ."),
    ],
)
def test_another_fact_about_the_same_records_makes_a_patch_that_names_it(changed, change, reason):
    given = release_input()
    if "label_sets" in change:
        given["manifest"]["label_sets"][0]["meaning"] = change["label_sets"]
    else:
        given["manifest"] |= change
    found = changed(given)
    assert (found.level, found.reasons) == ("patch", [reason])


def test_other_words_about_a_column_make_a_patch(written):
    old = written(release_input())
    files = {**old.manifest["files"], "DICTIONARY.md": {"sha256": "0" * 64, "bytes": 1}}
    change = compare(old, Release(old.directory, {**old.manifest, "files": files}), {})
    assert (change.level, change.reasons) == ("patch", ["The descriptions of columns differ."])


def test_label_sets_that_came_make_a_minor_version_and_those_that_went_a_major_one(changed, written):
    given = release_input()
    given["manifest"]["label_sets"].append(label_set("uniform", None))
    given["tables"]["labels"] += [
        {**row, "policy": "uniform"} for row in given["tables"]["labels"] if row["policy"] == "mixup"
    ]
    assert (changed(given).level, changed(given).reasons) == ("minor", ["The labels uniform came."])
    assert compare(written(given), written(release_input()), {}).reasons == ["The labels uniform are gone."]


def test_a_new_version_of_a_policy_makes_a_major_version(changed):
    given = release_input()
    given["manifest"]["label_sets"][1]["version"] = 2
    assert changed(given).reasons == [
        f"The labels human_lambda under {YOU} are made by version 2 of their policy."
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": "recipe-only"}, "The ways in which mixed images are held differ."),
        ({"creators": ["Ada Lovelace"]}, "The creators differ."),
        ({"description": "Other words."}, "The descriptions differ."),
        ({"licences": {"answers": "CC0-1.0", "image_set": "", "origin": {}}}, "The licences differ."),
    ],
)
def test_the_same_records_in_another_package_make_a_patch(changed, change, reason):
    given = release_input()
    given["manifest"] |= change
    found = changed(given)
    assert (found.level, found.reasons) == ("patch", [reason])


def test_the_reasons_begin_with_the_weightiest(changed):
    given = with_answer(asked_in_two_ways(), response("m0", "P2", 1, perceived_lambda=0.5))
    given["manifest"]["creators"] = ["Ada Lovelace"]
    change = changed(given)
    assert change.level == "major"
    assert change.reasons[0] == "1 answer changed: condition."
    assert change.reasons[-1] == "The creators differ."
    assert f"The labels human_lambda under {OTHERS} came." in change.reasons


def test_why_answers_do_not_count_is_counted_then_and_now(changed):
    given = with_answer(release_input(), response("m0", "P2", 1, cannot_tell=True, not_counted="cannot tell"))
    assert changed(given).left_out == {"cannot tell": (0, 1), "repeat": (1, 1)}


def test_versions_go_up_by_the_level_of_the_change():
    assert next_version("1.4.2", "major") == "2.0.0"
    assert next_version("1.4.2", "minor") == "1.5.0"
    assert next_version("1.4.2", "patch") == "1.4.3"


def test_a_change_is_settled_once_the_records_are_written(tmp_path, written):
    old = written(release_input())
    given = with_answer(release_input(), response("m0", "P2", 1, perceived_lambda=0.5))
    for name in ("version", "previous", "change"):
        del given["manifest"][name]

    def settle(directory: Path, manifest: dict[str, Any]) -> dict[str, Any]:
        change = compare(old, Release(directory, manifest), {})
        return {
            "version": next_version(old.version, change.level),
            "previous": {"name": old.name, "version": old.version, "sha256": old.sha256},
            "change": change.entry(),
        }

    write_release(tmp_path / "next", **given, settle=settle)
    release = open_release(tmp_path / "next")
    assert release.version == "1.1.0"
    assert release.manifest["change"]["level"] == "minor"
    text = (tmp_path / "next" / "CHANGELOG.md").read_text("utf-8")
    assert f"A minor change since pets 1.0.0 (sha256 `{old.sha256}`):\n\n- 1 answer came." in text


def test_nothing_is_left_where_the_caller_will_not_settle(tmp_path, written):
    given = release_input()

    def refuse(directory: Path, manifest: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("nothing changed")

    with pytest.raises(RuntimeError, match="nothing changed"):
        write_release(tmp_path / "next", **given, settle=refuse)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["v0.1", "v0.2", "v0.3"])
def test_releases_of_earlier_formats_are_compared_too(tmp_path, version):
    with tarfile.open(KEPT / version / "release.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (directory,) = tmp_path.iterdir()
    release = open_release(directory)
    change = compare(release, release, {})
    assert change.level == ""
    assert change.tables["responses"].same == release.manifest["counts"]["responses"]
    assert change.labels[0].n == release.n


def test_a_new_format_alone_is_a_patch(written):
    """What an earlier version of hilmix froze, frozen again."""
    new = written(release_input())
    old = Release(new.directory, {**new.manifest, "format": "hilmix-release/3"})
    change = compare(old, new, {})
    assert (change.level, change.reasons) == ("patch", ["It is of format 4, not 3."])

"""Whose answers labels use: rules applied when a release is made, invalid people, pilots, levels, imported answers."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elicitation.flow.saving import Incoming, save_responses
from elicitation.flow.services import complete, join_study
from elicitation.participants.models import Participation
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Batch, Mode, Protocol, Study, Unit
from elicitation.studies.protocol import Design, content_sha256
from elicitation.studies.reading import reading_of
from elicitation.studies.rules import FLAGS, Rule
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Trial
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.core import release as core_release
from hilmix.core.files import sha256_json
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda, PerceivedMidpoint
from hilmix.core.release import open_release
from hilmix.errors import Conflict
from hilmix.hub.answers import Answers, mixed_images_of
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.hub.withdrawn import pseudonym_in
from hilmix.jobs.progress import Progress
from tests.hub.test_import_hmix import published_rows, write

TRUE, TURNED = "true", "turned"


@pytest.fixture
def study(make_study):
    return make_study()


def say(how: str, trial: Trial) -> Judgement:
    (image, *others) = trial.images.all()
    if others:
        return PerceivedMidpoint(0.5)
    share = image.mixed_image.lambda_e4 / 10_000
    return CannotTell() if how == "cannot tell" else PerceivedLambda(share if how == TRUE else 1 - share, 0.6)


def take_part(study: Study, how: str = TRUE) -> Participation:
    """Somebody who sees exactly what was mixed, or (`TURNED`) its contrary."""
    boxes = {"adult": True, "agree": True}
    participation, _new = join_study(study=study, source=study.source, boxes=boxes)
    reading, rng = reading_of(participation.protocol), np.random.default_rng(0)
    answers = []
    for trial in participation.trials.select_related("pair").prefetch_related("images__mixed_image"):
        way = reading.way(trial.levels)
        asked = asked_of(trial, way, reading.classes, participation.drawn)
        payload = reading.asking(trial.levels).interface.payload_for(say(how, trial), asked, rng)
        answers.append(Incoming(uuid.uuid4(), trial.position, payload, rt_ms=4000))
    receipts = save_responses(participation=participation, epoch=0, answers=answers)
    assert {receipt.status for receipt in receipts} == {"created"}, receipts
    assert complete(participation=participation) == []
    participation.refresh_from_db()
    return participation


def freeze(study: Study) -> core_release.Release:
    return open_release(freeze_release(study=study, actor=OPERATOR, progress=Progress()).directory)


def rows(release: core_release.Release, table: str) -> list[dict]:
    return release.table(table).to_pylist()


def new_rules(study: Study, *rules: Rule) -> Protocol:
    """A new version of the protocol that differs in its rules alone."""
    newest = study.protocol
    content = {**newest.content, "rules": [asdict(rule) for rule in rules]}
    return Protocol.objects.create(
        study=study, version=newest.version + 1, content=content, sha256=content_sha256(content)
    )


def rule(flag: str, *, excludes: bool = True) -> Rule:
    return Rule(flag, {name: default for name, (default, _) in FLAGS[flag].params.items()}, excludes=excludes)


def people(release: core_release.Release) -> list[dict]:
    """The participants in the order in which they came."""
    frozen = Release.objects.get(study__slug=release.name, version=release.version)
    came = frozen.study.participations.order_by("pk").values_list("public_id", flat=True)
    by_name = {
        row["participant"]: {
            **row,
            **{name: json.loads(row[name]) for name in ("measures", "flags", "excluded_by")},
        }
        for row in rows(release, "participants")
    }
    names = [pseudonym_in(frozen, public_id) for public_id in came]
    return [by_name[name] for name in names if name in by_name]


def labelled(release: core_release.Release) -> set[tuple[int, float]]:
    """Answers that the raw means use, and how far these are from λ."""
    lambdas = {row["key"]: row["lambda_e4"] / 10_000 for row in rows(release, "mixed_images")}
    return {
        (row["n"], round(row["lambda"] - lambdas[row["key"]], 6))
        for row in rows(release, "labels")
        if row["policy"] == "human_lambda"
    }


# --- rules


def test_a_rule_that_only_flags_changes_no_label(study):
    take_part(study)
    take_part(study, TURNED)
    release = freeze(study)
    straight, turned = people(release)
    # Two who see the contrary of each other: who is right cannot be said, so disagreement only flags.
    assert "reversed" not in straight["flags"]
    assert {"reversed", "disagreement"} <= set(turned["flags"])
    assert straight["excluded_by"] == turned["excluded_by"] == []
    assert (straight["measures"]["reversed"], turned["measures"]["reversed"]) == (0.0, 1.0)
    assert all(row["counted"] for row in rows(release, "responses"))
    assert {n for n, _ in labelled(release)} == {2}
    assert release.manifest["left_out"] == {"invalid": 0, "excluded": 0}


def test_whom_a_rule_excludes_stays_in_the_release_and_is_in_no_label(study):
    take_part(study)
    take_part(study, TURNED)
    new_rules(study, rule("reversed"), rule("too_fast", excludes=False))
    release = freeze(study)
    straight, turned = people(release)
    assert (straight["excluded_by"], turned["excluded_by"]) == ([], ["reversed"])
    responses = rows(release, "responses")
    assert len(responses) == 12
    for row in responses:
        theirs = row["participant"] == turned["participant"]
        assert (row["counted"], row["not_counted"]) == (not theirs, "excluded: reversed" if theirs else None)
        assert json.loads(row["flags"]) == (["reversed"] if theirs else [])
    assert labelled(release) == {(1, 0.0)}
    assert release.label_set("human_lambda_shrunk")["params"]["n_answers"] == 6
    assert release.manifest["left_out"] == {"invalid": 0, "excluded": 1}
    card = (release.directory / "README.md").read_text("utf-8")
    assert "1 were left out by a rule" in card


def test_the_page_of_a_release_says_whom_its_labels_leave_out(study, client):
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    take_part(study)
    freeze(study)
    page = client.get(reverse("release", args=[Release.objects.get().pk])).text
    assert "Those of every participant." in page
    assert "left out by a rule" not in page
    take_part(study, TURNED)
    new_rules(study, rule("reversed"))
    freeze(study)
    page = client.get(reverse("release", args=[Release.objects.latest("pk").pk])).text
    assert "Of 2 participants, 0 were marked as invalid and 1 are left out by a rule" in page
    assert "answered in the reversed direction" in page
    assert "above 0.5" in page


def test_other_rules_give_other_labels_from_the_same_answers_and_back(study):
    take_part(study)
    take_part(study, TURNED)
    first = freeze(study)
    excluding = new_rules(study, rule("reversed"))
    second = freeze(study)
    assert second.manifest["rules"]["protocol_sha256"] == excluding.sha256
    assert second.rules == [asdict(rule("reversed"))]
    assert second.manifest["rules"]["sha256"] == sha256_json(second.rules)
    lenient = new_rules(study, rule("reversed", excludes=False))
    third = freeze(study)
    assert third.manifest["rules"]["protocol_sha256"] == lenient.sha256
    assert labelled(first) == labelled(third) != labelled(second)
    given = [
        sorted(row["payload"] for row in rows(release, "responses")) for release in (first, second, third)
    ]
    assert given[0] == given[1] == given[2]


def test_a_new_version_with_the_same_rules_makes_no_new_release(study):
    take_part(study)
    freeze(study)
    new_rules(study, *Answers(study).rules)
    with pytest.raises(Conflict, match="Nothing has changed"):
        freeze(study)


def test_where_a_rule_excludes_everybody_only_mixup_is_left(study):
    take_part(study, TURNED)
    new_rules(study, rule("reversed"))
    release = freeze(study)
    assert release.policies == ("label_smoothing", "mixup")
    assert len(rows(release, "responses")) == 6


def test_a_measure_that_cannot_be_said_excludes_nobody(study):
    take_part(study, "cannot tell")
    new_rules(study, rule("one_key"), rule("untouched"), rule("too_fast"))
    (row,) = people(freeze(study))
    assert row["excluded_by"] == ["one_key"]
    assert row["measures"]["untouched"] is None  # "I cannot tell" needs no control


# --- marked by a researcher


def test_an_invalid_person_is_in_the_release_and_in_no_label(study):
    take_part(study)
    bad = take_part(study, TURNED)
    bad.invalid_at, bad.invalid_reason = timezone.now(), "Ann Doe told us that she guessed."
    bad.save()
    new_rules(study, rule("reversed"))
    release = freeze(study)
    _good, row = people(release)
    assert (row["invalid"], row["excluded_by"]) == (True, ["reversed"])
    theirs = [r for r in rows(release, "responses") if r["participant"] == row["participant"]]
    assert {r["not_counted"] for r in theirs} == {"invalid"}
    assert labelled(release) == {(1, 0.0)}
    assert release.manifest["left_out"] == {"invalid": 1, "excluded": 0}  # counted once
    for path in release.directory.rglob("*"):  # a reason may say who it was
        assert path.is_dir() or b"Ann Doe" not in path.read_bytes()
    bad.invalid_at = None
    bad.save()
    new_rules(study)
    assert labelled(freeze(study)) != labelled(release)


def test_who_finished_without_a_place_counts_and_says_so(study):
    take_part(study)
    extra = take_part(study)
    Participation.objects.filter(pk=extra.pk).update(slot=None)
    release = freeze(study)
    assert [row["over_quota"] for row in people(release)] == [False, True]
    assert labelled(release) == {(2, 0.0)}


# --- modes and levels


def test_nothing_of_a_pilot_or_a_preview_is_released(study):
    take_part(study)
    for mode in (Mode.PILOT, Mode.PREVIEW):
        person = take_part(study, TURNED)
        Participation.objects.filter(pk=person.pk).update(mode=mode)
    live = Unit.objects.filter(batch__study=study)
    batch = Batch.objects.create(study=study, ordinal=9, mode=Mode.PILOT)
    release = freeze(study)
    assert release.manifest["counts"] == {"participants": 1, "responses": 6, "mixed_images": 6}
    assert labelled(release) == {(1, 0.0)}
    live.update(batch=batch)  # as if the material had been shown in the pilot only
    assert mixed_images_of(study) == []


def test_a_study_with_a_pilot_only_has_nothing_to_release(study):
    person = take_part(study)
    Participation.objects.filter(pk=person.pk).update(mode=Mode.PILOT)
    with pytest.raises(Conflict):
        freeze(study)


def test_levels_are_a_column_of_people_and_of_answers(make_study):
    asked = Factor("asked", "between", (Level("you"), Level("others", {"perspective": "100 others"})))
    study = make_study(factors=(asked,))
    met = [take_part(study).levels for _ in range(4)]
    assert sorted(levels["asked"] for levels in met) == ["others", "others", "you", "you"]
    release = freeze(study)
    assert release.factors == [{"name": "asked", "varies": "between", "levels": ["you", "others"]}]
    levels = {row["participant"]: row["level_asked"] for row in people(release)}
    assert sorted(levels.values()) == ["others", "others", "you", "you"]
    conditions = {row["condition"]: row["perspective"] for row in rows(release, "conditions")}
    belongs = {row["perspective"]: row["level_asked"] for row in rows(release, "conditions")}
    assert belongs == {"100 others": "others", "you": "you"}
    for row in rows(release, "responses"):
        assert row["level_asked"] == levels[row["participant"]]
        others = levels[row["participant"]] == "others"
        assert conditions[row["condition"]] == ("100 others" if others else "you")
        assert row["protocol_sha256"] == study.protocol.sha256


def test_a_level_that_changes_no_question_belongs_to_no_condition(make_study):
    told = Factor("told", "between", (Level("shortly"), Level("twice", {"instructions": ["Look.", "Look."]})))
    study = make_study(factors=(told,))
    for _ in range(2):
        take_part(study)
    release = freeze(study)
    assert [row["level_told"] for row in rows(release, "conditions")] == [None]
    assert {row["level_told"] for row in rows(release, "responses")} == {"shortly", "twice"}


def test_an_answer_is_read_as_the_levels_of_its_trial_asked(make_study):
    """Everybody meets sliders about a mixed image and the grid of its pair."""
    way = Factor("way", "within", (Level("share"), Level("middle", {"interface": "select_shuffled"})))
    design = Design(
        n_mixed_images=6,
        lambdas_e4=(2500, 5000, 7500),
        trials_per_person=6,
        repeats=0,
        answers_per_unit=2,
    )
    study = make_study(factors=(way,), design=design)
    take_part(study)
    release = freeze(study)
    keys = {row["key"]: row for row in rows(release, "mixed_images")}
    pairs = {f"{row['first_index']}-{row['second_index']}" for row in keys.values()}
    assert len(keys) == 3 * len(pairs)  # of every pair, every λ
    said = rows(release, "responses")
    assert len(said) == 6
    for row in said:
        if row["level_way"] == "middle":
            assert (row["unit"], row["perceived_midpoint"], row["perceived_lambda"]) == ("pair", 0.5, None)
            assert row["key"] in pairs
        else:
            assert (row["unit"], row["perceived_midpoint"]) == ("mixed_image", None)
            assert row["perceived_lambda"] == pytest.approx(keys[row["key"]]["lambda_e4"] / 10_000)
    assert {row["unit"] for row in said} == {"pair", "mixed_image"}
    assert "level_way" not in people(release)[0]
    (labels,) = [entry for entry in release.label_sets if entry["policy"] == "human_lambda"]
    assert labels["condition"] in {row["condition"] for row in said if row["unit"] == "mixed_image"}


# --- imported answers


@pytest.fixture
def imported(image_set, tmp_path):
    return import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR).study


def test_an_imported_fifty_that_nobody_was_sure_of_is_flagged_and_counts(imported):
    release = freeze(imported)
    said = [
        (row["participant"], json.loads(row["payload"]), json.loads(row["flags"]), row["not_counted"])
        for row in rows(release, "responses")
    ]
    doubtful = [(who, payload, why) for who, payload, flags, why in said if "cannot_tell?" in flags]
    fifty = {"cannot_tell": False, "mixing_percent": 50, "confidence_percent": 50}
    assert doubtful == [("ann", fifty, None)]  # not ben's, who was sure by 70
    assert all(not row["over_quota"] for row in people(release))


def test_measures_of_imported_people_are_stored_with_them(imported):
    stored = {one.public_id: one.measures for one in imported.participations.all()}
    assert set(stored) == {"ann", "ben", "cid"}
    assert all(set(measures) >= {"reversed", "one_key"} for measures in stored.values())


# --- speed


def test_reading_the_answers_takes_a_constant_number_of_queries(study):
    take_part(study)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            list(Answers(study).stored())
        return len(captured)

    before = queries()
    take_part(study)
    take_part(study, TURNED)
    assert queries() == before <= 15

"""Mixed images on which a model, people and mixup disagree: the page, the study that is made of them, its labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from elicitation.flow.simulation import simulate_participant
from elicitation.mixes.design import Recipe, deal_design
from elicitation.studies.models import Study
from elicitation.studies.opening import open_study
from elicitation.studies.plans import plan_of_study
from elicitation.studies.toml import read_study
from elicitation.studies.toml_writing import study_file
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token, set_membership
from hilmix.core.judgements import Answer, ClassMass, PerceivedLambda, Unit
from hilmix.core.softlabels import fit_shrinkage
from hilmix.errors import Conflict, Invalid
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from tests.training.asked_again import answered_again, finished
from tests.training.doing import do
from tests.training.test_mixed import asked as held_out_images
from tests.training.test_mixed import judged
from training.followups.estimating import Image, estimated
from training.followups.figures import _reading, figures_of
from training.followups.models import FollowUp
from training.followups.picking import pick
from training.followups.services import Asked, create_follow_up, queue_estimate
from training.reports.mixing.figures import response_of_arms
from training.reports.mixing.keeping import Kept
from training.reports.mixing.measuring import mixes_of, told_of

ASKED = Asked("mixup", "all", 3, 2, "again", "Again")


@pytest.fixture
def experiment(release):
    return finished(release)


def test_the_rules_images_are_certain_and_the_others_as_likely_as_each_other():
    order = np.array([7, 2, 9, 4, 0, 1, 3, 5, 6, 8])
    picked = pick(order, 3, seed=1)
    assert picked.by_rule.tolist() == [7, 2, 9]
    assert not set(picked.at_random) & {7, 2, 9}
    assert picked.probability == 3 / 7
    drawn = np.bincount(np.concatenate([pick(order, 3, seed).at_random for seed in range(700)]), minlength=10)
    assert drawn[[7, 2, 9]].sum() == 0
    assert np.allclose(drawn[order[3:]] / 700, 3 / 7, atol=0.07)
    with pytest.raises(Invalid):
        pick(order, 6, seed=1)


def test_disagreement_is_the_total_variation_of_the_distributions_and_the_response_that_of_the_first_parent():
    held = judged(held_out_images(40), 2.0, seeds=(0, 1))
    mixes = mixes_of(held)
    p = np.exp(held.log_p).mean(axis=0)
    people, share = held.images.labels, held.images.share
    mixup = np.stack([share, 1 - share, 0 * share], axis=1)
    apart = [np.abs(a - b).sum(axis=1) / 2 for a, b in ((p, people), (p, mixup), (people, mixup))]
    assert np.allclose(mixes.scores["all"], np.mean(apart, axis=0))
    assert np.allclose(mixes.scores["model_people"], apart[0])
    assert (np.diff(mixes.scores["all"][mixes.order["all"]]) <= 0).all()
    told = json.loads(json.dumps(told_of(mixes, held.seeds)))
    level = next(one for one in told["all"]["levels"] if one["share"] == 0.5)
    single = np.exp(held.log_p)
    single = (single[:, :, 0] / single[:, :, :2].sum(axis=2))[:, share == 0.5]
    assert level["model"][0] == pytest.approx(single.mean())
    assert level["people"][0] == pytest.approx(people[share == 0.5, 0].mean())
    assert level["n"] == level["n_people"] == (share == 0.5).sum()


def test_class_pairs_are_turned_so_that_the_lower_class_is_first():
    images = held_out_images(20, shares=(0.25,))
    back = replace(
        images,
        first=images.second,
        second=images.first,
        share=1 - images.share,
    )
    one, other = (told_of(mixes_of(replace(judged(images, 1.0), images=of)), (0,)) for of in (images, back))
    assert one["pairs"][0]["levels"][0]["people"] == pytest.approx(other["pairs"][0]["levels"][0]["people"])
    assert one["pairs"][0]["pair"] == other["pairs"][0]["pair"] == [0, 1]


def test_recipes_are_dealt_so_that_nobody_sees_a_parent_twice():
    recipes = [Recipe(i, 20 + i // 2, 2500) for i in range(14)]  # two share each second parent
    batches = deal_design(recipes=recipes, batch_size=5, seed=3)
    assert {recipe for batch in batches for recipe in batch} == set(recipes)
    for batch in batches:
        assert len(batch) == 5
        assert len({index for recipe in batch for index in recipe.parents}) == 10
    with pytest.raises(Invalid, match="share a parent"):
        deal_design(recipes=[Recipe(0, i, 5000) for i in range(1, 5)], batch_size=2, seed=0)


def test_a_follow_up_keeps_rule_model_release_and_probabilities_and_asks_about_these_images(experiment):
    follow_up = create_follow_up(experiment=experiment, asked=ASKED, actor=OPERATOR)
    study, images = follow_up.study, list(follow_up.images.all())
    assert (follow_up.release, follow_up.run.arm.name) == (experiment.release, "mixup")
    assert follow_up.rule["name"] == "all"
    assert [one.picked_as for one in images] == ["rule"] * 3 + ["random"] * 3
    assert {one.inclusion_probability for one in images[:3]} == {1.0}
    n_rest = follow_up.rule["of"] - 3
    assert {one.inclusion_probability for one in images[3:]} == {3 / n_rest}
    assert min(one.score for one in images[:3]) >= max(one.score for one in images[3:])
    assert study.source == "simulated"
    table = experiment.release.opened.table("mixed_images").to_pylist()
    open_study(study=study, actor=OPERATOR)
    asked = {unit.mixed_image.sha256 for batch in study.batches.all() for unit in batch.units.all()}
    assert asked == {table[one.row]["sha256"] for one in images}, "the very pixels of the release"
    assert AuditEvent.objects.filter(action="study.follow_up").exists()


def test_named_images_go_through_a_file_and_no_example_or_check_shows_a_parent(experiment):
    study = create_follow_up(experiment=experiment, asked=ASKED, actor=OPERATOR).study
    plan = plan_of_study(study)
    assert read_study(study_file(plan), slug="once-more").plan.design == plan.design
    parents = {index for *pair, _share in plan.design.mixed_images for index in pair}
    assert len(plan.design.mixed_images) == 6
    assert not parents & set(plan.design.example_images)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"n": 50}, "n"), ({"rule": "other"}, "rule"), ({"arm": "none"}, "arm"), ({"slug": "small"}, "slug")],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(experiment, change, field):
    with pytest.raises(Invalid) as refusal:
        create_follow_up(experiment=experiment, asked=replace(ASKED, **change), actor=OPERATOR)
    assert field in refusal.value.fields
    assert not FollowUp.objects.exists()
    assert Study.objects.count() == 1


def unit(key, value, n, seed, shift=0.0, spread=0.1, lambda_e4=5000, who="p"):
    rng = np.random.default_rng(seed)
    said = np.clip(value + shift + rng.normal(0, spread, n), 0, 1)
    return Unit(
        key,
        lambda_e4,
        0,
        1,
        tuple(Answer(f"{who}{at}", PerceivedLambda(float(one))) for at, one in enumerate(said)),
    )


def picked_on_noise(n=400, n_old=2, n_new=6):
    """Images of λ = ½ that people see as they were mixed, of which the rule picks those said to lie furthest out."""
    olds = [unit(f"u{k}", 0.5, n_old, [k, 0], spread=0.2) for k in range(n)]
    means = np.array([np.mean([one.judgement.value for one in old.answers]) for old in olds])
    picked = pick(np.argsort(-np.abs(means - 0.5), kind="stable"), 60, seed=5)
    return olds, [
        Image(
            int(place), how, probability, 0.5, float(means[place]), olds[place],
            unit(f"u{place}", 0.5, n_new, [int(place), 1], spread=0.2, who="new"),
        )
        for how, probability, places in (
            ("rule", 1.0, picked.by_rule),
            ("random", picked.probability, picked.at_random),
        )
        for place in places
    ]  # fmt: skip


def test_what_was_picked_on_noise_regresses_to_the_mean_and_is_told():
    olds, images = picked_on_noise()
    told = json.loads(json.dumps(estimated(images, olds, 3)))
    sets = {(one["set"], one["to"]): one for one in told["sets"]}
    rule, random = sets["rule", "model"], sets["random", "model"]
    assert rule["before"][0] > 0.2
    assert rule["after"][1] < 0 < rule["after"][2], "nothing is left"
    assert random["before"][0] < rule["before"][0]
    more = told["falls"][0]["more"]
    assert more[1] > 0, "the rule's set fell more"
    frame = told["frame"][0]["after"]
    assert frame[1] < 0 < frame[2]
    assert told["frame"][0]["n"] == 400
    reading = figures_of(told, "x")[0].reading
    assert "old answers overstate its distance" in reading
    assert reading.endswith("part of what the rule picked was luck.")
    assert "overstate" not in figures_of(told, "x", simulated=True)[0].reading
    by_key = {one["key"]: one for one in told["labels"]}
    fit = fit_shrinkage(olds)
    one = images[0]
    said = [answer.judgement.value for answer in (*one.old.answers, *one.new.answers)]
    expected = fit.expected(5000) + fit.weight(8) * (np.mean(said) - fit.expected(5000))
    label = by_key[one.new.key]
    assert label["shrunk"] == pytest.approx(expected)
    assert label["new"] == pytest.approx(np.mean([answer.judgement.value for answer in one.new.answers]))
    assert (label["n_old"], label["n_new"]) == (2, 6)


def test_what_people_truly_see_otherwise_stays():
    olds = [unit(f"u{k}", 0.5, 8, [k, 0], shift=0.3 * (k < 30), spread=0.05) for k in range(90)]
    images = [
        Image(k, "rule" if k < 30 else "random", 1.0 if k < 30 else 0.5, 0.5,
              float(np.mean([one.judgement.value for one in olds[k].answers])), olds[k],
              unit(f"u{k}", 0.5, 8, [k, 1], shift=0.3 * (k < 30), spread=0.05, who="new"))
        for k in range(60)
    ]  # fmt: skip
    told = estimated(images, olds, 3)
    rule = told["sets"][0]
    assert rule["after"][0] > 0.25
    low, high = told["falls"][0]["more"][1:]
    assert low < 0.03
    assert high > -0.06
    assert "cannot be told from chance" in figures_of(told, "x")[0].reading


def test_the_mean_of_all_counts_each_image_by_its_inclusion_probability_whoever_answered():
    """400 images, of which 60 lie 0.3 from the model and the others 0.05; half of the rule's are not answered yet."""
    olds, images = [], []
    for k in range(120):
        is_rule, far = k < 60, 0.3 if k < 60 else 0.05
        olds.append(unit(f"u{k}", 0.5, 4, [k, 0], shift=far, spread=0.01))
        old = float(np.mean([one.judgement.value for one in olds[k].answers]))
        new = unit(f"u{k}", 0.5, 0 if is_rule and k % 2 else 4, [k, 1], shift=far, spread=0.01, who="new")
        how, probability = ("rule", 1.0) if is_rule else ("random", 60 / 340)
        images.append(Image(k, how, probability, 0.5, old, olds[k], new))
    told = estimated(images, olds, 3)
    assert told["n_answered"] == 90
    frame = told["frame"][0]
    assert frame["n"] == 400
    assert frame["after"][0] == pytest.approx((60 * 0.3 + 340 * 0.05) / 400, abs=0.003)
    assert frame["after"][1] < frame["after"][0] < frame["after"][2]


def test_answers_about_classes_are_shares_without_an_interval_and_nothing_is_shrunk_with_them():
    olds = [unit(f"u{k}", 0.5, 4, [k, 0]) for k in range(4)]
    masses = (ClassMass(((0, 0.4), (1, 0.2)), frozenset()), ClassMass(((0, 0.5), (1, 0.1)), frozenset()))
    said = tuple(Answer(f"new{at}", mass) for at, mass in enumerate(masses))
    images = [
        Image(k, "rule" if k < 2 else "random", 1.0, 0.5, 0.5, olds[k], replace(olds[k], answers=said))
        for k in range(4)
    ]
    told = estimated(images, olds, 3)
    label = told["labels"][0]
    assert label["new"] == pytest.approx(0.45 / 0.6)
    assert label["interval"] is None, "of the first class it would lie around 0.45"
    assert label["shrunk"] is None
    assert "not asked for a share" in told["shrunk"]["why"]


def test_a_rise_is_said_with_a_true_minus():
    told = {
        "sets": [
            {"set": "rule", "to": "model", "before": [0.25], "after": [0.26], "fall": [-0.004, -0.156, 0.149]}
        ],
        "falls": [{"to": "model", "more": [0.0, -0.16, 0.161]}],
    }
    said = _reading(told, simulated=True)
    assert "fell by −0.004 [−0.156, 0.149], 0.000 [−0.160, 0.161] more than the random one" in said


def test_labels_are_estimated_by_a_job_from_new_answers(experiment, client, admin):
    follow_up = create_follow_up(experiment=experiment, asked=ASKED, actor=admin)
    with pytest.raises(Conflict, match=f"Nobody.*study answer {follow_up.study.slug}"):
        queue_estimate(follow_up=follow_up, actor=admin)
    open_study(study=follow_up.study, actor=OPERATOR)
    for seed in range(2):
        simulate_participant(study=follow_up.study, seed=100 + seed)
    client.force_login(admin)
    page = f"/experiments/follow-ups/{follow_up.pk}/"
    shown = client.get(page).content.decode()
    assert "Not estimated yet" in shown
    assert f"study answer {follow_up.study.slug}" in shown
    assert client.post(f"{page}estimate/").status_code == 302
    do(Job.objects.get(kind="estimate_follow_up"), Progress())
    shown = client.get(page).content.decode()
    assert "12 new answers to 6 of 6 images" in shown
    assert "simulated" in shown
    csv = client.get(f"{page}?figure=labels_again.csv")
    assert csv.status_code == 200
    assert len(csv.content.decode().strip().splitlines()) >= 7
    assert "Contains withdrawn data" not in shown
    gone = follow_up.study.participations.first()
    Response.objects.filter(trial__participation=gone).delete()
    follow_up.study.participations.filter(pk=gone.pk).update(state="withdrawn", withdrawn_at=timezone.now())
    assert "taken their answers back since the labels were estimated" in client.get(page).content.decode()
    assert (
        client.get(follow_up.study.get_absolute_url()).content.decode().count("Follows up on an experiment")
        == 1
    )


@pytest.mark.parametrize(
    ("n", "said"),
    [(2, "0.00 for arm 0, 0.10 for arm 1"), (6, "0.00 (arm 0) to 0.50 (arm 5) for 6 arms")],
)
def test_of_many_arms_the_reading_of_the_response_names_the_flattest_and_the_steepest(n, said):
    arms = {
        f"arm {k}": {
            "n": 9,
            "all": {
                "levels": [
                    {"share": share, "n": 9, "model": [0.5 + share * k / 10, 0.4, 0.6], "people": None}
                    for share in (0.0, 1.0)
                ],
            },
        }
        for k in range(n)
    }
    reading = response_of_arms({"arms": arms}, "s").reading
    assert reading == f"Of a change of λ between its ends this much is seen: {said}; all of it would be 1."


def test_the_page_shows_response_and_images_and_makes_the_study(
    experiment, client, admin, django_assert_max_num_queries
):
    client.force_login(admin)
    address = f"/experiments/{experiment.pk}/mixed/"
    client.get(address)
    with django_assert_max_num_queries(10):
        shown = client.get(address, {"arm": "human_lambda_shrunk", "by": "people_mixup"}).content.decode()
    assert "people disagree" not in shown.split("<h1>")[0]
    assert shown.count('class="pixels"') == 10
    assert client.get(address, {"figure": "mixing_response.csv"}).status_code == 200
    assert client.get(address, {"figure": "nothing.csv"}).status_code == 404
    said = {"arm": "mixup", "rule": "all", "n": "3", "answers": "2", "slug": "again", "title": "Again"}
    refused = client.post(address, {**said, "n": "40"})
    assert refused.status_code == 400
    assert "are drawn at random of" in refused.content.decode()
    made = client.post(address, said)
    assert made.status_code == 302
    assert Study.objects.get(slug="again").follow_up.rule["picked"] == 3
    assert "How its images were picked" in client.get(made["Location"]).content.decode()


def test_the_page_names_its_one_seed_and_answers_that_lie_at_the_other_parent(experiment, client, admin):
    client.force_login(admin)
    address = f"/experiments/{experiment.pk}/mixed/"
    mixing = experiment.report.content["mixing"]
    arm = next(iter(mixing["arms"]))
    kept = Kept(experiment.pk, mixing, arm)
    before = client.get(address).content.decode()
    assert "their probabilities are of seed 0. All" in before
    assert 'id="few-images"' in before, "ten images are few"
    people, share, classes = np.array(kept["people"]), np.array(kept["share"]), kept["classes"]
    places = np.arange(len(share))
    people[:] = 0
    people[places, classes[:, 0]], people[places, classes[:, 1]] = share, 1 - share
    clear = int(np.abs(share - 0.5).argmax())
    share[clear] = 0.9
    people[clear, classes[clear]] = 0.16, 0.84
    for name, values in (("people", people), ("share", share)):
        np.save(kept.folder / f"{kept.number}-{name}.npy", values)
    shown = " ".join(client.get(address).content.decode().split())
    assert "On 1 image of this page (marked ⇄)" in shown
    assert f'{experiment.release.study.slug}/responses/"' in shown
    assert shown.count("May be swapped") == 1


def test_the_page_says_what_is_missing(release, client, admin, config):
    from training.experiments.services import create_experiment

    client.force_login(admin)
    experiment = create_experiment(config=config, actor=OPERATOR)
    assert "no report yet" in client.get(f"/experiments/{experiment.pk}/mixed/").content.decode()


def test_who_may_only_look_at_the_study_sees_the_page(experiment, client, researcher):
    client.force_login(researcher)
    assert client.get(f"/experiments/{experiment.pk}/mixed/").status_code == 200


@pytest.fixture
def api(admin):
    client = APIClient()
    client.force_authenticate(admin)
    return client


WISH = {"arm": "mixup", "rule": "all", "n": 3, "answers": 2, "slug": "again", "title": "Again", "seed": 4}


def test_a_program_makes_a_follow_up_and_reads_it_and_its_labels(experiment, api, admin):
    address = reverse("api_follow_ups", args=[experiment.pk])
    made = api.post(address, WISH, format="json")
    assert made.status_code == 201, made.json()
    told = made.json()
    follow_up = FollowUp.objects.get(pk=told["id"])
    assert (told["study"], told["seed"], told["created_by"]) == ("again", 4, admin.username)
    assert told["rule"] == {name: value for name, value in follow_up.rule.items() if name != "before"}
    assert [one["picked_as"] for one in told["images"]] == ["rule"] * 3 + ["random"] * 3
    assert told["images"][5]["inclusion_probability"] == 3 / (told["rule"]["of"] - 3)
    assert 0 <= told["images"][0]["model"] <= 1
    assert told["labels"] is None
    assert "simulated" in told["watermark"]
    assert [one["id"] for one in api.get(address).json()["results"]] == [told["id"]]
    one = made["Location"]
    estimate = reverse("api_estimate_follow_up", args=[told["id"]])
    assert "Nobody has taken part" in api.post(estimate).json()["detail"]
    answered_again("again", 2)
    queued = api.post(estimate)
    assert queued.status_code == 202
    do(Job.objects.get(pk=queued.json()["id"]), Progress())
    told = api.get(api.get(queued["Location"]).json()["result"]).json()
    assert api.get(one).json() == told
    assert told["labels"]["n_answers"] == 12
    assert {label["row"] for label in told["labels"]["labels"]} == {image["row"] for image in told["images"]}
    assert (told["n_withdrawn"], told["n_withdrawn_since"]) == (0, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"n": 50}, "n"), ({"rule": "other"}, "rule"), ({"arm": "none"}, "arm"), ({"slug": "small"}, "slug"),
     ({"title": " "}, "title"), ({"seed": -1}, "seed"), ({"n": "many"}, "n")],
)  # fmt: skip
def test_what_a_program_cannot_have_made_names_the_field_and_leaves_nothing(experiment, api, change, field):
    refused = api.post(reverse("api_follow_ups", args=[experiment.pk]), {**WISH, **change}, format="json")
    assert refused.status_code == 400
    problem = refused.json()
    assert list(problem["fields"]) == [field]
    assert not FollowUp.objects.exists()


def test_a_program_sees_follow_ups_of_its_studies_only_and_one_of_a_single_study_makes_none(
    experiment, release, admin
):
    follow_up = create_follow_up(experiment=experiment, asked=ASKED, actor=OPERATOR)
    person = User.objects.create_user("ruth", kind=User.Kind.RESEARCHER)
    set_membership(person=person, study=release.study, part="owner", actor=OPERATOR)
    list_ = reverse("api_follow_ups", args=[experiment.pk])
    one = reverse("api_follow_up", args=[follow_up.pk])

    def program(**said):
        token = create_token(person=person, name="p", **said)
        return APIClient(headers={"Authorization": f"Token {token}"})

    reads, writes = program(scope="read"), program(scope="write")
    of_one = program(scope="write", study=release.study)
    assert reads.get(list_).json()["results"] == []  # of a study that is not theirs
    assert reads.get(one).status_code == 404
    assert reads.post(list_, WISH, format="json").status_code == 403
    assert of_one.post(list_, WISH | {"slug": "more"}, format="json").status_code == 403
    assert Study.objects.count() == 2
    assert writes.post(list_, WISH | {"slug": "more"}, format="json").status_code == 201
    assert [row["study"] for row in reads.get(list_).json()["results"]] == ["more"]
    assert AuditEvent.objects.filter(action="study.follow_up", actor=person).count() == 1

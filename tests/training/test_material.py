"""From a configuration to images, labels and runs: what fits, what is refused, and that every arm gets its due."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from django.utils import timezone

from elicitation.images.services import import_human_labels
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.release_answers import units_of_release
from hilmix.errors import Invalid
from hilmix.hub.models import Release
from tests.training.conftest import quick
from training.engine.plan import make_plan
from training.experiments import labels
from training.experiments.checking import Checker
from training.experiments.config import parse_config, read_config, train_from_dict
from training.experiments.labels import Chosen
from training.experiments.material import (
    budget_of,
    data_of,
    material_of,
    resolve,
    run_plan,
    tuned_recipe,
)
from training.experiments.models import Experiment
from training.experiments.naming import find_splits, find_start
from training.experiments.services import create_experiment
from training.models import Run

pytestmark = pytest.mark.django_db

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def made(**change):
    return resolve(parse_config(quick(**change)))


def refusal(**change) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as caught:
        made(**change)
    return caught.value.fields


@pytest.fixture
def human(digits):
    """The digits with human labels: nine of ten people say what the label says."""
    smooth = 0.9 * np.eye(10)[digits.open().labels] + 0.01
    import_human_labels(image_set=digits, labels=smooth, meaning="made up", actor=OPERATOR)


# -- labels


def test_labels_that_the_release_does_not_hold_are_made_of_its_answers(release):
    material = made(arms=[{"name": "a", "policy": "random(seed=3)"}, {"policy": "mixup"}])
    record = material.records["a"]
    assert (record["name"], record["chosen"], record["derived"]) == ("random(seed=3)", {"seed": 3}, True)
    assert "derived" not in material.records["mixup"]
    n = material.data.n
    got = data_of(material, "a", seed=0).targets[-n:]
    assert np.array_equal(got, material.data.labels("random(seed=3)"))


def test_a_policy_that_cannot_be_made_is_refused_by_its_arm(release):
    problems = refusal(
        arms=[{"name": "a", "policy": "distribution"}, {"name": "b", "policy": "random(sed=1)"}]
    )
    assert len(problems["arms"]) == 2
    assert problems["arms"][0].startswith("a: ")
    assert "takes no parameter 'sed'" in problems["arms"][1]


def test_fewer_answers_are_some_of_more_and_another_seed_asks_others():
    answers = tuple(Answer(f"p{n}", PerceivedLambda(n / 10)) for n in range(8))
    units = [Unit(f"u{n}", 5000, 0, 1, answers) for n in range(5)]
    for one in units:
        kept = [{a.participant for a in Chosen(3, answers_per_image=n)(one).answers} for n in range(1, 9)]
        assert [len(some) for some in kept] == list(range(1, 9))
        assert all(less < more for less, more in pairwise(kept))
    asked = [[Chosen(seed, 2)(one).answers for one in units] for seed in (0, 1)]
    assert asked[0] != asked[1]
    assert len({tuple(a.participant for a in some) for some in asked[0]}) > 1  # not the same two everywhere


def test_an_answer_kept_brings_the_same_persons_repeat_along():
    answers = (Answer("ann", PerceivedLambda(0.1)), Answer("ben", PerceivedLambda(0.2)))
    repeat = Answer("ann", PerceivedLambda(0.3), repeat=True)
    unit = Unit("u", 5000, 0, 1, (*answers, repeat))
    for seed in range(8):
        kept = Chosen(seed, 1)(unit).answers
        assert kept in ((answers[1],), (answers[0], repeat))


def test_an_arm_of_one_answer_an_image_learns_from_one(release):
    arms = [{"name": "one", "policy": "human_lambda", "answers_per_image": 1}]
    material = made(arms=[*arms, {"name": "all", "policy": "human_lambda"}], seeds=[0, 1])
    n = material.data.n
    one, other = (data_of(material, "one", seed=seed).targets[-n:] for seed in (0, 1))
    everything = data_of(material, "all", seed=0).targets[-n:]
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, everything)
    assert np.array_equal(one, data_of(material, "one", seed=0).targets[-n:])
    shares = {}
    for unit in units_of_release(material.data):
        said = (answer.judgement for answer in unit.answers)
        # Of somebody who could not tell, nothing is learnt but λ.
        shares[unit.key] = {
            one.value if isinstance(one, PerceivedLambda) else unit.lambda_e4 / 10_000 for one in said
        }
    keys = material.data.table("mixed_images")["key"].to_pylist()
    first = material.images.labels[material.parents[:, 0]]
    for row, key in enumerate(keys):
        assert any(abs(one[row, first[row]] - share) < 1e-12 for share in shares[key])


def test_an_arm_of_some_people_learns_from_them_alone(release):
    material = made(
        arms=[{"name": "one", "policy": "human_lambda", "people": 1},
              {"name": "two", "policy": "human_lambda", "people": 2},
              {"name": "all", "policy": "human_lambda"}],
    )  # fmt: skip
    one, two, everybody = (data_of(material, name, seed=0).targets for name in ("one", "two", "all"))
    assert np.array_equal(two, everybody)  # there are two
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"answers_per_image": 3}, "no mixed image has more than 2"),
        ({"people": 3}, "only 2 answered"),
        ({"people": 1, "policy": "mixup"}, "uses no answers"),
    ],
)
def test_answers_that_were_not_given_are_refused(release, asked, words):
    assert words in refusal(arms=[{"name": "a", "policy": "human_lambda", **asked}])["arms"][0]


def test_people_of_an_arm_that_mixes_by_itself_are_those_its_labels_are_made_of(release):
    fly = {"method": "mixup", "labels": "population_curve"}
    material = made(arms=[{"name": "flying", "people": 1, "on_the_fly": fly}, *quick()["arms"]])
    condition = material.data.label_set("population_curve")["condition"]
    assert condition
    assert labels.condition_of(material, material.config.arm("flying")) == condition


def test_base_images_have_hard_labels_unless_the_arm_says_otherwise(release, human):
    material = made(arms=[{"policy": "mixup"}, {"name": "ceiling", "base_labels": "human"}])
    n = len(material.training)
    assert set(np.unique(data_of(material, "mixup", seed=0).targets[:n])) == {0.0, 1.0}
    soft = data_of(material, "ceiling", seed=0).targets
    assert len(soft) == n
    assert np.array_equal(soft, material.images.human_labels[material.training])


def test_human_labels_that_are_not_there_are_refused_where_they_are_needed(release):
    assert "no human labels" in refusal(arms=[{"name": "a", "base_labels": "human"}])["arms.base_labels"][0]
    assert "no human labels" in refusal(primary="human_kl")["primary"][0]


def test_the_primary_metric_is_settled_by_what_can_be_measured(release, digits):
    assert made().config.primary == "log_loss"
    smooth = np.full((digits.n_images, 10), 0.1)
    import_human_labels(image_set=digits, labels=smooth, meaning="made up", actor=OPERATOR)
    assert made().config.primary == "human_cross_entropy"
    assert made(primary="accuracy").config.primary == "accuracy"


# -- equal budget


def test_every_arm_of_a_seed_and_fold_has_one_plan_and_fits_in_it(release):
    material = made(
        arms=[
            {"policy": "mixup"},
            {"name": "base"},
            {"name": "few", "policy": "mixup", "mixed_share": 0.003},
            {"name": "fly", "on_the_fly": {"share": "mixed"}},
            {"name": "turned", "augment": {"rotation": 20, "flip": True}},
        ],
        holdout_mixes=0.5,
    )
    assert len(material.folds) == 2
    for fold in range(3):
        budget = budget_of(material, fold=fold)
        plans, sizes = set(), []
        for arm in material.config.arms:
            data = data_of(material, arm.name, seed=4, fold=fold)
            data.slots_in(budget)  # raises where it does not fit
            plans.add(make_plan(material.config.recipe(arm), budget=budget, seed=4).sha256)
            sizes.append((data.n_parents, data.n_mixed))
        assert len(plans) == 1
        assert len({plain for plain, _ in sizes}) == 1
        assert [mixed for _, mixed in sizes][1:] == [0, round(budget.n * 0.003), 0, 0]


def test_arms_as_unlike_as_can_be_take_the_same_steps_by_the_same_plan(release, human):
    from training.engine.loop import train

    material = made(
        arms=[
            {"policy": "human_lambda", "answers_per_image": 1},
            {"name": "ceiling", "base_labels": "human", "augment": {"crop": 0, "noise": 0.2}},
            {"name": "fly", "on_the_fly": {"labels": "population_curve", "share": "mixed"}},
            {"name": "few", "policy": "mixup", "mixed_share": 0.1},
        ],
        train={**quick()["train"], "mixed_share": 0.25},
    )
    results = [
        train(
            material.config.recipe(arm),
            data_of(material, arm.name, seed=2),
            seed=2,
            budget=budget_of(material),
        )
        for arm in material.config.arms
    ]
    assert len({result.plan_sha256 for result in results}) == 1
    assert len({result.n_steps for result in results}) == 1
    floors = [result.curves[0]["train_floor"] for result in results]
    assert len(set(floors)) == 4  # and yet they learn different things


def test_a_smaller_share_of_mixed_images_leaves_the_places_of_the_others_to_base_images(release):
    arms = [{"policy": "mixup"}, {"name": "few", "policy": "mixup", "mixed_share": 0.004}]
    material = made(arms=arms)
    budget = budget_of(material)
    plan = make_plan(replace(material.config.train, batch_size=64), budget=budget, seed=0)
    data = data_of(material, "few", seed=0)
    images = plan.images(0, data.slots_in(budget), data.n_parents, data.plain_for_mixed)
    own = np.bincount(images[images >= data.n_parents] - data.n_parents, minlength=data.n_mixed)
    assert 0 < data.n_mixed < budget.n_mixed
    assert own.max() == 1  # in no other's place
    more = made(arms=[arms[0], {**arms[1], "mixed_share": 0.006}])
    assert set(data.slots) < set(data_of(more, "few", seed=0).slots)


def test_a_share_that_cannot_be_is_refused(release):
    arms = [{"name": "a", "policy": "mixup", "mixed_share": 0.5}]
    assert "raise train.mixed_share" in refusal(arms=arms)["arms.mixed_share"][0]
    arms[0]["mixed_share"] = 0.0001
    assert "less than one of 10" in refusal(arms=arms)["arms.mixed_share"][0]


def test_places_of_mixed_images_are_mixed_at_only_where_some_arm_has_them(release):
    arms = [{"name": "fly", "on_the_fly": {"share": "mixed"}}]
    assert "no arm has mixed images" in refusal(arms=arms)["arms.on_the_fly"][0]


def test_an_arm_labels_its_own_mixtures_by_the_curve_of_the_release(release):
    arms = [{"name": "fly", "on_the_fly": {"labels": "population_curve"}}, {"policy": "mixup"}]
    material = made(arms=arms)
    shown, shares = data_of(material, "fly", seed=0).perceived.curve
    stated = material.data.label_set("population_curve")["params"]["curve"]
    assert dict(zip(map(str, shown), shares, strict=True)) == stated
    assert data_of(material, "mixup", seed=0).perceived is None


def test_a_warp_that_so_few_answers_cannot_give_is_refused_when_entered(release):
    arms = [{"name": "fly", "on_the_fly": {"labels": "perceptual_warp"}}]
    assert refusal(arms=arms)["arms"][0].startswith("fly: ")


# -- what is held out


def test_validation_images_are_no_parents_and_leave_training(release):
    material = made(validation=50)
    split = material.images.splits["train"]
    assert len(material.validation) == 50
    assert not np.isin(material.validation, material.parents).any()
    assert np.array_equal(np.union1d(material.training, material.validation), split)
    assert len(material.training) + 50 == len(split)
    assert np.array_equal(made(validation=50, seeds=[5]).validation, material.validation)
    assert set(made(validation=20).validation) < set(material.validation)
    data = data_of(material, "mixup", seed=0)
    assert np.array_equal(data.validation_labels, material.images.labels[material.validation])
    assert (material.watched, made().watched) == ("validation", "evaluation")


def test_more_validation_images_than_are_free_are_refused(release):
    assert "parents of no mixed image" in refusal(validation=5000)["validation"][0]
    assert "no split 'dev'" in refusal(validation="dev")["validation"][0]


def test_what_is_judged_on_a_split_of_one_image_can_be_found():
    splits = {"train": np.arange(10), "test": np.arange(10, 20), "one": np.array([20])}
    images = SimpleNamespace(name="digits", splits=splits)
    for key in ("validation", "evaluate_on"):
        check = Checker()
        find_splits(check, parse_config(quick(**{key: "one"})), images, np.empty((0, 2), np.int64))
        assert not check.problems, "new experiments are refused elsewhere; what there is goes on"


def test_no_fold_trains_on_what_it_holds_out_or_on_its_parents(release):
    material = made(holdout_mixes=0.5, validation=10)
    held = [fold.held_out for fold in material.folds]
    assert sorted(np.concatenate(held)) == list(range(material.data.n))
    for number, fold in enumerate(material.folds, 1):
        withdrawn = np.unique(material.parents[fold.held_out])
        assert not np.isin(material.base_of(number), withdrawn).any()
        assert not np.isin(material.parents[material.mixed_of(number)], withdrawn).any()
        assert len(material.base_of(number)) == len(material.training) - len(withdrawn)
        data = data_of(material, "mixup", seed=0, fold=number)
        assert data.n_mixed == material.data.n - len(fold.held_out)
        everything = data_of(material, "mixup", seed=0)
        assert np.array_equal(
            data.targets[-data.n_mixed :], everything.targets[-material.data.n :][fold.training]
        )


def test_labels_of_a_fold_are_made_without_the_answers_that_it_is_judged_by(release):
    """g(λ) of all answers would tell a model what people said of the images that it is judged on."""
    material = made(holdout_mixes=0.5)
    whole = data_of(material, "human_lambda_shrunk", seed=0).targets[-material.data.n :]
    for number, fold in enumerate(material.folds, 1):
        data = data_of(material, "human_lambda_shrunk", seed=0, fold=number)
        assert not np.allclose(data.targets[-data.n_mixed :], whole[fold.training])


def test_too_few_groups_to_hold_out_are_refused(release):
    assert "cannot be held out" in refusal(holdout_mixes=0.05)["holdout_mixes"][0]


def test_near_duplicates_across_splits_are_looked_for_and_told(release):
    assert "not assessed" in made().near_duplicates.sentence  # of 8 × 8 pixels


# -- runs


def test_the_example_of_augmentations_fits_the_digits(release):
    config = replace(read_config(EXAMPLES / "augmentation.toml"), release="small")
    material = resolve(config)
    assert budget_of(material).n_mixed == 0
    assert [run.arm for run in run_plan(config)][:3] == ["A none", "B several", "C from A with flips"]
    none, several, flips = config.arms
    assert not config.equal_budget(flips.name, none.name)
    assert config.equal_budget(several.name, none.name)
    assert config.recipe(flips).augment == replace(config.recipe(none).augment, flip=True)


def test_runs_come_seed_by_seed_with_parents_and_candidates_first(release):
    config = parse_config(
        quick(
            arms=[{"name": "c", "start_from": "a", "seeds": [1]}, {"name": "a", "policy": "mixup"}],
            seeds=[0, 1],
            validation=9,
            holdout_mixes=0.5,
            tune={"lr": [0.1, 0.2]},
        )
    )
    plan = run_plan(config)
    assert [(run.arm, run.seed, run.fold, run.candidate) for run in plan] == [
        ("a", 0, 0, 1), ("a", 0, 0, 2), ("a", 0, 0, 0), ("a", 0, 1, 0), ("a", 0, 2, 0),
        ("a", 1, 0, 0), ("c", 1, 0, 1), ("c", 1, 0, 2), ("c", 1, 0, 0),
        ("a", 1, 1, 0), ("c", 1, 1, 0), ("a", 1, 2, 0), ("c", 1, 2, 0),
    ]  # fmt: skip
    assert [run.train.lr for run in plan[:3]] == [0.1, 0.2, 0.1]


def test_an_arm_is_tuned_to_the_best_of_its_candidates(release):
    material = made(validation=9, tune={"lr": [0.1, 0.2, 0.3]}, primary="log_loss")
    config = material.config
    assert tuned_recipe(config, "mixup", {1: 0.9, 2: 0.5, 3: 0.7}).lr == 0.2
    assert tuned_recipe(config, "mixup", {1: 0.5, 2: 0.5, 3: None}).lr == 0.1
    better = replace(config, primary="accuracy")
    assert tuned_recipe(better, "mixup", {1: 0.9, 2: 0.5, 3: 0.7}).lr == 0.1
    with pytest.raises(DataError, match="no point of the grid has the metric log_loss"):
        tuned_recipe(config, "mixup", {1: None, 2: None, 3: None})


def test_an_experiment_keeps_its_arms_and_how_each_run_is_trained(release):
    arms = [{"name": "base"}, {"policy": "mixup", "augment": {"rotation": 9}, "mixed_share": 0.004}]
    config = parse_config(quick(arms=arms, contrasts=[{"arm": "base", "against": "mixup"}]))
    experiment = create_experiment(config=config, actor=OPERATOR)
    base, mixup = experiment.arms.all()
    assert (base.policy, base.params, mixup.params["policy"]) == ("", {}, "mixup")
    assert mixup.settings["augment"] == {"rotation": 9.0}
    run = mixup.runs.get()
    assert train_from_dict(run.train) == config.recipe(config.arms[1])
    assert run.train["arm"] == mixup.settings
    assert experiment.parsed.primary == "log_loss"
    again = material_of(experiment)
    assert (again.release, again.config.arms) == (release, config.arms)


@pytest.mark.parametrize(
    "change",
    [
        {"contrasts": [{"arm": "mixup", "against": "human_lambda_shrunk"}]},
        {"primary": "accuracy"},
        {"exclude": ["diverged"]},
        {"robustness": ["pgd"]},
        {"validation": 9},
    ],
)
def test_what_is_fixed_before_the_first_run_makes_another_experiment(release, change):
    assert made(**change).identity() != made().identity()
    assert made(primary="log_loss").identity() == made().identity()  # said or settled


# -- starting from a run


@pytest.fixture
def finished(release):
    """A run of another experiment that is finished, of the arm mixup."""
    experiment = create_experiment(config=parse_config(quick(name="first")), actor=OPERATOR)
    run = Run.objects.filter(arm__experiment=experiment).first()
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now())
    run.refresh_from_db()
    return run


def starting(run, **change):
    return parse_config(quick(arms=[{"name": "on", "start_from": run.pk}], **change))


def test_an_arm_may_start_from_a_finished_run_of_the_same_net(finished):
    material = resolve(starting(finished))
    assert material.starts == {"on": finished}
    assert material_of(create_experiment(config=starting(finished), actor=OPERATOR)).starts == {
        "on": finished
    }
    with pytest.raises(Invalid, match="is of the net resnet20"):
        resolve(starting(finished, train={"net": "preact_resnet18", "augment": {"crop": 1}}))
    config = starting(finished)
    held_out = replace(config, holdout_mixes=0.5, arms=(*config.arms, *parse_config(quick()).arms))
    with pytest.raises(Invalid, match="what holdout_mixes holds out"):
        resolve(held_out)


def test_a_run_that_learnt_from_answers_of_another_kind_is_no_start(finished):
    """Else a report on people's answers would hold simulated ones without a watermark."""
    release = finished.arm.experiment.release
    start = Checker()
    config = starting(finished)
    images = finished.arm.experiment.image_set
    Release.objects.filter(pk=release.pk).update(source="person")
    other = Release.objects.get(pk=release.pk)
    other.pk, other.number, other.version, other.source = None, 2, "1.0.1", "simulated"
    other.save(force_insert=True)
    Experiment.objects.update(release=other)
    config = replace(config, release="small@1.0.0")
    assert find_start(start, config.arms[0], config, images, OPERATOR)
    assert "learnt from a release of another source" in start.problems["arms.start_from"][0]


def test_a_run_that_is_not_finished_or_not_ones_own_to_see_is_no_start(finished):
    stranger = User.objects.create_user("stranger", kind=User.Kind.RESEARCHER)
    with pytest.raises(Invalid, match=f"no finished run {finished.pk}"):
        resolve(starting(finished), actor=stranger)
    Run.objects.update(finished_at=None)
    with pytest.raises(Invalid, match=f"no finished run {finished.pk}"):
        resolve(starting(finished))


def test_a_run_that_was_trained_on_what_is_judged_on_is_no_start(finished):
    """Weights carry what they learnt into the next experiment, and the one after it."""
    second = create_experiment(config=starting(finished), actor=OPERATOR)
    Run.objects.update(finished_at=timezone.now())
    run = Run.objects.get(arm__experiment=second)
    resolve(starting(run))
    first = finished.arm.experiment
    Experiment.objects.filter(pk=first.pk).update(
        config={**first.config, "train_on": "test", "evaluate_on": "train"}
    )
    with pytest.raises(Invalid, match="was trained on 539 of the 539 evaluation images"):
        resolve(starting(run))


def test_a_run_may_have_left_out_the_same_validation_images(finished):
    with pytest.raises(Invalid, match="9 of the 9 validation images"):
        resolve(starting(finished, validation=9))
    other = create_experiment(config=parse_config(quick(name="as I", validation=20)), actor=OPERATOR)
    Run.objects.update(finished_at=timezone.now())
    run = Run.objects.filter(arm__experiment=other).first()
    assert len(resolve(starting(run, validation=9)).validation) == 9
    with pytest.raises(Invalid, match="11 of the 31 validation images"):
        resolve(starting(run, validation=31))

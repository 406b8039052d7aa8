"""Training again with changes: the form filled with a configuration, and what no field of it can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.urls import reverse

from hilmix.accounts.roles import OPERATOR
from tests.training.conftest import quick
from training.experiments.config import parse_config, read_config
from training.experiments.copy_form import CopyForm, sent
from training.experiments.models import Experiment
from training.experiments.services import create_experiment

EXAMPLES = sorted(path for path in Path("examples").glob("*.toml") if path.name != "study.toml")
RICH = {
    "validation": "held back",
    "seeds": [3, 1, 2],
    "primary": "brier",
    "resample_people": True,
    "holdout_mixes": 0.333,
    "robustness": ["corruptions", "fgsm"],
    "exclude": ["diverged"],
    "tune": {"lr": [0.1, 0.05], "clip_norm": [1e-05]},
    "arms": [
        {"policy": "mixup", "mixed_share": 0.1},
        {"name": "some, of 2", "policy": "human_lambda(statistic=median)", "people": 3},
        {"name": "some", "policy": "human_lambda", "answers_per_image": 2, "seeds": [1, 2]},
        {"name": "7", "base_labels": "human", "start_from": "mixup", "augment": {"flip": True, "blur": 1e-05}},
        {"name": "run", "start_from": 12},
        {"name": "fly", "on_the_fly": {"method": "cutmix", "alpha": 0.2, "share": "mixed"}},
        {"name": "fly 2", "on_the_fly": {"labels": "perceptual_warp", "share": 0.25}},
    ],
    "contrasts": [{"arm": "7", "against": "mixup", "about": "labels"}, {"arm": "fly", "against": "mixup"}],
    "train": {
        "schedule": "steps", "milestones": [0.3, 0.7], "factor": 0.3, "ema": 0.999, "clip_norm": 2.5, "threads": 2,
        "mixed_share": 0.3, "deterministic": True, "precision": "fp32", "momentum": 0.0, "weight_decay": 1e-07,
        "epochs": 7, "augment": {"crop": 0, "flip": True, "rotation": 12.5, "noise": 0.1},
    },
}  # fmt: skip


def stored(config, release):
    """An experiment that has a configuration, as the database gives it back; nothing of it is looked up."""
    made = Experiment.objects.create(
        name=config.name,
        config=config.as_dict(),
        config_sha256=config.recipe_sha256(),
        release=release,
        image_set=release.study.image_set,
    )
    return Experiment.objects.get(pk=made.pk)


def again(experiment, release, **change):
    """The configuration that a form gives which was filled with an experiment, with changes to its fields."""
    form = CopyForm(OPERATOR, release, origin=experiment)
    data = sent(form)
    for key, value in change.items():
        data[key] = value
    form = CopyForm(OPERATOR, release, data, origin=experiment)
    refused = [part.errors for part in (form, form.arms, form.contrasts) if not part.is_valid()]
    assert refused == []
    return form._config(), form


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_copy_of_each_example_sent_as_it_stands_is_the_same_configuration(path, release):
    config = read_config(path)
    copied, form = again(stored(config, release), release)
    assert copied.as_dict() == replace(config, release=release.name).as_dict()
    assert form.kept == []


def test_every_setting_goes_through_the_form(release):
    config = parse_config(quick(**RICH))
    copied, form = again(stored(config, release), release)
    assert copied.as_dict() == replace(config, release=release.name).as_dict()
    assert copied.recipe_sha256() == config.recipe_sha256()
    assert form.kept == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"validation": "200"}, 'validation: "200"'),  # a split that is called by a number
        ({"robustness": ["fgsm", "corruptions"]}, 'robustness: ["fgsm", "corruptions"]'),
        (
            {"arms": [{"policy": "mixup"}, {"name": "fly", "on_the_fly": {"share": 0.12345678901}}]},
            "fly.on_the_fly.share: 0.12345678901",
        ),
        (
            {"arms": [{"name": "4", "policy": "mixup"}, {"name": "b", "start_from": 4}]},
            "b.start_from: 4",
        ),
    ],
)
def test_what_no_field_holds_is_said_and_kept(release, change, words):
    config = parse_config(quick(**change))
    copied, form = again(stored(config, release), release)
    assert copied.as_dict() == replace(config, release=release.name).as_dict()
    assert form.kept == [words]


def test_what_no_field_holds_is_changed_by_filling_in_its_field(release):
    arms = [{"policy": "mixup"}, {"name": "fly", "on_the_fly": {"share": 0.12345678901}}]
    experiment = stored(parse_config(quick(arms=arms)), release)
    changed, _ = again(experiment, release, **{"arms-1-fly_share": "0.5"})
    assert changed.arms[1].on_the_fly.share == 0.5
    without, _ = again(experiment, release, **{"arms-1-name": "", "arms-1-fly_method": "", "arms-1-fly_alpha": "",
                                               "arms-1-fly_labels": ""})  # fmt: skip
    assert [arm.name for arm in without.arms] == ["mixup"]


def test_more_arms_than_the_form_has_rows_are_kept(release):
    arms = [{"name": f"arm {n}", "policy": "mixup"} for n in range(63)]
    config = parse_config(quick(arms=arms, contrasts=[{"arm": "arm 62", "against": "arm 1"}]))
    copied, form = again(stored(config, release), release)
    assert copied == replace(config, release=release.name)
    assert len(form.arms.forms) == 60
    assert 'arm 62.policy: "mixup"' in form.kept
    changed, _ = again(form.origin, release, **{"arms-3-name": "renamed"})
    assert [arm.name for arm in changed.arms][3::59] == ["renamed", "arm 62"]


def test_the_page_is_filled_and_what_is_changed_makes_another_experiment(client, admin, config, release):
    experiment = create_experiment(config=config, actor=OPERATOR)
    client.force_login(admin)
    page = client.get(reverse("new_experiment"), {"copy": experiment.pk})
    assert "Filled with the configuration of" in page.text
    assert experiment.get_absolute_url() in page.text
    data = {**sent(page.context["form"]).dict(), "release": release.name, "copy": experiment.pk}
    reply = client.post(reverse("new_experiment"), data)
    assert reply["Location"] == experiment.get_absolute_url()
    assert Experiment.objects.count() == 1
    more = client.post(reverse("new_experiment"), {**data, "do": "more"})
    assert f'name="copy" value="{experiment.pk}"' in more.text
    reply = client.post(reverse("new_experiment"), {**data, "seeds": "5"})
    another = Experiment.objects.latest("pk")
    assert (another.origin, another.config["seeds"]) == (experiment, [5])
    assert another.config["arms"] == experiment.config["arms"]


@pytest.mark.parametrize("named", ["0", "99", "x", "9" * 30, "²"])
def test_what_is_not_there_cannot_be_copied(client, admin, release, named):
    client.force_login(admin)
    assert client.get(reverse("new_experiment"), {"copy": named}).status_code == 404


def test_seeds_that_were_added_later_are_named_as_not_copied(client, admin, config):
    from training.runs.models import Run

    experiment = create_experiment(config=config, actor=OPERATOR)
    run = Run.objects.first()
    Run.objects.create(arm=run.arm, seed=8, train=run.train)
    client.force_login(admin)
    assert (
        "Seeds that were added later (8)"
        in client.get(reverse("new_experiment"), {"copy": experiment.pk}).text
    )

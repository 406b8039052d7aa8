"""Held-out mixed images: crossed intervals, differences between arms, other participants, and what people reach."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.softlabels import build_label_set
from tests.training.conftest import quick
from tests.training.reported import arm, report, run
from training.evaluation import inference, people
from training.evaluation.answers import Answers, with_participants
from training.evaluation.components import Terms
from training.evaluation.held_out import HeldOut, MixedImages
from training.evaluation.metrics import log_softmax
from training.reports import mixed, mixed_tables
from training.reports.inputs import RunResult
from training.reports.sections import sections_of

CLASSES = 3
SEEDS = (0, 1, 2, 3, 4)


def asked(n=60, n_people=12, each=3, bias=0.0, seed=0, shares=(0.1, 0.25, 0.5, 0.75, 0.9)):
    """`n` mixed images of classes 0 and 1, `each` answered by so many of the people, who lean to one side by `bias`."""
    rng = np.random.default_rng(seed)
    leaning = rng.normal(0, bias, n_people) if bias else np.zeros(n_people)
    share = rng.choice(shares, n)
    images = np.repeat(np.arange(n), each)
    who = np.concatenate([rng.choice(n_people, each, replace=False) for _ in range(n)])
    seen = np.clip(share[images] + leaning[who] + rng.normal(0, 0.1, len(who)), 0, 1)
    answers = Answers(np.stack([seen, 1 - seen, 0 * seen], axis=1), images, who, n)
    ones = np.ones(n, dtype=np.int64)
    return MixedImages(np.arange(n), 0 * ones, ones, share, answers.means, answers)


def partly(n, several):
    """`n` mixed images of which two people answered `several`, and one the others."""
    images = asked(n, each=2)
    every = images.answers
    kept = (np.arange(2 * n) % 2 == 0) | (every.images < several)
    answers = Answers(every.labels[kept], every.images[kept], every.people[kept], n)
    return replace(images, labels=answers.means, answers=answers)


def judged(images, strength, seeds=SEEDS, luck=0, **more):
    """What models of an arm make of them: the closer to λ the greater `strength`."""
    n = len(images.rows)
    noise = np.stack([np.random.default_rng([seed, luck]).normal(0, 0.3, (n, CLASSES)) for seed in seeds])
    noise[:, :, 0] += strength * (2 * images.share - 1)
    noise[:, :, :2] += strength
    log_p = log_softmax(noise.reshape(-1, CLASSES)).reshape(noise.shape)
    return HeldOut(images, tuple(seeds), log_p, **more)


def made(name, held, **more):
    """An arm of which nothing is known but what its models made of mixed images."""
    runs = [RunResult(seed, [], {}, {}, 10, f"p{seed}") for seed in held.seeds]
    return arm(name, runs, held_out=held, **more)


def told_of(arms, reference="mixup", **config):
    """What the report has of mixed images, as the database gives it back."""
    participants = mixed.people_of(arms, config)
    again = mixed.drawn_again(participants)
    found = {one.name: mixed.mixed_of(one, resample_people=again) for one in arms}
    planned = config.get("contrasts", [])
    differences = mixed.differences_of(arms, planned=planned, reference=reference, resample_people=again)
    content = {"mixed": found, "mixed_differences": differences, "participants": participants}
    return json.loads(json.dumps(content))


def shown(content):
    return mixed_tables.overview(
        content["mixed"], content.get("mixed_differences", ()), content.get("participants")
    )


def test_a_person_drawn_twice_counts_twice_as_the_policy_itself_would_count_them():
    rng = np.random.default_rng(3)
    units = [
        Unit(f"u{k}", 5000, 0, 1, tuple(
            Answer(f"p{who}", PerceivedLambda(float(rng.random()))) for who in rng.choice(4, 2, replace=False)
        )) for k in range(8)
    ]  # fmt: skip
    every = [
        (k, int(one.participant[1:]), one.judgement.value) for k, u in enumerate(units) for one in u.answers
    ]
    images, who, seen = (np.array(column) for column in zip(*every, strict=True))
    answers = Answers(np.stack([seen, 1 - seen], axis=1), images, who, len(units))
    assert np.allclose(answers.means, build_label_set("human_lambda", units, 2).probabilities)

    class Twice:
        """Draws person 0 twice, 1 and 3 once, 2 not at all."""

        def multinomial(self, n, shares):
            assert (n, len(shares)) == (4, 4)
            return np.array([2, 1, 0, 1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda seed: Twice())
        [drawn] = answers.drawn(1)
    copies = {"p0": ("p0", "p0 again"), "p1": ("p1",), "p2": (), "p3": ("p3",)}
    again = [
        replace(unit, answers=tuple(
            replace(one, participant=copy) for one in unit.answers for copy in copies[one.participant]
        )) for unit in units
    ]  # fmt: skip
    kept = np.array([bool(unit.answers) for unit in again])
    assert np.allclose(drawn[kept], build_label_set("human_lambda", again, 2).probabilities[kept])
    assert np.allclose(drawn[~kept], answers.means[~kept]), "nobody drawn: the label stays"


def test_a_second_answer_of_a_person_to_an_image_is_refused():
    with pytest.raises(DataError, match="more than one answer"):
        Answers(np.ones((2, 1)), np.array([0, 0]), np.array([1, 1]), 1)


def test_drawing_people_finds_what_they_share_although_two_answered_each_image():
    leaning, found, unmade = 0.1, [], []
    for seed in range(12):
        images = asked(150, 20, 2, bias=leaning, seed=seed)
        images = replace(images, share=np.full(150, 0.5))
        loss = np.array([1.0, 0.0, 0.0])  # one model's −log p̂: the mean of answers itself
        terms = images.labels @ loss
        again = np.stack([labels @ loss for labels in images.answers.drawn(60, seed)])
        components = Terms(terms[None]).components()
        for makes_up, into in ((images.answers.makes_up, found), (np.ones(150), unmade)):
            into.append(with_participants(components, terms, again, makes_up).of_people)
    truth = leaning**2 / 20
    assert 0.6 < np.mean(found) / truth < 1.5
    assert np.mean(unmade) / truth < 0.4, (
        "answers are drawn around their own mean, which hides half of each lean"
    )


def test_all_folds_of_a_seed_are_one_model_and_images_and_seeds_are_crossed():
    images = asked()
    held = judged(images, 2.0)
    content = told_of([made("mixup", held)])
    told = content["mixed"]["mixup"]
    losses = -(images.labels * held.log_p).sum(axis=2)
    expected = inference.estimate(Terms(losses))
    assert told["people"]["human_cross_entropy"]["value"] == pytest.approx(losses.mean())
    assert told["people"]["human_cross_entropy"]["interval"] == pytest.approx(expected.interval())
    assert (told["n"], told["n_answered"], told["n_seeds"], told["these_models"]) == (60, 60, 5, False)
    clear = np.abs(images.share - 0.5) >= 0.25
    right = held.log_p[:, clear].argmax(axis=2) == np.where(images.share > 0.5, 0, 1)[clear]
    assert told["mixup"]["mixup_agreement_top1"]["value"] == pytest.approx(right.mean())
    assert told["mixup"]["mixup_agreement_top1"]["n"] == clear.sum()
    floor = told["mixup"]["mixup_agreement_cross_entropy"]["floor"]
    assert 0 < floor < told["mixup"]["mixup_agreement_cross_entropy"]["value"]
    assert "entropy_correlation_pearson" in told["people"]
    text = " ".join(shown(content)[0])
    assert "People answered 60 of them." in text
    assert "All folds of a seed together are one model's predictions." in text


@pytest.mark.parametrize("resample_people", [False, True])
def test_every_arm_is_compared_with_the_reference_and_planned_pairs_over_the_seeds_that_both_have(
    resample_people,
):
    images = asked(bias=0.25)
    arms = [
        made("base", judged(images, 1.0), policy=""),
        made("mixup", judged(images, 2.0, seeds=(1, 2))),
        made("curve", judged(images, 2.5)),
    ]
    contrasts = [{"arm": "curve", "against": "mixup", "about": "distortion"}]
    content = told_of(arms, reference="base", contrasts=contrasts, resample_people=resample_people)
    told = content["mixed_differences"]
    rows = {(one["arm"], one["against"], one["metric"]): one for one in told}
    assert {key[:2] for key in rows} == {("curve", "mixup"), ("mixup", "base"), ("curve", "base")}
    one = rows["curve", "mixup", "human_cross_entropy"]
    apart = arms[1].held_out.log_p - arms[2].held_out.log_p[1:3]  # seeds 1 and 2

    def losses_of(labels):
        return (labels * apart).sum(axis=2)

    expected = inference.estimate(Terms(losses_of(images.labels)))
    assert one["value"] == pytest.approx(expected.value)
    interval = by_hand(losses_of, images, 3 / 2) if resample_people else expected.interval()
    assert (interval != expected.interval()) is resample_people
    assert one["interval"] == pytest.approx(interval)
    assert one["people_resampled"] is resample_people
    assert (one["n_seeds"], one["these_models"]) == (2, True)
    assert rows["curve", "base", "human_cross_entropy"]["n_seeds"] == 5
    said, tables = shown(content)
    assert len(rows) == 15
    assert any(one.startswith("15 differences between arms here, all exploratory") for one in said)
    assert any("with so many some leave 0 out" in one for one in said)
    assert not any("with so many some" in one for one in shown(content | {"mixed_differences": told[:9]})[0])
    one_only = shown(content | {"mixed_differences": told[:1]})[0]
    assert "1 difference between arms here, exploratory: its interval is not adjusted." in one_only
    assert ("curve − mixup", "Against people's answers: CE, human labels ↓") in [
        row[:2] for row in tables[-1].rows
    ]


def test_other_participants_widen_intervals_of_means_and_the_report_says_what_was_not_resampled():
    images = asked(bias=0.25, shares=(0.7, 0.75))
    arms = [made(name, judged(images, strength)) for name, strength in (("mixup", 1.0), ("curve", 3.0))]
    plain, drawn = (told_of(arms, resample_people=asked_for) for asked_for in (False, True))

    def width(content, key):
        low, high = content["mixed"]["curve"]["people"][key]["interval"]
        return high - low

    assert width(drawn, "human_cross_entropy") > 1.1 * width(plain, "human_cross_entropy")
    assert width(drawn, "entropy_correlation_pearson") == width(plain, "entropy_correlation_pearson")
    agreement = [one["mixed"]["curve"]["mixup"] for one in (plain, drawn)]
    assert agreement[0] == agreement[1], "nobody is asked what λ was"
    apart = [
        next(row for row in one["mixed_differences"] if row["metric"] == "human_cross_entropy")["interval"]
        for one in (plain, drawn)
    ]
    assert apart[1][1] - apart[1][0] > 1.1 * (apart[0][1] - apart[0][0])
    assert drawn["participants"] == {"draws": 200, "n_people": 12}
    note = mixed.about_participants(drawn["participants"])
    assert "200 times all 12 who answered held-out mixed images" in note
    assert "Test images are not in this: who said what of them is not known, only shares or counts" in note
    assert "Models were not trained again" in note
    assert plain["participants"] is None


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (asked(n_people=4), "4 people answered, and 5 are needed"),
        (asked(each=1), "0 of 60 answered images have answers of two people, and 30 are needed"),
        (partly(60, 1), "1 of 60 answered images have answers of two people, and 30 are needed"),
        (partly(160, 31), "31 of 160 answered images have answers of two people, and 32 are needed"),
        (replace(asked(), answers=None), "not the mean of single answers"),
        (replace(asked(), answers=None, labels=None), "no labels that are the mean of answers"),
        (None, "no mixed images were held out"),
    ],
)  # fmt: skip
def test_where_participants_cannot_be_drawn_again_it_is_said_why(images, why):
    one = made("mixup", judged(images or asked(), 2.0, seeds=(0, 1)))
    content = told_of([one if images else replace(one, held_out=None)], resample_people=True)
    note = mixed.about_participants(content["participants"])
    assert note.startswith("Resampling of participants was asked for and is not assessed")
    assert why in note
    if images is not None and images.labels is None:
        assert list(content["mixed"]["mixup"]["people"]) == ["not_assessed"]
        assert any("Against people's answers not assessed" in one for one in shown(content)[0])


def test_thirty_images_that_two_people_answered_are_enough_where_they_are_a_fifth():
    assert partly(150, 30).answers.why_not_drawn is None
    assert partly(160, 32).answers.why_not_drawn is None


def by_hand(losses_of, images, makes_up, draws=200):
    """The interval for other people too of the mean of what `losses_of` labels [n, K] makes, float64 [S, n]."""
    losses = losses_of(images.labels)
    again = np.stack([losses_of(labels).mean(axis=0) for labels in images.answers.drawn(draws)])
    components = with_participants(
        Terms(losses).components(), losses.mean(axis=0), again, np.full(losses.shape[1], makes_up)
    )
    return inference.Estimate(components, len(losses) < 5).interval()


def test_intervals_for_other_people_are_those_of_drawn_labels_made_up_by_n_over_n_less_one():
    images = asked(bias=0.25)
    held = judged(images, 2.0)
    found = told_of([made("mixup", held)], resample_people=True)["mixed"]["mixup"]["people"]
    interval = by_hand(lambda labels: -(labels * held.log_p).sum(axis=2), images, 3 / 2)
    assert found["human_cross_entropy"]["people_resampled"]
    assert found["human_cross_entropy"]["interval"] == pytest.approx(interval)


def test_the_report_has_all_of_it():
    one = replace(arm("mixup", [run(0)]), held_out=judged(asked(), 2.0, seeds=(0,)))
    content = report([one], config={"resample_people": True, "holdout_mixes": 0.2})
    assert content["participants"]["n_people"] == 12
    assert content["mixed_differences"] == []
    assert any("Participants were resampled, 200 times" in note for note in content["notes"])
    section = next(part for part in sections_of(content) if part.key == "mixed")
    assert [table.columns for table in section.tables] == [
        ("Metric", "mixup", "Floor", "Human ceiling"), ("Metric", "mixup", "Floor"),
    ]  # fmt: skip


def test_the_means_of_many_labels_are_those_of_each():
    held = judged(asked(), 2.0)
    labels = next(held.images.answers.drawn(1))
    quick_ones, each = held.mean_terms(labels), held.terms(labels)
    assert quick_ones.keys() == each.keys()
    for key, terms in each.items():
        assert np.allclose(quick_ones[key], terms.mean(axis=0)), key


def test_people_reach_what_another_panel_reaches():
    images = asked(400, 30, 4)
    rng = np.random.default_rng(8)

    def panel(n):
        seen = np.clip(images.share[:, None] + rng.normal(0, 0.1, (400, n)), 0, 1).mean(axis=1)
        return np.stack([seen, 1 - seen, 0 * seen], axis=1)

    def reached(each):
        return np.mean([each() for _ in range(10)], axis=0)

    def apart():
        found = people.terms(np.log(panel(4) + 1e-12), panel(4), panel(4))
        return [found[key].mean() for key in ("human_brier", "human_total_variation")]

    def alike():
        first, second = (people.entropies(panel(4)) for _ in range(2))
        found = people.entropy_correlations(first, second, np.ones((1, 400)))
        return [found[f"entropy_correlation_{kind}"][0] for kind in ("pearson", "spearman")]

    ceilings = images.ceilings
    brier, total_variation = reached(apart)
    assert ceilings["human_brier"] == pytest.approx(brier, rel=0.1)
    assert ceilings["human_total_variation"] == pytest.approx(total_variation, rel=0.1)
    pearson, spearman = reached(alike)
    assert ceilings["entropy_correlation_pearson"] == pytest.approx(pearson, abs=0.05)
    assert ceilings["entropy_correlation_spearman"] == pytest.approx(spearman, abs=0.05)
    # Of images of one λ all say the same here but for noise, so a half does best to foresee what is usual at its λ.
    usual = np.zeros_like(images.labels)
    for share in np.unique(images.share):
        usual[images.share == share] = images.labels[images.share == share].mean(axis=0)
    best = reached(lambda: people.terms(np.log(usual + 1e-12), usual, panel(2))["human_cross_entropy"].mean())
    entropy = people.entropies(images.labels).mean()
    assert ceilings["human_cross_entropy"] == pytest.approx(best, abs=0.006)
    assert ceilings["human_kl"] == pytest.approx(best - entropy, abs=0.006)
    agreement = reached(lambda: people.agreement(panel(2), panel(2)).mean())
    assert ceilings["human_top1_agreement"] == pytest.approx(agreement, abs=0.03)
    assert len(ceilings) == 7, "each has its tolerance above"
    text = " ".join(shown(told_of([made("mixup", judged(images, 2.0, seeds=(0,)))]))[0])
    assert "Human ceiling: one half of the people" in text
    assert asked(each=1).ceilings == {}


def test_a_seed_of_which_a_fold_is_missing_is_left_out_and_named():
    content = told_of([made("mixup", judged(asked(), 2.0, seeds=(0, 2), left_out=(1,)))])
    assert "mixup: without seed 1, of which a fold is missing." in shown(content)[0]


def test_an_arm_of_which_every_seed_lacks_a_fold_has_no_figures_and_it_is_said():
    images = asked()
    half = {"n": 30, "people": {"human_cross_entropy": {"value": 0.1, "n": 30, "interval": None}}}
    lacking = made("curve", HeldOut(images, (), np.empty((0, 60, CLASSES)), (0, 1)))
    folds = tuple(
        RunResult(seed, [], {}, {}, 10, "p", fold=1, evaluations={"mixed": half}) for seed in (0, 1)
    )
    arms = [made("mixup", judged(images, 2.0)), replace(lacking, folds=folds)]
    content = told_of(arms, resample_people=True)
    assert content["mixed"]["curve"]["people"] == content["mixed"]["curve"]["mixup"] == {}
    said, tables = shown(content)
    assert "curve: no figures, as a fold of every seed is missing (0, 1)." in said
    assert {row[2] for table in tables for row in table.rows} == {None}
    assert not any("trained models" in one for one in said), "the other arm has five seeds"
    assert shown({"mixed": {"curve": content["mixed"]["curve"]}})[1] == ()
    gone = told_of([arms[0], replace(arms[1], held_out=None)])["mixed"]["curve"]
    assert gone["people"]["human_cross_entropy"]["value"] == pytest.approx(0.1)


def test_a_report_stored_before_there_were_differences_still_shows_its_mixed_images():
    value = {"value": 1.25, "sd": 0.5, "interval": None, "floor": 1.0, "ceiling": None}
    stored = {"mixup": {"n": 40, "people": {"human_cross_entropy": value}, "mixup": {}}}
    said, tables = shown({"mixed": stored})
    assert tables[0].rows == (("CE, human labels ↓", "1.25 ± 0.5", 1.0, None),)
    assert said[0].startswith("40 mixed images, each judged by models")


def test_folds_are_put_together_in_the_order_of_the_release_and_judged_by_its_answers(release):
    from hilmix.accounts.roles import OPERATOR
    from training.experiments.config import parse_config
    from training.experiments.material import material_of
    from training.experiments.services import create_experiment
    from training.models import Run
    from training.reports.gathering import _held_out
    from training.runs import keeping

    config = quick(arms=[{"policy": "mixup"}], seeds=[0, 1], holdout_mixes=0.5)
    experiment = create_experiment(config=parse_config(config), actor=OPERATOR)
    material = material_of(experiment)
    runs = list(Run.objects.filter(arm__experiment=experiment).order_by("seed", "fold"))
    logits = np.random.default_rng(0).normal(size=(2, material.data.n, 10))
    for one in runs:
        if one.fold:
            rows = material.folds[one.fold - 1].held_out[::-1]
            kept = {"mixed_rows": rows, "mixed_logits": logits[one.seed, rows]}
            keeping.write_arrays(one, keeping.PREDICTIONS, kept)
    held = _held_out(runs, material)
    assert held.seeds == (0, 1)
    assert np.allclose(held.log_p[1], log_softmax(logits[1]))
    images = held.images
    assert np.allclose(images.answers.means, material.answers, equal_nan=True)
    assert images.answers.n_people == 2
    assert np.allclose(images.share, material.data.lambdas())
    last = runs[-1]
    (last.directory / keeping.PREDICTIONS).unlink()
    assert (_held_out(runs, material).seeds, _held_out(runs, material).left_out) == ((0,), (1,))
    (runs[1].directory / keeping.PREDICTIONS).unlink()
    lacking = _held_out(runs, material)
    assert (lacking.seeds, lacking.left_out, lacking.log_p.shape) == ((), (0, 1), (0, material.data.n, 10))
    for one in runs:
        (one.directory / keeping.PREDICTIONS).unlink(missing_ok=True)
    assert _held_out(runs, material) is None, "all files are gone: what the rows say is left"

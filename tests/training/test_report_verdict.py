"""What a report says first: its verdict, what to do, what that costs, and what each figure shows."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from hilmix.core.planning import Components
from tests.training.reported import arm, report, run
from training.reports.advice import advice_of, baseline_of, hours_of
from training.reports.costs import Asked, answers_figure, answers_of
from training.reports.headline import headline_of, short
from training.reports.parts import figures_at_once, parts_of
from training.reports.tables import share_words
from training.reports.text import as_markdown, summary

CONFIG = {
    "primary": "log_loss",
    "contrasts": [{"arm": "human_lambda", "against": "mixup", "about": "information"}],
    "validation": 60,
}
H_MIX = Components(0.0157, 0.0338, 8.4, "hmix@1.0.0")
PAID = Asked(400, 100, 40, 10, reward_e2=200, currency="GBP")


def made(strengths=(2.0, 3.0), seeds=range(5), **more):
    runs = {
        name: [run(seed, strength, validation=True, luck=luck) for seed in seeds]
        for luck, (name, strength) in enumerate(zip(("mixup", "human_lambda"), strengths, strict=True))
    }
    return report([arm(name, runs[name]) for name in runs], config=CONFIG, **more)


@pytest.fixture(scope="module")
def better():
    return made()


@pytest.fixture(scope="module")
def equal():
    return made((2.0, 2.0))


def test_a_finding_is_one_sentence_with_its_interval_and_its_seeds(better):
    told = headline_of(better)
    (one,) = better["contrasts"]["planned"]
    low, high = one["interval_holm"]
    assert told.state == "found"
    assert told.sentence == (
        f"human_lambda lowers log loss by {short(-one['value'])} [{short(-high)}, {short(-low)}] over mixup; 5 seeds."
    )
    assert advice_of(better)[0].sentence.startswith("Use human_lambda: human_lambda lowers")


def test_the_better_arm_comes_first_also_where_it_is_the_second_of_the_contrast():
    content = made((3.0, 2.0))
    assert headline_of(content).sentence.startswith("mixup lowers log loss by 0.")
    assert advice_of(content)[0].sentence.startswith("Keep mixup: mixup lowers log loss")


def test_where_higher_is_better_the_better_arm_raises_the_metric():
    runs = {name: [run(seed, strength) for seed in range(5)] for name, strength in (("a", 1.0), ("b", 3.0))}
    for pair in (("a", "b"), ("b", "a")):
        planned = [{"arm": pair[0], "against": pair[1]}]
        arms = [arm(name, runs[name]) for name in runs]
        content = report(arms, config={"primary": "accuracy", "contrasts": planned})
        (one,) = content["contrasts"]["planned"]
        means = {name: sum(found.metrics["accuracy"] for found in runs[name]) / 5 for name in runs}
        told = headline_of(content).sentence
        assert told.startswith(f"b raises accuracy by {short(means['b'] - means['a'])} [0.")
        assert told.endswith(" over a; 5 seeds.")
        low, high = sorted(abs(end) for end in one["interval_holm"])
        assert f"[{short(low)}, {short(high)}]" in told


def test_an_unequal_budget_is_part_of_the_verdict():
    plans = {"mixup": ("p", 2.0), "human_lambda": ("other", 3.0)}
    arms = [arm(name, [run(seed, s, plan=plan) for seed in range(5)]) for name, (plan, s) in plans.items()]
    content = report(arms, config=CONFIG)
    assert "; unequal budget" in headline_of(content).sentence
    assert "; unequal budget" in advice_of(content)[0].sentence


def test_what_cannot_be_told_apart_says_what_would_have_been_found_and_what_more_seeds_would(equal):
    told = headline_of(equal)
    (one,) = equal["contrasts"]["planned"]
    assert told.state == "not separable"
    assert (
        f"where {short(one['detectable'])} would have been found with 80 % power; 5 seeds." in told.sentence
    )
    advice = {one.key: one for one in advice_of(equal)}
    assert advice["use"].sentence.startswith("Keep mixup: human_lambda cannot be told from it.")
    least = [found for _, found in one["detectable_with"]]
    assert [n for n, _ in one["detectable_with"]] == [10, 20, 40]
    assert one["detectable"] > least[0] > least[1] > least[2] > 0
    assert f"would detect {short(least[0])} between human_lambda and mixup" in advice["seeds"].sentence
    assert advice["seeds"].table.rows[0][:3] == ("human_lambda − mixup", 10, 5)


def test_further_seeds_cost_what_was_measured_of_every_arm(equal):
    assert equal["costs"]["seconds"] == {"mixup": 1.5, "human_lambda": 1.5}
    assert hours_of(equal["costs"], 5) == pytest.approx(5 * 3.0 / 3600)
    assert (
        "hours on the processor for all arms" in {one.key: one for one in advice_of(equal)}["seeds"].sentence
    )


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({"source": "simulated"}, "simulated", "No verdict: the answers were simulated"),
        ({"config": {"primary": ""}}, "exploratory", "no primary metric was frozen"),
        ({"contrasts": {"planned": []}}, "exploratory", "no contrast was planned before the first run"),
    ],
)
def test_without_what_a_verdict_takes_that_is_said_instead(better, change, state, words):
    content = copy.deepcopy(better)
    for key, value in change.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    told = headline_of(content)
    assert (told.state, words in told.sentence) == (state, True)
    assert not advice_of(content)[0].sentence.startswith("Use ")


def test_where_only_some_came_to_a_finding_it_is_said_how_many_and_the_first_stands_below(better, equal):
    content = copy.deepcopy(better)
    (found,), (not_found,) = better["contrasts"]["planned"], equal["contrasts"]["planned"]
    main = {**not_found, "arm": "main"}
    content["contrasts"]["planned"] = [main, {**not_found, "arm": "other"}, found]
    told = headline_of(content)
    assert told.sentence.startswith("1 of 3 planned contrasts: human_lambda lowers log loss by ")
    assert told.first.startswith("The first planned contrast, main − mixup (information): not separable, ")
    assert [one.split(" ")[0] for one in told.more] == ["other"]
    assert as_markdown(content).index("1 of 3 planned") < as_markdown(content).index(told.first)
    content["contrasts"]["planned"] = [found, main]
    told = headline_of(content)
    assert (told.first, told.sentence.startswith("1 of 2 planned contrasts: human_lambda")) == ("", True)
    content["contrasts"]["planned"] = [main, found, {**found, "arm": "third"}]
    assert headline_of(content).sentence.startswith("2 of 3 planned contrasts, one of them: human_lambda")
    content["contrasts"]["planned"] = [found, {**found, "arm": "third"}]
    told = headline_of(content)
    assert told.sentence.startswith("human_lambda lowers")
    assert told.more[0] == "2 of 2 planned contrasts are separable."


def test_fewer_than_five_seeds_have_no_verdict():
    content = made(seeds=range(2))
    told = headline_of(content)
    assert (told.state, told.sentence) == ("few seeds", "No verdict: 2 seeds, and 5 are needed.")
    assert "for these trained models: difference" in told.more[0]
    advice = {one.key: one for one in advice_of(content)}
    assert advice["use"].sentence.startswith("Nothing yet: a verdict takes 5 seeds.")
    assert advice["seeds"].sentence.startswith("3 more seeds")


def test_many_hours_are_no_power_of_ten(equal):
    content = copy.deepcopy(equal)
    content["costs"]["seconds"] = {"mixup": 3600 * 25.0}
    assert "(125 hours on" in {one.key: one for one in advice_of(content)}["seeds"].sentence


def test_few_draws_are_not_none_and_not_all():
    shares = [share_words(share).replace("\N{NO-BREAK SPACE}", "") for share in (0, 0.002, 0.5, 0.996, 1)]
    assert shares == ["0%", "<1%", "50%", ">99%", "100%"]


def test_names_keep_their_capital(better):
    content = copy.deepcopy(better)
    content["contrasts"]["planned"][0]["metric"] = "brier"
    assert "lowers Brier score by" in headline_of(content).sentence


def test_what_test_images_say_is_not_advised_while_they_are_folded(better):
    content = copy.deepcopy(better)
    symptom = {"state": "found", "level": "red", "name": "Over-fitting", "remedy": "stop.", "of_test": False}
    of_test = {**symptom, "name": "Low recall", "of_test": True}
    content["diagnosis"] = {"mixup": [symptom, of_test]}
    (told,) = (one for one in advice_of(content) if one.key == "mend")
    assert told.sentence == "2 symptoms found."
    (told,) = (one for one in advice_of(content, with_test=False) if one.key == "mend")
    assert told.sentence == (
        "1 symptom found without the test images. By test images 1: in which arms is folded until a choice."
    )
    assert told.points == ("Over-fitting (mixup): stop.",)
    content["diagnosis"] = {"mixup": [of_test]}
    (told,) = (one for one in advice_of(content, with_test=False) if one.key == "mend")
    assert told.sentence.startswith("0 symptoms found without the test images. By test images 1:")
    assert told.points == ()


def test_a_contrast_that_could_not_be_judged_was_planned(better):
    content = copy.deepcopy(better)
    content["contrasts"] |= {"planned": [], "impossible": ["a − b: log loss was not measured"]}
    assert headline_of(content).state == "none"
    assert advice_of(content)[0].sentence.startswith("No planned contrast could be judged")


def test_the_baseline_is_plain_mixup_where_there_is_one():
    content = made()
    assert baseline_of(content) == "mixup"
    content["arms"][0]["settings"] = {"base_labels": "human"}
    assert baseline_of(content) == content["reference"]


def test_a_report_of_before_says_what_is_not_in_it(equal):
    old = copy.deepcopy(equal)
    del old["costs"], old["contrasts"]["planned"][0]["detectable_with"]
    old["contrasts"]["planned"][0]["seeds_needed"] = None
    old["contrasts"]["planned"][0]["value"] = 0.0
    said = {one.key: one.sentence for one in advice_of(old)}
    assert said["seeds"] == said["answers"] == "Not in this report: write it anew to see it."


def test_more_answers_are_told_with_the_error_of_labels_and_the_cost():
    found = answers_of(H_MIX, PAID)
    now, *more = found["rows"]
    assert (now["k"], now["people"], now["total_e2"]) == (4.0, 40, 8000)
    assert [row["k"] for row in more] == [5, 9, 15, 25]
    assert now["label_error"] > more[0]["label_error"] > more[-1]["label_error"]
    assert (more[1]["people"], more[1]["total_e2"]) == (90, 18_000)
    content = {**made(), "costs": {"seconds": {}, "device": "", "answers": found}}
    one = {one.key: one for one in advice_of(content)}["answers"]
    assert one.sentence.startswith("4 → 9 answers an image")
    assert "for about 50 more people, 100.00 GBP." in one.sentence
    assert answers_of("too few people", PAID) == {"why": "too few people"}


def test_arms_that_differ_in_answers_alone_are_drawn_against_them():
    def told(name, k, value, **more):
        settings = {"name": name, "answers_per_image": k, **more}
        summary = {"log_loss": {"mean": value, "interval": [value - 0.1, value + 0.1]}}
        return {"name": name, "policy": "human_lambda", "settings": settings, "summary": summary}

    arms = [told("all", None, 0.5), told("one", 1, 0.9), told("other", 2, 0.7, augment={"flip": True})]
    (figure,) = answers_figure(arms, "log_loss", answers_of(H_MIX, PAID), "here")
    (series,) = figure.series
    assert [point[:2] for point in series.points] == [(20.0, 0.9), (80.0, 0.5)]
    assert figure.x_label == "cost, GBP"
    assert figure.table.rows[0][:4] == ("one", 1.0, 100, 20.0)
    assert "changes by −0.4" in figure.reading
    (unpaid,) = answers_figure(arms, "log_loss", answers_of(H_MIX, replace(PAID, reward_e2=0)), "here")
    assert [point[0] for point in unpaid.series[0].points] == [1.0, 4.0]
    assert unpaid.x_label == "answers an image"
    assert answers_figure(arms[1:], "log_loss", {}, "here") == []


def test_every_figure_says_what_is_to_be_seen(better):
    said = {figure["key"]: figure["reading"] for figure in better["figures"]}
    assert all(said.values()), said
    assert said["contrasts"] == "1 of 1 planned contrast leaves 0 out: human_lambda − mixup."


def test_the_planned_contrasts_are_shown_at_once_and_all_else_is_a_part(better):
    assert [figure["key"] for figure in figures_at_once(better)] == ["contrasts"]
    parts = parts_of(better)
    drawn = [figure["key"] for part in parts for figure in part.figures]
    assert sorted(["contrasts", *drawn]) == sorted(figure["key"] for figure in better["figures"])
    of_test = {part.key for part in parts if part.of_test}
    assert {"metrics", "calibration", "classes", "exploratory"} <= of_test
    assert {"choice", "curves", "diagnosis"}.isdisjoint(of_test)


def test_an_earlier_report_has_its_contrasts_in_a_part_where_others_are_with_them(better):
    old = copy.deepcopy(better)
    (figure,) = (one for one in old["figures"] if one["key"] == "contrasts")
    figure["series"].append({**figure["series"][0], "name": "exploratory"})
    assert figures_at_once(old) == []
    assert parts_of(old)[-1].figures == (figure,)


def test_the_verdict_is_first_in_text_too(better):
    for text in (as_markdown(better), summary(better)):
        assert (
            text.index("## Verdict") < text.index("## What to do") < text.index("Mean ± standard deviation")
        )

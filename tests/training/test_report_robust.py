"""What a report says of changed and attacked test images: crossed intervals, paired differences, each transform, the
failures; and runs that kept less."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.training.reported import CLASSES, N, arm, corrupted, judged
from training.evaluation import inference, intervals, metrics, robustness
from training.evaluation.components import Terms
from training.evaluation.corruptions import suite
from training.reports.attacked import figures_of
from training.reports.examining import evidence_of
from training.reports.inputs import Attack, RunResult
from training.reports.robust import robustness_of
from training.reports.robust_tables import in_detail, overview
from training.reports.sections import sections_of
from training.reports.telling import by_seed

SOME = np.arange(0, N, 3)
ATTACKS = ("fgsm", "pgd", "square")
CLASS_NAMES = ("cat", "dog", "frog")


def run(seed, strength=2.0, *, breaks=0.2, luck=0):
    """A run under all corruptions and attacks, which break a share `breaks` of the images."""
    test = judged(seed, strength, human=False, luck=luck)
    rng = np.random.default_rng([seed, round(100 * breaks)])
    stored, kept = {}, {}
    for name in ATTACKS:
        rows = SOME if name == "square" else np.arange(N)
        correct, loss = rng.random(len(rows)) > breaks, rng.random(len(rows)) + 3 * breaks
        kept[name] = Attack(rows, correct, loss)
        stored[name] = {
            "n": len(rows),
            "epsilon": 4 / 255,
            "accuracy": {"value": float(correct.mean()), "interval": [0.0, 1.0]},
            "loss": float(loss.mean()),
            "trajectory": [0.5 + breaks, 0.7 + breaks] if name == "pgd" else [],
        }
    stored["masked_gradients"] = {"masked": seed == 1, "reasons": ["Square breaks 12 images."]}
    return RunResult(
        seed=seed,
        curves=[],
        metrics={},
        environment={},
        n_steps=10,
        plan_sha256="p",
        evaluations={"robustness": {"attacks": stored}},
        test=test,
        robustness=corrupted(test, seed, breaks=breaks),
        attacks=kept,
    )


def arms(seeds):
    """Two arms; the second is the stronger."""
    return [
        arm(name, [run(seed, strength, breaks=breaks, luck=luck) for seed in seeds])
        for luck, (name, strength, breaks) in enumerate((("mixup", 2.0, 0.4), ("human", 2.5, 0.2)))
    ]


def report(made, classes=()):
    """The robustness of a report, as the database gives it back."""
    return json.loads(json.dumps(robustness_of(made, "mixup", classes), sort_keys=True))


@pytest.fixture(scope="module")
def both():
    return arms((0, 1))


@pytest.fixture(scope="module")
def content(both):
    return report(both)


def told(content, name="human"):
    return next(one for one in content["arms"] if one["name"] == name)


def table(content, begin):
    """The one table whose caption begins so, of all that is shown."""
    (found,) = [
        one
        for _, tables in (overview(content), in_detail(content))
        for one in tables
        if one.caption.startswith(begin)
    ]
    return found


def said(content):
    return overview(content)[0]


def test_an_attack_is_told_by_accuracy_and_loss_before_and_after(both, content):
    found = told(content)["attacks"]["square"]
    first, second = both[1].runs
    right = [(one.test.p.argmax(axis=1) == one.test.labels)[SOME].mean() for one in (first, second)]
    before = [
        metrics.cross_entropies(one.test.log_p, one.test.labels)[SOME].mean() for one in (first, second)
    ]
    assert found["n"] == len(SOME)
    assert found["measured"]["accuracy_before"]["value"] == pytest.approx(np.mean(right))
    assert found["measured"]["loss_before"]["value"] == pytest.approx(np.mean(before))
    after = np.mean([one.attacks["square"].loss for one in (first, second)])
    assert found["measured"]["loss"]["value"] == pytest.approx(after) == pytest.approx(found["loss"])
    shown = table(content, f"Square, {len(SOME)} images: attacked by at most 4/255")
    assert [row[0] for row in shown.rows] == ["mixup", "human"]
    assert shown.rows[0][3] == "reference"
    assert all("(" in str(cell) for cell in shown.rows[1][1:])


def test_a_group_that_was_run_alone_has_its_break_rate_though_there_is_no_score(both):
    alone = []
    for each in both:
        runs = []
        for one in each.runs:
            kept = [
                k for k, (key, _) in enumerate(one.robustness.transforms) if (key, 1) in suite(("geometric",))
            ]
            found = replace(
                one.robustness,
                transforms=tuple(one.robustness.transforms[k] for k in kept),
                predicted_under=one.robustness.predicted_under[kept],
                p_label_under=one.robustness.p_label_under[kept],
            )
            runs.append(replace(one, robustness=found))
        alone.append(replace(each, runs=tuple(runs)))
    found = told(report(alone))
    wanted = np.mean(
        [one.robustness.broke.mean(axis=0)[one.robustness.right].mean() for one in alone[1].runs]
    )
    assert found["score"] is None
    assert list(found["groups"]) == ["geometric"]
    assert found["groups"]["geometric"]["value"] == pytest.approx(wanted)
    assert table(report(alone), "Break rates by group").rows[1][-1] != "–"
    evidence = [evidence_of(each.runs[0], each, None, None) for each in (both[0], alone[0])]
    assert [one.corruptions for one in evidence] == [True, False]


def test_arms_are_compared_on_the_same_attacked_images_and_seeds(both, content):
    ours, theirs = (np.stack([one.attacks["pgd"].correct for one in each.runs]) for each in both[::-1])
    wanted = inference.estimate(Terms(ours.astype(float) - theirs.astype(float)))
    found = told(content)["attacks"]["pgd"]["against"]
    assert found["arm"] == "mixup"
    assert found["accuracy"]["value"] == pytest.approx(wanted.value)
    assert found["accuracy"]["interval"] == pytest.approx(wanted.interval())
    assert found["loss"]["value"] < 0
    assert "against" not in told(content, "mixup")["attacks"]["pgd"]


def test_intervals_under_attack_are_for_other_seeds_from_five_seeds_on(content):
    five = report(arms(range(5)))
    for key in ("accuracy", "score", "mce_percent", "mean_error"):
        assert told(content)[key]["these_models"]
        assert not told(five)[key]["these_models"]
    assert not told(five)["attacks"]["fgsm"]["measured"]["accuracy"]["these_models"]
    assert "for other images and seeds." in table(five, "FGSM").caption
    assert "these trained models" in table(content, "FGSM").caption


def test_runs_that_kept_no_outcomes_have_means_under_attack_and_no_interval(both):
    bare = [replace(one, runs=tuple(replace(each, attacks={}) for each in one.runs)) for one in both]
    made = report(bare)
    found = told(made)["attacks"]["fgsm"]
    assert "measured" not in found
    assert "against" not in found
    row = table(made, "FGSM").rows[1]
    assert row[1:] == ("–", f"{found['accuracy']:.4g}", "–", "–", f"{found['loss']:.4g}", "–")


def test_arms_attacked_on_other_images_are_not_compared(both):
    first, second = both
    runs = [
        replace(one, attacks={"square": replace(one.attacks["square"], rows=SOME + 1)}) for one in second.runs
    ]
    made = report([first, replace(second, runs=tuple(runs))])
    found = told(made)["attacks"]
    assert found["square"]["against"] == {"arm": "mixup", "why": "mixup was attacked on other images"}
    assert "measured" not in found["fgsm"]
    assert table(made, "Square").rows[1][3] == "–"
    assert "human: no difference from mixup under Square: mixup was attacked on other images." in said(made)


def test_a_reference_that_kept_no_outcomes_is_not_said_to_be_unattacked(both):
    first, second = both
    bare = replace(first, runs=tuple(replace(one, attacks={}) for one in first.runs))
    found = told(report([bare, second]))["attacks"]["pgd"]["against"]
    assert found == {"arm": "mixup", "why": "of mixup only means are kept"}
    never = replace(bare, runs=tuple(replace(one, evaluations={}) for one in bare.runs))
    made = report([never, second])
    assert told(made)["attacks"]["pgd"]["against"]["why"] == "mixup was not attacked so"
    assert "human: no difference from mixup under PGD: mixup was not attacked so." in said(made)


def test_the_loss_under_pgd_is_a_figure_from_the_start_to_after_the_last_step(content):
    (figure,) = [one.as_dict() for one in figures_of(content, "source")]
    losses = [y for _, y in figure["series"][0]["points"]]
    assert losses == pytest.approx([0.9, 1.1, told(content, "mixup")["attacks"]["pgd"]["loss"]])
    assert [row[0] for row in figure["table"]["rows"]] == [0, 1, 2]


def test_masked_gradients_are_said_with_the_seeds_that_show_them(content):
    found = told(content)["attacks"]["masked_gradients"]
    assert found[0] == "seed 0: no sign of masked gradients."
    assert found[1].startswith("seed 1: gradients look masked")
    assert found[1].endswith("Square breaks 12 images.")
    assert "mixup, human: seed 0: no sign of masked gradients." in said(content)


def test_break_rate_and_instability_stand_side_by_side_for_each_transform(both, content):
    rows = {one["key"]: one for one in told(content)["transforms"]}
    runs = [one.robustness for one in both[1].runs]
    for name in ("fog", "flip_vertical"):
        for key, of in (("break_rate", robustness.break_rates), ("instability", robustness.instability)):
            each = [value for one in runs for (which, _), value in of(one).items() if which == name]
            assert rows[name][key]["value"] == pytest.approx(np.mean(each))
            low, high = rows[name][key]["interval"]
            assert low < rows[name][key]["value"] < high
    shown = table(content, "human, by transform")
    assert shown.columns[:4] == ("Transform", "Group", "Break rate ↓", "Instability ↓")
    assert len(shown.rows) == 20


def test_break_rates_of_two_arms_are_of_the_images_that_both_have_right(both, content):
    (found,) = [one for one in told(content)["against"]["breaks"] if one["key"] == "fog"]
    rates = []
    for ours, theirs in zip(both[1].runs, both[0].runs, strict=True):
        a, b = ours.robustness, theirs.robustness
        alike = a.right & b.right
        fog = [k for k, (name, _) in enumerate(a.transforms) if name == "fog"]
        rates.append([one.wrong_under[fog][:, alike].mean() for one in (a, b)])
    ours, theirs = np.mean(rates, axis=0)
    assert (found["ours"], found["theirs"]) == pytest.approx((ours, theirs))
    assert found["value"] == pytest.approx(ours - theirs)
    row = next(one for one in table(content, "human, by").rows if one[0] == "Fog")
    assert row[4:6] == pytest.approx((ours, theirs))


def test_failures_are_named_as_people_find_them_and_not_all_of_one_transform(both):
    numbered = [
        replace(one, runs=tuple(replace(each, numbers=np.arange(N) + 1000) for each in one.runs))
        for one in both
    ]
    made = report(numbered, CLASS_NAMES)
    found = told(made)["failures"]
    assert found
    first = both[1].runs[0].robustness
    for one in found:
        assert one["number"] == one["image"] + 1000
        assert one["class"] == CLASS_NAMES[first.labels[one["image"]]]
        assert one["class_under"] == CLASS_NAMES[one["predicted_under"]] != one["class"]
    names = [one["transform"] for one in found]
    assert max(names.count(name) for name in names) <= 2
    drops = [one["p_label"] - one["p_label_under"] for one in found]
    assert drops == sorted(drops, reverse=True)
    shown = table(made, "human, seed 0")
    assert shown.rows[0][:2] == (str(found[0]["number"]), found[0]["class"])
    assert told(report(both))["failures"][0]["class"] in {str(k) for k in range(CLASSES)}


def test_why_there_is_no_score_and_no_corruption_error_is_said(both):
    def without(made, group):
        one = made.robustness
        keep = [k for k, (name, _) in enumerate(one.transforms) if (name in group) is False]
        return replace(
            made,
            robustness=replace(
                one,
                transforms=tuple(one.transforms[k] for k in keep),
                predicted_under=one.predicted_under[keep],
                p_label_under=one.p_label_under[keep],
            ),
        )

    for group, words in (
        ("rotate", "a risk score needs every transform"),
        ("fog", "takes the 15 corruptions"),
    ):
        fewer = [replace(one, runs=tuple(without(each, (group,)) for each in one.runs)) for one in both]
        made = report(fewer)
        assert told(made)["score"] is None
        assert any(words in text for text in told(made)["missing"])
        assert f"mixup, human: {told(made)['missing'][0]}." in said(made)
    assert told(made)["mce_percent"] is None


def wrong_on(made, n):
    """The run as if it were wrong on its first `n` images, whatever was done to them, and right on all others."""
    one = made.robustness
    named = np.where(np.arange(N) < n, (one.labels + 1) % CLASSES, one.labels)
    under = np.tile(named, (len(one.transforms), 1))
    return replace(made, robustness=replace(one, predicted=named, predicted_under=under))


def without_corruptions(each, *places):
    """The arm, of which the runs at these places left nothing of what corruptions did."""
    runs = [replace(one, robustness=None) if k in places else one for k, one in enumerate(each.runs)]
    return replace(each, runs=tuple(runs))


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "mCE is undefined: mixup makes no error under some corruption"),
        (1, "mCE is undefined: mixup makes so few errors that some draws of images hold none"),
    ],
)
def test_an_undefined_corruption_error_is_said_to_be(n, words):
    made = report([arm("mixup", [wrong_on(run(0), n)]), arm("human", [run(0, breaks=0.2)])])
    assert told(made)["mce_percent"] is None
    assert [text.startswith(words) for text in told(made)["missing"]] == [True]


@pytest.mark.parametrize("places", [(0, 1), (0,)])
def test_a_reference_without_corruptions_is_not_said_to_make_no_error(both, places):
    made = report([without_corruptions(both[0], *places), both[1]])
    assert told(made)["mce_percent"] is None
    assert told(made)["missing"] == [
        "mCE is not assessed: mixup was not put through the 15 corruptions with every seed"
    ]


def test_corruptions_are_not_said_to_be_unasked_where_one_run_has_lost_them(both):
    assert told(report([both[0], without_corruptions(both[1], 1)]))["not_assessed"] == (
        "what corruptions did is not here for seed 1"
    )
    lost = without_corruptions(both[1], 0, 1)
    assert told(report([both[0], lost]))["not_assessed"].startswith("no corruptions were evaluated")
    kept = {"robustness": {"mean_error": {"value": 0.2}}}
    lost = replace(lost, runs=tuple(replace(one, evaluations=kept) for one in lost.runs))
    assert told(report([both[0], lost]))["not_assessed"] == "what corruptions did is not here for seeds 0, 1"


def test_no_interval_goes_beyond_what_can_be_or_is_a_point():
    few = [wrong_on(run(seed), 2) for seed in (0, 1)]
    few = [
        replace(
            one,
            attacks={name: replace(each, correct=each.rows > 1) for name, each in one.attacks.items()},
            robustness=replace(one.robustness, predicted_under=broken(one.robustness)),
        )
        for one in few
    ]
    found = told(report([arm("mixup", few)]), "mixup")
    rates = [row[key] for row in found["transforms"] for key in ("break_rate", "instability")]
    rates += [found[key] for key in ("accuracy", "mean_error")] + list(found["groups"].values())
    rates += [one["measured"]["accuracy"] for key, one in found["attacks"].items() if key in ATTACKS]
    assert len(rates) > 40
    for one in rates:
        low, high = one["interval"]
        assert 0 <= low <= one["value"] <= high <= 1
        assert low < high
    fog, flip = (
        next(row["break_rate"] for row in found["transforms"] if row["key"] == key)
        for key in ("fog", "flip_vertical")
    )
    assert 0 < fog["value"] < 0.01
    assert fog["interval"][0] == 0  # a normal interval goes below
    assert flip["value"] == 0
    assert flip["interval"] == pytest.approx(intervals.wilson(0, N - 2))
    low, high = found["score"]["interval"]
    assert 0 <= low < found["score"]["value"] < high


def broken(one):
    """What is predicted where fog of any strength breaks one image, and nothing else any."""
    under = np.tile(one.predicted, (len(one.transforms), 1))
    for k, (name, _) in enumerate(one.transforms):
        if name == "fog":
            under[k, -1] = (one.labels[-1] + 1) % CLASSES
    return under


def test_a_score_of_nothing_broken_is_not_certain():
    none = wrong_on(run(0), 2)
    found = told(report([arm("mixup", [none])]), "mixup")
    assert found["score"]["value"] == 0
    assert found["score"]["interval"] == pytest.approx([100 * end for end in intervals.wilson(0, N - 2)])


def test_a_warning_of_one_seed_is_not_told_of_the_arm():
    assert by_seed([(1, "small.")], (0, 1)) == ["seed 1: small."]
    assert by_seed([(0, "small."), (1, "small.")], (0, 1)) == ["small."]


def test_a_risk_score_without_a_paired_difference_says_why(both):
    other = replace(both[1], runs=tuple(replace(one, seed=one.seed + 5) for one in both[1].runs))
    made = report([both[0], other])
    assert "score" not in told(made)["against"]
    assert "no difference from mixup: the two arms have no seed in common." in said(made)[1]


def test_the_corruption_error_names_its_reference_and_is_100_for_it(content):
    shown = table(content, f"{N} corrupted")
    assert "mCE, percent of mixup's errors ↓" in shown.columns
    assert shown.rows[0][-1] == "100 (reference)"
    low, high = told(content)["mce_percent"]["interval"]
    assert low < told(content)["mce_percent"]["value"] < high < 100


def test_transforms_and_failures_are_folded_away_and_shown_in_words_by_a_whole_report(content):
    shown = [one for one in sections_of(whole(content)) if one.key.startswith("robustness")]
    assert [(one.key, one.folded) for one in shown] == [
        ("robustness", False),
        ("robustness-by-transform", True),
    ]
    assert all(one.tables and one.sentences for one in shown)
    assert sum(one.caption.startswith("human") for one in shown[1].tables) == 2


def whole(content):
    """A report of nothing else."""
    nothing = {"planned": [], "exploratory": [], "n_exploratory": 0, "impossible": []}
    return {
        "format": "hilmix-report/2",
        "source": "person",
        "config": {"primary": "log_loss"},
        "primary": "log_loss",
        "reference": "",
        "figures": [],
        "arms": [],
        "metrics": [],
        "contrasts": nothing,
        "choice": {"arm": None, "sentence": "No arm is chosen."},
        "calibration": {},
        "mixed": {},
        "robustness": content,
        "diagnosis": {},
        "not_assessed": [],
    }

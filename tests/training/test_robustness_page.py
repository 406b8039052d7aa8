"""Two arms side by side under changes: what is stored, what is said of it, and the page."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.mixing import from_png
from tests.training import reported
from tests.training.reported import CLEAN, PROVENANCE, N, arm, judged
from training.choices.services import has_seen
from training.evaluation.corruptions import TRANSFORMS, corrupted
from training.evaluation.robustness import Assessment, corruption_error
from training.experiments.services import create_experiment
from training.models import Run
from training.reports import robust_tables
from training.reports.content import report_content
from training.reports.inputs import RunResult
from training.reports.models import Report
from training.reports.robustness import storing, words
from training.reports.robustness.augmented import BETTER, UNCLEAR, WORSE, effects_of, strengths_of
from training.reports.robustness.comparing import compare_arms
from training.reports.robustness.figures import arms_heat, figures_of, galleries_of
from training.reports.robustness.pair import changes_of, pair_of

NOISE, ROTATION = ("gaussian_noise", "shot_noise", "impulse_noise"), ("rotate",)
SEEDS, OFFSET = range(5), 100


def run(seed, noise, rotation, *, luck=0, numbered=N):
    """A run that noise and rotation break in these shares of the images, everything else in a tenth."""
    test = judged(seed, 4.0, human=False, luck=luck)
    found = reported.corrupted(test, seed, breaks=0.1)
    rng = np.random.default_rng([seed, luck, 9])
    under, p_under = found.predicted_under.copy(), found.p_label_under.copy()
    for names, share in ((NOISE, noise), (ROTATION, rotation)):
        for k, (name, _) in enumerate(found.transforms):
            if name in names:
                hit = rng.random(N) < share
                under[k] = np.where(hit, (found.predicted + 1) % 3, found.predicted)
                p_under[k] = np.where(hit, 0.02, 0.9)
    made = Assessment(found.labels, found.predicted, found.p_label, found.transforms, under, p_under)
    return RunResult(
        seed=seed, curves=[], metrics={}, environment={}, n_steps=10, plan_sha256="p", test=test,
        robustness=made, numbers=(np.arange(N) + OFFSET) % numbered,
    )  # fmt: skip


def made_arms(numbered=N):
    """B was augmented with noise and rotation: worse under the one, better under the other; C starts from B. The images
    have the numbers below `numbered`, again and again."""
    each = {"A": (0.1, 0.4), "B": (0.5, 0.1), "C": (0.1, 0.1)}
    settings = {
        "A": {},
        "B": {"augment": {"noise": 0.1, "rotation": 15.0}},
        "C": {"augment": {"flip": True}, "start_from": "B"},
    }
    return [
        arm(
            name,
            [run(seed, *shares, luck=luck, numbered=numbered) for seed in SEEDS],
            settings=settings[name],
            policy="" if name == "A" else name,
        )
        for luck, (name, shares) in enumerate(each.items())
    ]


@pytest.fixture(scope="module")
def arms():
    return made_arms()


@pytest.fixture(scope="module")
def compared(arms):
    return compare_arms(arms)


@pytest.fixture(scope="module")
def content(arms):
    return content_of(arms)


def content_of(arms, source="person"):
    return report_content(
        name="trial", source=source, arms=arms, leakage=CLEAN, provenance=PROVENANCE,
        config={"seeds": list(SEEDS)}, classes=("cat", "dog", "frog"),
    )  # fmt: skip


def pair(content, compared, a="A", b="B", *, simulated=False):
    classes = ("cat", "dog", "frog")
    return pair_of(content["robustness"], compared, a, b, simulated=simulated, classes=classes)


def test_rates_are_of_what_both_have_right_at_each_severity(arms, compared):
    place = compared.rows.index(("rotate", 3))
    found = compared.apart[compared.pairs.index((0, 1)), place]
    rates = []
    for one, other in zip(arms[0].runs, arms[1].runs, strict=True):
        a, b = one.robustness, other.robustness
        k, alike = a.transforms.index(("rotate", 3)), a.right & b.right
        rates.append([each.wrong_under[k][alike].mean() for each in (a, b)])
    ours, theirs = np.mean(rates, axis=0)
    assert found[[0, 3, 6]] == pytest.approx([ours, theirs, ours - theirs], abs=1e-6)
    assert found[1] < found[0] < found[2]
    assert found[7] < found[6] < found[8]
    assert found[7] > 0


def test_rates_of_a_transform_agree_with_those_of_the_report(content, compared):
    """The report compares with the reference by the same draws."""
    told = next(one for one in content["robustness"]["arms"] if one["name"] == "B")
    fog = next(one for one in told["against"]["breaks"] if one["key"] == "fog")
    shown = pair(content, compared, "B", content["robustness"]["reference"])
    row = shown.rows.index(("fog", 0))
    assert shown.apart[row] == pytest.approx([fog["value"], *fog["interval"]], abs=1e-6)


def test_the_other_way_round_everything_changes_its_sign_and_side(content, compared):
    one, other = pair(content, compared), pair(content, compared, "B", "A")
    assert other.apart == pytest.approx(-one.apart[:, [0, 2, 1]], nan_ok=True)
    assert np.array_equal(one.of_a, other.of_b, equal_nan=True)
    assert other.less["score"]["value"] == -one.less["score"]["value"]
    assert other.less["score"]["interval"] == [-end for end in one.less["score"]["interval"][::-1]]
    assert [each["number"] for each in one.a_breaks] == [each["number"] for each in other.b_breaks]
    first, turned = one.a_breaks[0], other.b_breaks[0]
    assert (first["p_a_under"], first["p_b_under"]) == (turned["p_b_under"], turned["p_a_under"])
    assert first["label"] == turned["label"]


def test_what_one_breaks_the_other_holds(arms, compared, content):
    shown = pair(content, compared)
    a, b = (each.runs[0].robustness for each in arms[:2])
    assert shown.a_breaks
    for flip in shown.a_breaks:
        image, key = (int(flip["number"]) - OFFSET) % N, shown.rows[int(flip["key"])]
        k = a.transforms.index(key)
        assert a.right[image]
        assert b.right[image]
        assert a.wrong_under[k, image]
        assert not b.wrong_under[k, image]
        assert flip["p_a_under"] == a.p_label_under[k, image]
    names = [shown.rows[int(flip["key"])][0] for flip in shown.a_breaks]
    assert max(names.count(name) for name in names) <= 2


def test_what_got_worse_although_it_was_augmented_for_is_named(content, compared):
    strengths = strengths_of(content)
    assert strengths["B"] == {"rotation": 15.0, "noise": 0.1}
    assert strengths["C"] == {"rotation": 15.0, "noise": 0.1, "flip": 1.0}
    found = {one.change: one for one in effects_of(pair(content, compared), strengths)}
    assert found["Gaussian noise"].outcome == WORSE
    assert found["Gaussian noise"].arm == "B"
    assert found["Rotation"].outcome == BETTER
    assert found["Shot noise"].akin
    assert not found["Rotation"].akin
    assert "Fog" not in found
    turned = {one.change: one for one in effects_of(pair(content, compared, "B", "A"), strengths)}
    assert turned["Rotation"].difference == found["Rotation"].difference
    flips = effects_of(pair(content, compared, "C", "B"), strengths)
    assert {one.change for one in flips} == {"Flip, left–right", "Flip, top–bottom"}
    assert {one.outcome for one in flips} <= {UNCLEAR, BETTER, WORSE}
    said = words.about_effects(list(found.values()))
    assert "although it was augmented for it" in said
    assert "gaussian noise (B)" in said
    table = words.effect_table(list(found.values()), simulated=False)
    assert "not adjusted for the number of changes" in table.caption
    worse = [one.change for one in found.values() if one.outcome == WORSE]
    assert [row[0] for row in table.rows[: len(worse)]] == worse
    by_change = {row[0]: row[-1] for row in table.rows}
    assert by_change["Gaussian noise"] == "worse: it breaks more often, although augmented for it"
    akin = replace(found["Shot noise"], difference=(0.2, 0.1, 0.3))
    first, *_ = words.effect_table([found["Rotation"], akin], simulated=False).rows
    assert first[0] == "Shot noise"
    assert first[-1] == "worse: it breaks more often, although augmented with an akin change"


def test_relative_corruption_error_has_no_row_of_dashes(content, compared):
    told = copy.deepcopy(content)
    for one in told["robustness"]["arms"]:
        one["relative_mce_percent"] = None
    name = "Relative mCE, percent ↓"
    assert name in {row[0] for row in words.score_table(pair(content, compared), ()).rows}
    assert name not in {row[0] for row in words.score_table(pair(told, compared), ()).rows}
    heads = robust_tables.overview(told["robustness"])[1][0].columns
    assert not any(head.startswith("Relative") for head in heads)


def test_simulated_answers_get_numbers_and_no_verdict(content, compared):
    shown = pair(content, compared, simulated=True)
    effects = effects_of(shown, strengths_of(content))
    said = " ".join(words.headline(shown, effects))
    said += " ".join(one.reading for one in figures_of(shown, content["robustness"]["groups"], "fog", "s"))
    assert "No verdict" in said
    for word in ("less often", "more often", "separable"):
        assert word not in said
    assert "With more of it" not in words.effect_table(effects, simulated=True).columns


def test_every_figure_has_a_reading_and_its_numbers_in_a_table(content, compared):
    shown = pair(content, compared)
    groups = content["robustness"]["groups"]
    figures = [
        *figures_of(shown, groups, "rotate", "source"),
        *arms_heat(compared, changes_of(content["robustness"], compared), 3, "source"),
        *galleries_of(shown, lambda *which: "/".join(map(str, which)), "source"),
    ]
    assert [one.key for one in figures] == [
        "differences", "side_by_side", "groups", "severities", "heat_of_both", "heat_of_arms", "a_breaks", "b_breaks",
    ]  # fmt: skip
    for figure in figures:
        assert figure.reading
        assert figure.definition
        assert all(len(row) == len(figure.table.columns) for row in figure.table.rows)
    by_key = {one.key: one for one in figures}
    assert len(by_key["differences"].y_categories) == 20
    assert "rotation" in by_key["differences"].reading
    assert len(by_key["severities"].series[0].points) == 5
    assert len(by_key["heat_of_both"].series[0].points) == 2 * 92
    (_first, under) = by_key["a_breaks"].items[0].images
    number, key, severity = under.address.split("/")
    assert 0 <= int(number) < N
    assert 1 <= int(severity) <= len(TRANSFORMS[key].severities)
    assert "keeps it" in by_key["a_breaks"].items[0].caption


def test_relative_corruption_error_is_told_or_why_it_is_not(content, arms):
    found = {one["name"]: one for one in content["robustness"]["arms"]}
    a, reference = (each.runs for each in (arms[1], arms[0]))
    each = [
        corruption_error(x.robustness, y.robustness, "A", draws=100).relative_mce_percent.value
        for x, y in zip(a, reference, strict=True)
    ]
    assert found["B"]["relative_mce_percent"]["value"] == pytest.approx(np.mean(each))
    assert found["A"]["relative_mce_percent"]["value"] == pytest.approx(100)
    none = [replace(one, robustness=_untouched(one.robustness)) for one in reference]
    made = content_of([replace(arms[0], runs=tuple(none)), arms[1]])["robustness"]["arms"][1]
    assert made["relative_mce_percent"] is None
    assert any(text.startswith("relative mCE is undefined") for text in made["missing"])


def _untouched(one):
    """As if it were wrong on a tenth of the images, and no change did anything to any."""
    named = np.where(np.arange(N) < N // 10, (one.labels + 1) % 3, one.labels)
    under = np.tile(named, (len(one.transforms), 1))
    return replace(one, predicted=named, predicted_under=under)


def test_arms_without_a_common_seed_or_without_changes(arms):
    bare = replace(arms[2], runs=tuple(replace(one, robustness=None) for one in arms[2].runs))
    later = replace(arms[1], runs=tuple(replace(one, seed=one.seed + 9) for one in arms[1].runs))
    assert compare_arms([bare]) is None
    found = compare_arms([arms[0], later, bare])
    assert found.arms == ("A", "B")
    assert np.isnan(found.apart).all()
    assert found.n_seeds.tolist() == [0]
    shown = pair(content_of([arms[0], later]), found)
    assert "no seed in common" in words.headline(shown, [])[0]
    assert figures_of(shown, ["noise"], "fog", "s")[0].key == "groups"
    assert galleries_of(shown, lambda *which: "", "s") == []


# -- the page


@pytest.fixture
def experiment(config, arms, compared):
    """An experiment with a report of people's answers, as if its runs had been put through changes."""
    made = create_experiment(config=config, actor=OPERATOR)
    Run.objects.filter(arm__experiment=made).update(finished_at=timezone.now())
    content = content_of(arms)
    content["robustness"]["compared"] = storing.store(made.pk, compared)
    Report.objects.create(experiment=made, content=content)
    return made


def shown(client, experiment, **asked):
    return client.get(reverse("robustness", args=[experiment.pk]), asked)


def test_the_page_shows_two_arms_side_by_side(client, admin, experiment):
    client.force_login(admin)
    with CaptureQueriesContext(connection) as queries:
        reply = shown(client, experiment)
    page = reply.content.decode()
    assert len(queries) < 10
    assert "no arm has been chosen yet" not in page
    assert len(reply.content) < 1_000_000
    assert "A beside B" in page
    assert "Relative mCE" in page
    assert page.count('class="figure card') == 8
    other = shown(client, experiment, a="C", b="A", of="rotate", severity="3").content.decode()
    assert "C beside A" in other
    assert "Rotation, by severity" in other
    assert "All arms, severity 3" in other
    for odd in ({"a": "A", "b": "A"}, {"a": "<b>", "of": "x", "severity": "²"}):
        assert shown(client, experiment, **odd).status_code == 200


def test_a_first_visit_before_a_choice_is_written_down_in_few_queries(client, admin, experiment):
    report = experiment.report
    report.content["choice"]["arm"] = "A"
    report.save()
    client.force_login(admin)
    for asked in ({}, {"test": "shown"}, {}):
        with CaptureQueriesContext(connection) as queries:
            page = shown(client, experiment, **asked).content.decode()
        assert len(queries) < 10, [one["sql"][:90] for one in queries]
    assert "no arm has been chosen yet" in page


def test_it_stays_folded_until_it_is_unfolded_or_a_file_is_taken(client, admin, researcher, experiment):
    report = experiment.report
    report.content["choice"]["arm"] = "A"
    report.save()
    client.force_login(admin)
    page = shown(client, experiment, a="C", b="A").content.decode()
    assert "Until an arm is chosen" in page
    assert 'href="?a=C&amp;b=A&amp;test=shown"' in page
    for figures in ("Risk score", "figure card", "Attacks"):
        assert figures not in page
    assert not has_seen(experiment, admin)
    assert "Risk score" in shown(client, experiment, test="shown").content.decode()
    assert has_seen(experiment, admin)
    client.force_login(researcher)
    assert "had before an arm was chosen" in shown(client, experiment, figure="differences.csv").text
    assert has_seen(experiment, researcher)


def test_figures_and_images_are_sent_as_files(client, admin, experiment):
    client.force_login(admin)
    reply = shown(client, experiment, figure="differences.csv")
    assert reply["Content-Type"].startswith("text/csv")
    assert b"Gaussian noise" in reply.content
    assert shown(client, experiment, figure="none.csv").status_code == 404
    assert shown(client, experiment, figure="a_breaks.png").content.startswith(b"\x89PNG")

    def image(*which):
        return client.get(reverse("robustness_image", args=[experiment.pk, *which]))

    pixels = experiment.image_set.open().images[150]
    assert np.array_equal(from_png(image(150, "none", 0).content), pixels)
    wanted = corrupted(np.asarray(pixels)[None], "glass_blur", 3)[0]
    assert np.array_equal(from_png(image(150, "glass_blur", 3).content), wanted)
    for which in ((10**6, "none", 0), (1, "nothing", 1), (1, "rotate", 6), (1, "rotate", 0)):
        assert image(*which).status_code == 404


def test_what_is_lacking_is_said(client, admin, experiment):
    client.force_login(admin)
    report = experiment.report
    del report.content["robustness"]["compared"]
    report.save()
    assert "Write it anew" in shown(client, experiment).content.decode()
    report.content["robustness"]["arms"] = []
    report.save()
    assert "Name some with robustness" in shown(client, experiment).content.decode()
    report.delete()
    assert "There is no report yet" in shown(client, experiment).content.decode()


def test_whoever_may_not_see_the_experiment_sees_neither_page_nor_images(client, experiment):
    client.force_login(User.objects.create_user("nobody"))
    assert shown(client, experiment).status_code == 404
    assert client.get(reverse("robustness_image", args=[experiment.pk, 1, "none", 0])).status_code == 404


def test_an_earlier_comparison_goes_when_a_later_one_is_kept(settings, tmp_path, compared):
    settings.VAR = tmp_path
    first = storing.store(1, compared)
    second = storing.store(1, replace(compared, n_both=compared.n_both + 1))
    assert first != second == storing.store(1, replace(compared, n_both=compared.n_both + 1))
    assert np.array_equal(storing.read(1, second).apart, compared.apart, equal_nan=True)
    storing.keep_only(1, second)
    assert storing.read(1, first) is None
    assert [path.name for path in storing.folder_of(1).iterdir()] == [second]

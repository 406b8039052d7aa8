"""Which class is taken for which, as a figure of the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.metrics import confusion_matrix

from hilmix.drawing import draw
from hilmix.figures import show
from tests.training.reported import CLASSES, N, arm, report, run
from training.reports.confusion import LISTED, confusion_of, figures_of

NAMES = ("cat", "dog", "van")


def _stored(counts):
    return replace(run(0), evaluations={"test": {"confusion": counts}}, test=None)


def test_counts_of_all_seeds_are_added_and_a_rate_is_of_all_in_its_row():
    runs = [_stored([[8, 2, 0], [0, 5, 0], [1, 0, 4]]), _stored([[9, 1, 0], [0, 5, 0], [0, 0, 5]])]
    (figure,) = figures_of([arm("mixup", runs)], NAMES, 20, "release x")
    (series,) = figure.series
    assert series.points == (
        (0, 0, 17, 0.85), (1, 0, 3, 0.15), (1, 1, 10, 1.0), (0, 2, 1, 0.1), (2, 2, 9, 0.9),
    )  # fmt: skip
    assert figure.x_categories == figure.y_categories == NAMES
    assert figure.table.columns == ("Arm", "Actual", "as cat", "as dog", "as van", "all", "share right")
    assert figure.table.rows[0] == ("mixup", "cat", 17, 3, 0, 20, 0.85)
    assert "cat is taken for dog: 3 of 4 mistakes" in figure.reading


def test_runs_that_kept_no_matrix_have_it_from_their_predictions_and_it_is_sklearns():
    one = run(0)
    wanted = confusion_matrix(one.test.labels, one.test.p.argmax(axis=1), labels=range(CLASSES))
    assert (confusion_of(one) == wanted).all()
    assert (confusion_of(replace(one, evaluations={})) == wanted).all()
    assert confusion_of(replace(one, evaluations={}, test=None)) is None


def test_an_arm_of_which_a_run_is_not_known_has_no_panel():
    unknown = replace(run(1), evaluations={}, test=None)
    arms = [arm("mixup", [run(0), unknown]), arm("shrunk", [run(0), run(1)])]
    (figure,) = figures_of(arms, NAMES, N, "release x")
    assert [series.name for series in figure.series] == ["shrunk"]
    assert figures_of(arms[:1], NAMES, N, "release x") == []


def test_a_class_without_images_and_a_model_without_mistakes_are_said():
    (figure,) = figures_of([arm("mixup", [_stored([[3, 0], [0, 0]])])], (), 3, "release x")
    assert figure.x_categories == ("0", "1")
    assert figure.reading == "No test image was taken for another class."
    assert [show(cell) for cell in figure.table.rows[1]] == ["mixup", "1", "0", "0", "0", "–"]


def test_of_many_classes_the_table_lists_the_most_frequent_confusions():
    counts = np.random.default_rng(0).integers(0, 9, (40, 40)) + 50 * np.eye(40, dtype=int)
    (figure,) = figures_of([arm("mixup", [_stored(counts.tolist())])], (), 40, "release x")
    rows = figure.table.rows
    assert len(rows) == LISTED
    assert all(actual != predicted for actual, predicted, _count in rows)
    found = [count for *_pair, count in rows]
    assert found == sorted(found, reverse=True)
    assert found[0] == 8


def test_the_report_has_it_for_every_arm_and_it_is_drawn():
    content = report([arm("mixup", [run(0), run(1)]), arm("shrunk", [run(0), run(1)])])
    figure = next(one for one in content["figures"] if one["key"] == "confusion")
    assert [len(series["points"]) > CLASSES for series in figure["series"]] == [True, True]
    total = sum(point[2] for point in figure["series"][0]["points"])
    assert total == 2 * N
    assert draw(figure, content["watermark"], "png").startswith(b"\x89PNG")


def test_points_of_reliability_have_their_band_and_whether_they_are_thin():
    content = report([arm("mixup", [run(0), run(1)])])
    figure = next(one for one in content["figures"] if one["key"] == "reliability")
    bins = [one for one in content["calibration"]["mixup"][0]["bins"] if one["n"]]
    points = figure["series"][0]["points"]
    assert [point[3:5] for point in points] == [one["band"] or [None, None] for one in bins]
    assert [point[5] for point in points] == [int(one["thin"]) for one in bins]
    assert {point[5] for point in points} == {0, 1}
    assert "hollow below 20" in figure["table"]["caption"]

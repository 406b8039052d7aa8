from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.features import FEATURES, features_of
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.release import Release
from hilmix.core.softlabels import POLICIES, LabelSet, PerceptualMixup, build_label_set

LAMBDAS_E4 = (1000, 2500, 5000, 7500, 9000)
TRUTH: dict[str, Any] = {
    "a1": 0.6,
    "a2": -1.5,
    "features": {
        name: {"b": b, "scale": 1.0} for name, b in zip(FEATURES, (0.25, 0.0, -0.15, 0.0), strict=True)
    },
}


def study(
    n: int = 400, people: int = 20, noise: float = 0.15, truth: dict[str, Any] | None = TRUTH
) -> tuple[list[Unit], np.ndarray]:
    """Mixtures of images with normal features, each judged by three people whose share is `truth`'s, give or take."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 2, len(FEATURES)))
    lambdas = np.array([LAMBDAS_E4[i % 5] for i in range(n)])
    shares = (
        lambdas / 10_000 if truth is None else PerceptualMixup.of(truth).share_of(lambdas / 10_000, features)
    )
    units = []
    for i, share in enumerate(shares):
        answers = tuple(
            Answer(f"p{person:02}", PerceivedLambda(float(np.clip(rng.normal(share, noise), 0, 1))))
            for person in rng.choice(people, 3, replace=False)
        )
        units.append(Unit(f"u{i}", int(lambdas[i]), i % 3, (i + 1) % 3, answers, (2 * i, 2 * i + 1)))
    return units, features


def warped(units: list[Unit], features: np.ndarray) -> LabelSet:
    return build_label_set("perceptual_warp", units, 3, features=features)


def some_images(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 6, 3)).astype(np.uint8)


def test_it_is_0_and_1_at_the_ends_and_turns_with_the_images():
    warp = PerceptualMixup.of(TRUTH)
    first, second = some_images(40, 1), some_images(40, 2)
    lambdas = np.linspace(0, 1, 40)
    assert warp.share(np.zeros(40), first, second).tolist() == [0.0] * 40
    assert warp.share(np.ones(40), first, second).tolist() == [1.0] * 40
    turned = 1 - warp.share(1 - lambdas, second, first)
    assert warp.share(lambdas, first, second) == pytest.approx(turned, abs=1e-15)
    assert np.ptp(warp.share(np.full(40, 0.5), first, second)) > 0.01


def test_an_image_mixed_with_itself_in_equal_parts_is_seen_so():
    images = some_images(5, 3)
    assert PerceptualMixup.of(TRUTH).share(np.full(5, 0.5), images, images).tolist() == [0.5] * 5


def test_what_never_varies_such_as_the_colour_of_grey_images_has_no_part():
    units, features = study(n=100)
    features[:, :, FEATURES.index("saturation")] = 0
    assert warped(units, features).params["features"]["saturation"]["b"] == 0


def test_the_busier_image_weighs_more_where_its_coefficient_says_so():
    busy, flat = some_images(1, 4), np.full((1, 6, 6, 3), 128, dtype=np.uint8)
    truth = {
        **TRUTH,
        "features": {
            name: {**row, "b": 0.2 * (name == "log_edge_energy")} for name, row in TRUTH["features"].items()
        },
    }
    assert PerceptualMixup.of(truth).share([0.5], busy, flat)[0] > 0.6


def test_more_of_an_image_is_never_seen_as_less_of_it_however_much_the_images_differ():
    warp = PerceptualMixup.of({**TRUTH, "a1": 0.9, "a2": -2.4})
    lambdas = np.linspace(0, 1, 401)
    for difference in (-1000, -3, -1, 0, 1, 3, 1000):
        features = np.zeros((401, 2, 4))
        features[:, 0, 0] = difference
        assert np.all(np.diff(warp.share_of(lambdas, features)) >= 0)
    assert 0.8 < warp.reach < 1


def test_a_label_gives_the_share_to_the_first_class_and_the_rest_to_the_second():
    warp = PerceptualMixup.of(TRUTH)
    first, second = some_images(2, 1), some_images(2, 2)
    labels = warp.label([0.3, 0.3], first, second, [0, 2], [1, 2], 3)
    share = warp.share([0.3, 0.3], first, second)
    assert labels[0].tolist() == pytest.approx([share[0], 1 - share[0], 0])
    assert labels[1].tolist() == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("lambdas", [[0.3], [0.3, 1.2], [0.3, np.nan], [[0.3, 0.3]]])
def test_a_lambda_that_is_none_is_refused(lambdas: Any):
    with pytest.raises(DataError, match="one λ between 0 and 1"):
        PerceptualMixup.of(TRUTH).share(lambdas, some_images(2, 1), some_images(2, 2))


def test_it_finds_what_the_answers_were_made_of():
    units, features = study(2000, noise=0.04)
    params = warped(units, features).params
    scale = {name: row["scale"] for name, row in params["features"].items()}
    found = {name: row["b"] / scale[name] for name, row in params["features"].items()}
    assert found == pytest.approx({name: row["b"] for name, row in TRUTH["features"].items()}, abs=0.05)
    assert (params["a1"], params["a2"]) == (pytest.approx(0.6, abs=0.15), pytest.approx(-1.5, abs=0.3))
    assert params["n_answers"] == 6000
    for held in params["held_out"].values():
        assert held["bits_over_mixup"] > 0.01
        assert held["squared_error"] < held["squared_error_of_mixup"]


def test_it_learns_nothing_where_there_is_nothing_to_learn():
    units, features = study(300, truth=None)
    params = warped(units, features).params
    for held in params["held_out"].values():
        assert held["bits_over_mixup"] == pytest.approx(0, abs=0.005)
    assert max(abs(row["b"]) for row in params["features"].values()) < 0.1


def test_its_labels_are_predicted_and_what_is_kept_makes_them_again():
    units, features = study()
    made = warped(units, features)
    again = PerceptualMixup.of(made.params).share_of([unit.lambda_ for unit in units], features)
    assert [row.lambda_ for row in made.rows] == pytest.approx(again.tolist(), abs=0)
    assert all(row.predicted and row.n == 3 and row.interval is None for row in made.rows)
    assert POLICIES["perceptual_warp"].number == "predicted share"


def test_mixtures_that_nobody_was_asked_about_are_labelled_too_and_plain_ones_are_themselves():
    units, features = study()
    units[7] = replace(units[7], answers=())
    units[8] = replace(units[8], lambda_e4=10_000)
    rows = warped(units, features).rows
    assert rows[7].n == 0
    assert rows[7].lambda_ != units[7].lambda_
    assert rows[8].lambda_ == 1


def test_the_order_of_answers_and_of_people_says_nothing():
    units, features = study()
    turned = [replace(unit, answers=unit.answers[::-1]) for unit in units]
    assert warped(units, features).probabilities == pytest.approx(
        warped(turned, features).probabilities, abs=1e-12
    )


def test_turning_all_mixtures_turns_the_labels():
    units, features = study()
    turned = [
        Unit(
            unit.key, 10_000 - unit.lambda_e4, unit.second_class, unit.first_class,
            tuple(replace(a, judgement=PerceivedLambda(1 - a.judgement.value)) for a in unit.answers),
            unit.parents,
        )
        for unit in units
    ]  # fmt: skip
    assert warped(turned, features[:, ::-1]).probabilities == pytest.approx(
        warped(units, features).probabilities, abs=1e-9
    )


def test_it_needs_features_parents_and_enough_answers():
    units, features = study(60)
    with pytest.raises(DataError, match="needs the pixel features"):
        build_label_set("perceptual_warp", units, 3)
    with pytest.raises(DataError, match="needs to know the parents"):
        warped([replace(units[0], parents=None), *units[1:]], features)
    with pytest.raises(DataError, match="fitted on 30 answers or more, of 5 people or more"):
        warped(units[:5], features[:5])
    one_group = [replace(unit, parents=(0, 2 * i + 1)) for i, unit in enumerate(units)]
    with pytest.raises(DataError, match="5 groups of connected parents"):
        warped(one_group, features)


# --- from a release ---


def released(*fitted: tuple[str, int]) -> Release:
    """A release with a warp of each condition and version."""
    entries = [
        {
            "policy": "perceptual_warp",
            "condition": condition,
            "version": version,
            "params": {**TRUTH, "a1": float(place)},
        }
        for place, (condition, version) in enumerate(fitted)
    ]
    mixup = {"policy": "mixup", "condition": None, "version": 1, "params": {}}
    return Release(Path("nowhere"), {"name": "blends", "version": "1.0.0", "label_sets": [mixup, *entries]})


def test_the_warp_of_a_release_is_the_one_that_was_fitted_on_its_answers():
    assert PerceptualMixup.from_release(released(("own", 1))).curve.tolist() == [0, -1.5]
    two = released(("own", 1), ("others", 1))
    assert PerceptualMixup.from_release(two, "others").curve.tolist() == [1, -1.5]


def test_a_release_without_a_warp_or_with_several_says_so():
    with pytest.raises(DataError, match="has no perceptual_warp"):
        PerceptualMixup.from_release(released())
    with pytest.raises(DataError, match="own, others; name one"):
        PerceptualMixup.from_release(released(("own", 1), ("others", 1)))
    with pytest.raises(DataError, match="own; name one"):
        PerceptualMixup.from_release(released(("own", 1)), "others")
    with pytest.raises(DataError, match="in version 2; this code knows 1"):
        PerceptualMixup.from_release(released(("own", 2)))


def test_features_of_pictures_and_features_known_already_give_the_same():
    warp = PerceptualMixup.of(TRUTH)
    first, second = some_images(3, 1), some_images(3, 2)
    features = np.stack([features_of(first), features_of(second)], axis=1)
    lambdas = [0.1, 0.5, 0.7]
    assert warp.share(lambdas, first, second).tolist() == warp.share_of(lambdas, features).tolist()


# --- what it cannot be fitted on, and how well it predicts ---


def test_answers_that_do_not_follow_lambda_are_refused_in_words():
    units, features = study()
    even = [
        replace(unit, answers=tuple(replace(a, judgement=PerceivedLambda(0.5)) for a in unit.answers))
        for unit in units
    ]
    with pytest.raises(DataError, match="hardly grows with λ"):
        warped(even, features)


def test_how_well_it_predicts_is_said_with_n_and_an_interval_and_whatever_people_are_called():
    units, features = study()
    held = warped(units, features).params["held_out"]
    for one in held.values():
        assert one["n"] == 1200
        low, high = one["bits_interval"]
        assert low < one["bits_over_mixup"] < high
    renamed = [
        replace(unit, answers=tuple(replace(a, participant=a.participant[::-1]) for a in unit.answers))
        for unit in units
    ]
    assert warped(renamed, features).params["held_out"] == held

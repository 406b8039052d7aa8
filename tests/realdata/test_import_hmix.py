"""The published H-Mix answers on the CIFAR-10 test split: imported, frozen, opened again, and written as published."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.studies.models import Study
from elicitation.studies.rules import default_rules
from elicitation.trials.flags import flagged, measures_of
from elicitation.trials.models import Response
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_npz
from hilmix.core.release import open_release
from hilmix.hub.exporting_hmix import INFERENCES, SOFT_LABELS, export_hmix
from hilmix.hub.importers.cifar10s import PUBLISHED, import_cifar10s
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.hmix_tables import (
    ACCUMULATED,
    ALLOCATION,
    ASKED_AGAIN,
    BOTH_UNTOUCHED,
    CATEGORICAL,
    CHOSEN_AND_EXCLUDED,
    CHOSEN_TWICE,
    CONFIDENCE_UNTOUCHED,
    CONSTRUCT,
    GRID_UNKNOWN,
    INFER,
    INSTRUCTION_CUT,
    MIXING_UNTOUCHED,
    NO_ALTERNATIVE_PERCENT,
    NOT_SHOWN,
    OVER_100,
    REPEAT_FAR,
    REVERSED,
    SELECT,
    TABLES,
)
from hilmix.hub.models import SourceRow
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress

pytestmark = [pytest.mark.realdata, pytest.mark.django_db]


@pytest.fixture
def cifar10(settings, tmp_path: Path, realdata: Path) -> ImageSet:
    settings.VAR = tmp_path / "var"
    images, labels, classes, _ = read_npz(realdata / "cifar10_test.npz")
    splits = {name: np.load(realdata / f"cifar10h_split_{name}.npy") for name in ("train", "test")}
    return import_images(
        name="cifar10",
        kind="npz",
        images=images,
        labels=labels,
        classes=classes,
        splits=splits,
        actor=OPERATOR,
    )


@pytest.fixture
def report(cifar10, realdata):
    return import_hmix(directory=realdata / "hmix", image_set=cifar10, actor=OPERATOR)


def test_all_published_answers_come_in_and_every_known_flaw_is_reported(report):
    counts = {
        name: (one.study, one.participants, one.responses, one.mixed_images, one.source_rows)
        for name, one in report.tables.items()
    }
    assert counts == {
        INFER.name: ("hmix", 81, 4950, 2070, 4950),
        SELECT.name: ("hmix-select", 25, 800, 249 * 11, 800),
        CONSTRUCT.name: ("hmix-construct", 45, 1440, 249 * 11, 1440),
        CATEGORICAL.name: ("hmix-categorical", 8, 216, 100, 272),
    }
    assert (report.participants, report.responses, report.study.slug) == (159, 7406, "hmix")
    assert (Response.objects.count(), SourceRow.objects.count()) == (7406, 7462)
    flaws = Counter((flaw["table"], flaw["flaw"]) for flaw in report.flaws)
    assert flaws == {
        (INFER.name, MIXING_UNTOUCHED): 674,  # 13.6%
        (INFER.name, CONFIDENCE_UNTOUCHED): 318,  # 6.4%
        (INFER.name, BOTH_UNTOUCHED): 163,  # 3.3%
        (INFER.name, REVERSED): 240,
        (INFER.name, REPEAT_FAR.format("20 points")): 29,  # 18% of 162
        (INFER.name, ALLOCATION.format("mixed image", 2, 4)): 1,
        (CONSTRUCT.name, NOT_SHOWN[0]): 2,
        (CONSTRUCT.name, NOT_SHOWN[10_000]): 34,
        (CONSTRUCT.name, ACCUMULATED): 704,
        (CONSTRUCT.name, REPEAT_FAR.format("0.1")): 12,  # 13% of 90
        (CONSTRUCT.name, ASKED_AGAIN): 10,
        (CONSTRUCT.name, ALLOCATION.format("pair", 4, 16)): 1,
        (SELECT.name, GRID_UNKNOWN): 1,
        (SELECT.name, INSTRUCTION_CUT): 1,
        (SELECT.name, ASKED_AGAIN): 7,
        (SELECT.name, ALLOCATION.format("pair", 2, 10)): 1,
        (CATEGORICAL.name, OVER_100): 16,
        (CATEGORICAL.name, CHOSEN_AND_EXCLUDED): 3,
        (CATEGORICAL.name, NO_ALTERNATIVE_PERCENT): 15,
        (CATEGORICAL.name, CHOSEN_TWICE): 1,
    }


def test_the_release_of_the_inferences_is_free_of_leakage(report, cifar10):
    release = open_release(freeze_release(study=report.study, actor=OPERATOR, progress=Progress()).directory)
    assert release.manifest["counts"] == {"participants": 81, "responses": 4950, "mixed_images": 2070}
    assert release.source == "imported"
    assert release.label_set("human_lambda_shrunk")["params"]["rho"] == pytest.approx(0.317, abs=5e-4)
    assert release.images().shape == (2070, 32, 32, 3)
    assert len(np.unique(release.parents())) == 2781
    assert not set(release.parents().flatten()) & set(cifar10.open().splits["test"].tolist())
    labels = release.labels("human_lambda_shrunk")
    assert labels.shape == (2070, 10)
    assert labels.sum(axis=1) == pytest.approx(np.ones(2070))
    assert sum(release.table("responses")["counted"].to_pylist()) == 4788
    flags = Counter(
        flag for row in release.table("responses")["flags"].to_pylist() for flag in json.loads(row)
    )
    # 3.3% of 4,950 have both sliders where they started; 240 are on the wrong side.
    assert flags == {"untouched": 163, "reversed": 240, "cannot_tell?": 379}


def test_the_other_studies_can_be_released_too_and_no_default_limit_stands_for_many(report):
    released, stand = {}, {}
    for study in report.studies[1:]:
        release = freeze_release(study=study, actor=OPERATOR, progress=Progress())
        released[study.slug] = open_release(release.directory).manifest["counts"]
    assert released == {
        "hmix-select": {"participants": 25, "responses": 800, "mixed_images": 249 * 11},
        "hmix-construct": {"participants": 45, "responses": 1440, "mixed_images": 249 * 11},
        "hmix-categorical": {"participants": 8, "responses": 216, "mixed_images": 100},
    }
    for study in report.studies[:3]:
        measures = measures_of(study).values()
        stand[study.slug] = Counter(
            one.rule.flag for said in measures for one in flagged(said, default_rules())
        )
    assert stand == {
        "hmix": {"repeat_difference": 5},  # of 81, with two repeats each
        "hmix-select": {"repeat_difference": 6},  # of 25
        "hmix-construct": {"repeat_difference": 8, "disagreement": 1},  # of 45
    }


def test_the_studies_are_written_as_they_were_published(report, realdata, tmp_path):
    export_hmix(directory=tmp_path / "out", actor=OPERATOR)
    for table in TABLES:
        name = f"{table.name}.csv"
        assert (tmp_path / "out" / name).read_bytes() == (realdata / "hmix" / name).read_bytes()
    inferences, published = (
        json.loads(path.read_text())
        for path in (tmp_path / "out" / INFERENCES, realdata / "hmix" / "processed_inferences_sample.json")
    )
    assert len(inferences) == 2070
    for name, record in published.items():
        assert_equal(inferences[name], record)
    labels, published = (
        json.loads(path.read_text())
        for path in (tmp_path / "out" / SOFT_LABELS, realdata / "hmix" / "soft_labels_sample.json")
    )
    assert (len(labels), sum(map(len, labels.values()))) == (100, 216)
    for name, of_image in published.items():  # in which order people stand there is not known
        assert_equal(sorted(labels[name]), sorted(of_image))


def assert_equal(ours: Any, published: Any) -> None:
    """To 1e-9, names included."""
    if isinstance(published, dict):
        assert list(ours) == list(published)
        for name, value in published.items():
            assert_equal(ours[name], value)
    elif isinstance(published, list):
        assert len(ours) == len(published)
        for one, value in zip(ours, published, strict=True):
            assert_equal(one, value)
    else:
        assert ours == (published if isinstance(published, str) else pytest.approx(published, abs=1e-9))


def test_the_sample_of_cifar10s_comes_in_and_its_labels_are_those_of_the_recipe(cifar10, realdata):
    report = import_cifar10s(file=realdata / "cifar10s_sample.json", image_set=cifar10, actor=OPERATOR)
    assert (report.participants, report.responses, report.mixed_images) == (337, 337, 50)
    assert [flaw for flaw in report.flaws if flaw["table"] == PUBLISHED] == []
    study = Study.objects.get(slug="cifar10s")
    release = open_release(freeze_release(study=study, actor=OPERATOR, progress=Progress()).directory)
    assert release.manifest["counts"] == {"participants": 337, "responses": 337, "mixed_images": 50}
    assert release.labels("t2_clamp").sum(axis=1) == pytest.approx(np.ones(50))

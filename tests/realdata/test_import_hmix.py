"""The published H-Mix answers on the CIFAR-10 test split, imported, frozen and opened again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.studies.rules import default_rules
from elicitation.trials.flags import flagged, measures_of
from elicitation.trials.models import Response
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_npz
from hilmix.core.release import open_release
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.hmix_tables import BOTH_UNTOUCHED, CONFIDENCE_UNTOUCHED, MIXING_UNTOUCHED, REVERSED
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


def test_the_published_answers_come_in_whole_and_their_release_is_free_of_leakage(cifar10, realdata):
    result = import_hmix(directory=realdata / "hmix", image_set=cifar10, actor=OPERATOR)
    assert (result.participants, result.responses, result.mixed_images) == (81, 4950, 2070)
    assert (Response.objects.count(), SourceRow.objects.count()) == (4950, 4950)
    flaws = Counter(flaw["flaw"] for flaw in result.flaws)
    shares = {flaw: round(100 * n / 4950, 1) for flaw, n in flaws.items() if flaw != REVERSED}
    assert shares == {MIXING_UNTOUCHED: 13.6, CONFIDENCE_UNTOUCHED: 6.4, BOTH_UNTOUCHED: 3.3}
    assert flaws[REVERSED] == 240

    release = open_release(freeze_release(study=result.study, actor=OPERATOR, progress=Progress()).directory)
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


def test_no_default_limit_stands_for_many_of_the_published_participants(cifar10, realdata):
    study = import_hmix(directory=realdata / "hmix", image_set=cifar10, actor=OPERATOR).study
    stand = Counter(
        one.rule.flag for said in measures_of(study).values() for one in flagged(said, default_rules())
    )
    assert stand == {"repeat_difference": 5}  # of 81, with two repeats each

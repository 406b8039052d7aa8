"""An analysis of the published H-Mix answers gives the figures that are known of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elicitation.images.services import import_images
from elicitation.studies.models import Study
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_npz
from hilmix.hub.analysing import prepare_analysis, run_analysis
from hilmix.hub.importers.hmix import import_hmix
from hilmix.jobs.progress import Progress

pytestmark = [pytest.mark.realdata, pytest.mark.django_db]


@pytest.fixture
def hmix(settings, tmp_path: Path, realdata: Path) -> None:
    settings.VAR = tmp_path / "var"
    images, labels, classes, _ = read_npz(realdata / "cifar10_test.npz")
    splits = {name: np.load(realdata / f"cifar10h_split_{name}.npy") for name in ("train", "test")}
    image_set = import_images(
        name="cifar10",
        kind="npz",
        images=images,
        labels=labels,
        classes=classes,
        splits=splits,
        actor=OPERATOR,
    )
    import_hmix(directory=realdata / "hmix", image_set=image_set, actor=OPERATOR)


def test_the_figures_that_are_known_of_h_mix_come_out_of_the_imported_answers(hmix):
    content = {}
    for study in Study.objects.all():
        analysis = prepare_analysis(study=study, actor=OPERATOR)
        content[study.slug] = run_analysis(analysis=analysis, actor=OPERATOR, progress=Progress()).content
    assert set(content) == {"hmix", "hmix-select", "hmix-construct", "hmix-categorical"}
    _infer(content["hmix"])
    _midpoints(content)
    _classes(content["hmix-categorical"])


def _infer(content) -> None:
    perceived = table(content, "perceived")
    assert perceived["mean"] == pytest.approx([0.138, 0.205, 0.478, 0.754, 0.829], abs=5e-4)
    assert perceived["median"] == pytest.approx([0.08, 0.14, 0.50, 0.83, 0.92])
    assert sum(perceived["n"]) == 4788
    confidence = table(content, "confidence")
    assert confidence["mean"] == pytest.approx([0.795, 0.724, 0.628, 0.720, 0.781], abs=5e-4)
    told = {
        key: figure(content, key)["reading"]
        for key in ("confidence-deviation", "halves", "agreement", "retest")
    }
    assert "r = 0.59" in told["confidence-deviation"]
    assert "r = -0.03" in told["confidence-deviation"]
    assert (
        "13.6% of the answers are exactly one half, 54% of them to uneven mixes (confidence there 0.49)"
        in told["halves"]
    )
    assert "6.6% of those to uneven mixes" in told["halves"]
    assert "a third of these by 8 of 81 people" in told["halves"]
    agreement = table(content, "agreement")
    assert agreement["value"][2] == pytest.approx(0.317, abs=5e-4)
    assert agreement["reliability of a mean"][2] == pytest.approx(0.52, abs=5e-3)
    assert agreement["of 9 answers"][2] == pytest.approx(0.8, abs=1e-2)
    retest = table(content, "retest")
    assert (retest["repeats"], retest["median"]) == ([162], [0.045])
    assert retest["share over it"] == pytest.approx([0.18], abs=5e-3)
    assert table(content, "coverage")["answers"] == [2, 3, 4]
    model = figure(content, "model-share")
    assert "Side and class cannot be separated" in model["definition"]
    terms = table(content, "model-share")["term"]
    assert {"answer before (0 to 1)", "position (first to last)", "class automobile"} < set(terms)
    assert not [term for term in terms if term.startswith("side")]
    pairs = table(content, "by-pair")
    assert (len(set(pairs["class pair"])), sum(pairs["n"])) == (45, 4788)
    (sensitivity,) = content["tables"]
    assert "answers repeats no more alike than other pictures (−5)" in sensitivity["columns"]


def _midpoints(content) -> None:
    construct = table(content["hmix-construct"], "midpoints")
    by_start = dict(zip(construct["start"], construct["mean"], strict=True))
    assert by_start == {
        "low end of λ": pytest.approx(0.510, abs=5e-4),
        "high end of λ": pytest.approx(0.534, abs=5e-4),
        "all": pytest.approx(0.522, abs=5e-4),
    }
    assert construct["median"][-1] == 0.5
    retest = table(content["hmix-construct"], "retest")
    assert (retest["threshold"], retest["share over it"]) == ([0.1], [pytest.approx(0.13, abs=5e-3)])
    for study, least, most in (("hmix-construct", 4, 16), ("hmix-select", 2, 10)):
        answers = table(content[study], "coverage")["answers"]
        assert (answers[0], answers[-1]) == (least, most)


def _classes(content) -> None:
    assert table(content, "coverage") == {"answers": [2], "images or pairs": [100]}
    entropy = table(content, "entropy")
    assert (sum(entropy["images"]), sum(entropy["answers"])) == (100, 200)
    assert all(one < two for one, two in zip(entropy["one person"], entropy["two people"], strict=True))
    assert sum(table(content, "retest")["repeats"]) == 16
    assert table(content, "agreement")["value"] == [
        pytest.approx(0.451, abs=5e-4)
    ]  # of the class named first


def figure(content, key: str) -> dict:
    (found,) = [one for one in content["figures"] if one["key"] == key]
    return found


def table(content, key: str) -> dict[str, list]:
    """The columns of a figure's table by name."""
    found = figure(content, key)["table"]
    return dict(zip(found["columns"], map(list, zip(*found["rows"], strict=True)), strict=True))

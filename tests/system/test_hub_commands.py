"""The hub's whole way from the command line: published answers come in, are judged, frozen, and given out again."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilmix.hub.importers.hmix_tables import INFER, TABLES
from tests.hub.hmix_files import infer_row, write
from tests.system.conftest import Instance, environment

CLASSES = ["airplane", "bird", "cat"]
PEOPLE, PAIRS = 12, 10
OPEN = """
import sys
from hilmix.core.release import open_release
release = open_release(sys.argv[1])
labels = release.labels("human_lambda_shrunk")
assert not {"django", "torch"} & set(sys.modules)
print(release.images().shape, labels.shape, labels.sum().round(9), len(release.labels("random(seed=3)")))
"""


@pytest.fixture
def make_instance(migrated_var: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Instance]:
    """`make_instance()`: a state folder that nothing serves."""

    def make() -> Instance:
        var = tmp_path_factory.mktemp("commands")
        shutil.copytree(migrated_var, var, dirs_exist_ok=True)
        return Instance(var, 0, environment(var, 0))

    return make


def some_answers() -> list[dict[str, str]]:
    """Everybody judges every mixed image: some more, some less than λ."""
    rng = np.random.default_rng(0)
    rows = []
    for person in range(PEOPLE):
        for pair in range(PAIRS):
            first, second = 3 * pair, 3 * pair + 1 + pair % 2
            parents = (CLASSES[0].title(), first, CLASSES[second % 3].title(), second)
            share = (25, 50, 75)[pair % 3]
            mixing = int(np.clip(100 - share + rng.normal(5, 10), 0, 100))
            rows.append(
                infer_row(f"p{person:02}", parents, str(share / 100), mixing, int(rng.integers(50, 100)))
            )
    return rows


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def last_json(said: str) -> dict[str, Any]:
    return dict(json.loads(said[said.index("{") :]))


def test_published_answers_come_in_are_judged_frozen_opened_and_written_as_they_were(make_instance, tmp_path):
    instance, elsewhere = make_instance(), make_instance()
    images = np.random.default_rng(0).integers(0, 256, (3 * PAIRS, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(len(images)) % 3
    np.savez(tmp_path / "images.npz", images=images, labels=labels, classes=CLASSES)
    for one in (instance, elsewhere):
        one.manage("import_images", "npz", str(tmp_path / "images.npz"), "--name", "pictures")
    published = tmp_path / "published"
    published.mkdir()
    write(published, some_answers())
    arguments = ("import_hmix", str(published), "--images", "pictures")
    tried = last_json(instance.manage(*arguments, "--dry-run", "--json"))
    assert instance.rows("select * from elicitation_study") == []
    done = last_json(instance.manage(*arguments, "--json", "--licence", "CC-BY-4.0"))
    assert tried["tables"] == done["tables"]
    assert done["tables"][INFER.name]["responses"] == PEOPLE * PAIRS

    scores = last_json(instance.manage("score_labels", "hmix", "--repeats", "1", "--json"))
    assert scores["study"] == "hmix"
    assert scores["repeats"] == 1

    release = tmp_path / "release"
    said = instance.manage("freeze_release", "hmix", "--out", str(release))
    assert "Release hmix@1.0.0" in said
    check = [sys.executable, "-m", "hilmix.core.release_check", str(release)]
    subprocess.run(check, check=True, cwd=tmp_path)
    opened = subprocess.run(
        [sys.executable, "-c", OPEN, str(release)], check=True, text=True, capture_output=True, cwd=tmp_path
    )
    assert opened.stdout.strip() == f"({PAIRS}, 8, 8, 3) ({PAIRS}, 3) {PAIRS}.0 {PAIRS}"

    answers = tmp_path / "answers.csv"
    instance.manage("export_responses", "hmix", "--format", "csv", "--out", str(answers))
    assert len(rows_of(answers)) == PEOPLE * PAIRS
    written = tmp_path / "written"
    instance.manage("export_hmix", "--out", str(written))
    for table in TABLES:
        name = f"{table.name}.csv"
        assert (written / name).read_bytes() == (published / name).read_bytes()
    assert json.loads((written / "hmix_individ_soft_labels.json").read_text())
    elsewhere.manage("import_release", str(release), "--slug", "again", "--images", "pictures")
    assert elsewhere.rows("select count(*) n from elicitation_response") == [{"n": PEOPLE * PAIRS}]

"""The data hub: freezing a release, verifying it, making labels, and carrying a design out in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from bench.baselines import numpy_labels, plain_rehearsal, plain_release, plain_sha256
from bench.instance import ROOT
from bench.material import CLASSES, answered_study, image_set
from bench.measure import Figure, at_most, speed
from elicitation.images.models import ImageSet
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Study
from elicitation.studies.protocol import Design
from hilmix.accounts.roles import OPERATOR
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.observers import H_MIX
from hilmix.core.release import open_release
from hilmix.core.softlabels import build_label_set
from hilmix.hub.hypotheses import test_hypothesis
from hilmix.hub.models import Release
from hilmix.hub.rehearsing import Rehearsal, design_of
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress

# 1,000 mixed images, each answered by 20 people: 20,000 answers of 400 participants.
DESIGN = Design(n_mixed_images=1000, trials_per_person=50, repeats=0, answers_per_unit=20)
N_ANSWERS = 20_000
N_UNITS, ANSWERS_A_UNIT = 20_000, 5
REPETITIONS, ANSWERS_SIMULATED = 50, 9


def figures() -> Iterator[Figure]:
    images = image_set()
    study = answered_study(images, "answered", DESIGN)
    yield _peak_memory(study)
    release = Release.objects.get()
    yield speed(
        "hub.open_release",
        lambda: open_release(release.directory),
        lambda: plain_sha256.hash_all(release.directory),
        goal=0.5,
        unit="× speed of sha256 over the same bytes",
        work=1,
        n=15,
    )
    yield _freezing(study, images)
    yield _labels()
    yield _simulating(study)


def _peak_memory(study: Study) -> Figure:
    """Of the whole process of `manage.py freeze_release`, as the kernel counted it."""
    command = [sys.executable, "manage.py", "freeze_release", study.slug]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    unit = f"MB, resident at most while freezing {N_ANSWERS:,} answers"
    return at_most("hub.freeze_memory", [usage.ru_maxrss / 1024], 300, unit)


def _freezing(study: Study, images: ImageSet) -> Figure:
    var, numbers = Path(os.environ["HILMIX_VAR"]), count()
    parents = images.open().images

    def ours() -> None:
        # An equal release would be refused. Its files stay: where many were just removed, ext4 makes new ones slowly.
        for release in Release.objects.all():
            release.directory.rename(var / f"earlier-{next(numbers)}")
            release.delete()
        freeze_release(study=study, actor=OPERATOR, progress=Progress())

    def baseline() -> None:
        directory = var / f"plain-{next(numbers)}"
        plain_release.freeze(var / "hilmix.sqlite3", study.pk, parents, len(CLASSES), directory)

    unit = "× speed of SQL straight to the same files"
    return speed("hub.freeze_release", ours, baseline, goal=0.5, unit=unit, work=N_ANSWERS, n=5)


def _labels() -> Figure:
    """Labels for 20,000 mixed images with 5 answers each, from units to probabilities."""
    rng = np.random.default_rng(0)
    lambdas = rng.choice([1000, 2500, 5000, 7500, 9000], N_UNITS)
    said = np.clip(lambdas[:, None] / 10_000 + rng.normal(0, 0.2, (N_UNITS, ANSWERS_A_UNIT)), 0, 1)
    units = [
        Unit(
            str(number),
            int(lambda_e4),
            number % 10,
            (number + 1) % 10,
            tuple(Answer(f"person {i}", PerceivedLambda(value, 0.5)) for i, value in enumerate(row)),
        )
        for number, (lambda_e4, row) in enumerate(zip(lambdas, said.tolist(), strict=True))
    ]

    def ours() -> np.ndarray:
        return build_label_set("human_lambda_shrunk", units, 10).probabilities

    def baseline() -> np.ndarray:
        return numpy_labels.labels_of(units, 10)

    np.testing.assert_allclose(ours(), baseline(), atol=1e-12)  # the same work, then
    unit = "× speed of the same equations in numpy"
    return speed("hub.human_lambda_shrunk", ours, baseline, goal=0.3, unit=unit, work=N_UNITS)


def _simulating(study: Study) -> Figure:
    """Repetitions of a whole design in memory, each with the test of a hypothesis: what `manage.py simulate` does."""
    design, hypothesis = design_of(study), Hypothesis("seen", "Shares seen are not λ.", "deviation")
    rehearsal = Rehearsal(design, ANSWERS_SIMULATED, H_MIX)
    world = rehearsal.as_fitted()
    lambdas, effects = design.lambda_e4 / 10_000, H_MIX.image_effect_sd * design.image

    def ours() -> None:
        for number in range(REPETITIONS):
            table = rehearsal.carry_out(world, np.random.default_rng(number))
            test_hypothesis(hypothesis, table)

    def baseline() -> None:
        for number in range(REPETITIONS):
            rng = np.random.default_rng(number)
            plain_rehearsal.repeat(H_MIX, lambdas, effects, ANSWERS_SIMULATED, DESIGN.trials_per_person, rng)

    unit = f"× speed of one numpy program for {DESIGN.n_mixed_images * ANSWERS_SIMULATED:,} answers"
    return speed("hub.simulate", ours, baseline, goal=0.5, unit=unit, work=REPETITIONS)

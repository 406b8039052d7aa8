"""The data hub: freezing and verifying a release, exporting a million answers, labels, mixing, importing H-Mix, and
carrying a design out in memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
from django.core.management import call_command
from PIL import Image

from bench.baselines import (
    numpy_labels,
    plain_export,
    plain_import,
    plain_rehearsal,
    plain_release,
    plain_sha256,
)
from bench.instance import ROOT
from bench.material import CLASSES, answered_again, answered_study, image_set, open_a_study, signed_in
from bench.measure import Figure, at_most, say, seconds_of, speed
from bench.monitoring import queries_more
from elicitation.images.models import ImageSet
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Study
from elicitation.studies.protocol import Design
from elicitation.trials.models import Response
from hilmix.accounts.roles import OPERATOR
from hilmix.core import mixing
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.observers import H_MIX
from hilmix.core.release import open_release
from hilmix.core.softlabels import build_label_set
from hilmix.hub.exporting import write_responses
from hilmix.hub.hypotheses import test_hypothesis
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.models import Analysis, Export, Release
from hilmix.hub.rehearsing import Rehearsal, design_of
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress

# 1,000 mixed images, each answered by 20 people: 20,000 answers of 400 participants.
DESIGN = Design(n_mixed_images=1000, trials_per_person=50, repeats=0, answers_per_unit=20)
N_ANSWERS = 20_000
TIMES = 50  # as many make a million answers of these
N_UNITS, ANSWERS_A_UNIT = 100_000, 5
N_MIXED = 2000
REPETITIONS, ANSWERS_SIMULATED = 50, 9


def figures() -> Iterator[Figure]:
    images = image_set()
    study = answered_study(images, "answered", DESIGN)
    command = ["freeze_release", study.slug]
    yield _peak_memory("hub.freeze_memory", command, f"while freezing {N_ANSWERS:,} answers")
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
    yield from _freezing(study, images)
    yield _labels()
    yield from _page_queries(images)
    yield from _mixing(images)
    yield from _importing()
    yield _simulating(study)
    yield from _exporting(study)


def _exporting(study: Study) -> Iterator[Figure]:
    """A twentieth part of the answers, then all: speed and peak memory, which must not grow with them."""
    var = Path(os.environ["HILMIX_VAR"])
    database, file = var / "hilmix.sqlite3", var / "export"
    few = {format: _exported_in(study, format, file) for format in Export.Format.values}
    answered_again(database, TIMES)
    n = N_ANSWERS * TIMES
    for format, plain in (("csv", plain_export.export_csv), ("parquet", plain_export.export_parquet)):
        yield speed(
            f"hub.export_{format}",
            lambda to=format: write_responses(study, to, file, Progress()),
            lambda write=plain: write(database, study.pk, len(CLASSES), file),
            goal=0.5,
            unit=f"× speed of plain sqlite3 to the same file, {n:,} answers",
            work=n,
            n=3,
        )
        most = _exported_in(study, format, file)
        unit = f"MB, resident at most while exporting {n:,} answers as {format} ({few[format]:.0f} for {N_ANSWERS:,})"
        yield at_most(f"hub.export_{format}_memory", [most], 300, unit)


def _page_queries(images: ImageSet) -> Iterator[Figure]:
    """Pages of a study with few answers, and of one with ten times as many of everything."""
    few, many = (
        answered_study(
            images, slug, Design(n_mixed_images=n, trials_per_person=10, repeats=0, answers_per_unit=2)
        )
        for slug, n in (("few", 10), ("many", 100))
    )
    for study, n in ((few, 1), (many, 10)):
        for _ in range(n):
            content = {"figures": [], "tables": [], "notes": []}
            Analysis.objects.create(study=study, kind=Analysis.Kind.ANSWERS, content=content)
    person = signed_in()
    for page in ("responses", "mixed-images", "analysis", "exports"):
        addresses = (f"/studies/{study.slug}/{page}/" for study in (few, many))
        at_few, at_many = addresses
        name = f"hub.{page.replace('-', '_')}_queries"
        yield queries_more(name, person, lambda at=at_few: at, lambda at=at_many: at)

    def studies(n: int) -> str:
        for number in range(Study.objects.count(), n):
            open_a_study(
                images, f"study-{number}", Design(n_mixed_images=10, trials_per_person=10, repeats=0)
            )
        return "/studies/"

    yield queries_more("hub.studies_queries", person, lambda: studies(4), lambda: studies(40))


def _exported_in(study: Study, format: str, file: Path) -> float:
    file.unlink(missing_ok=True)
    return _most_memory(["export_responses", study.slug, "--format", format, "--out", str(file)])


def _mixing(images: ImageSet) -> Iterator[Figure]:
    """Mixed images as PNG, on one core and with a thread for each core."""
    parents = images.open().images
    rng = np.random.default_rng(0)
    recipes = [
        (*rng.choice(len(parents), 2, replace=False), int(rng.integers(1, 10_000))) for _ in range(N_MIXED)
    ]

    def ours(recipe: tuple[int, int, int]) -> int:
        first, second, lambda_e4 = recipe
        return len(mixing.to_png(mixing.mix(parents[first], parents[second], lambda_e4)))

    def bare(recipe: tuple[int, int, int]) -> int:
        first, second, lambda_e4 = recipe
        share = np.float32(lambda_e4 / 10_000)
        pixels = parents[first] * share + parents[second] * (np.float32(1) - share) + np.float32(0.5)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        return file.tell()

    unit = "× speed of bare numpy and the same PNG encoding"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, run in (("core", map), ("all_cores", pool.map)):
            yield speed(
                f"hub.mixed_images_{name}",
                lambda of=run: sum(of(ours, recipes)),
                lambda of=run: sum(of(bare, recipes)),
                goal=0.8,
                unit=unit,
                work=N_MIXED,
            )


def _importing() -> Iterator[Figure]:
    """H-Mix, against reading its four tables and writing the pictures. It is imported whole, rows and pictures written,
    and taken back, for it can be there once only: a dry run, which does more than an import by what it removes."""
    data = Path(os.environ.get("HILMIX_REALDATA", ROOT.parent / "shared" / "data"))
    if not (data / "hmix").is_dir():
        say(f"hub.import_hmix: not measured, there is no real data at {data}")
        return
    splits = ",".join(f"{name}={data}/cifar10h_split_{name}.npy" for name in ("train", "test"))
    command = ["import_images", "npz", f"{data}/cifar10_test.npz", "--name", "cifar10", "--split", splits]
    call_command(*command, stdout=sys.stderr)
    images = ImageSet.objects.get(name="cifar10")
    parents, folder = images.open().images, Path(os.environ["HILMIX_VAR"]) / "pictures"
    folder.mkdir()

    def baseline() -> None:
        plain_import.read_and_draw(data / "hmix", parents, folder)

    times = []
    for _ in range(3):
        mine = seconds_of(
            lambda: import_hmix(directory=data / "hmix", image_set=images, actor=OPERATOR, dry_run=True)
        )
        times.append(mine / seconds_of(baseline))
    unit = "× time of reading the four tables and writing the pictures; imported and taken back"
    yield at_most("hub.import_hmix", times, 5, unit)


def _peak_memory(name: str, command: list[str], doing: str) -> Figure:
    return at_most(name, [_most_memory(command)], 300, f"MB, resident at most {doing}")


# The kernel starts a peak with that of the process it was forked from: between this large one and the measured one
# stands a small one, which prints the peak of its child.
_WATCH = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def _most_memory(command: list[str]) -> float:
    """Megabytes of the whole process of `manage.py COMMAND`, as the kernel counted it."""
    watched = [sys.executable, "-c", _WATCH, sys.executable, "manage.py", *command]
    done = subprocess.run(watched, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) / 1024


def _freezing(study: Study, images: ImageSet) -> Iterator[Figure]:
    """A first release; and one after another answer changed, which is compared with the one before."""
    var, numbers = Path(os.environ["HILMIX_VAR"]), count()
    parents = images.open().images

    def first() -> None:
        # An equal release would be refused. Its files stay: where many were just removed, ext4 makes new ones slowly.
        for release in Release.objects.all():
            release.directory.rename(var / f"earlier-{next(numbers)}")
            release.delete()
        again()

    def changed() -> None:
        given = Response.objects.filter(trial__participation__study=study).order_by("pk")[next(numbers)]
        given.payload["mixing_percent"] = (given.payload["mixing_percent"] + 1) % 101
        given.save(update_fields=["payload"])
        again()

    def again() -> None:
        freeze_release(study=study, actor=OPERATOR, progress=Progress())

    def baseline() -> None:
        directory = var / f"plain-{next(numbers)}"
        plain_release.freeze(var / "hilmix.sqlite3", study.pk, parents, len(CLASSES), directory)

    unit = "× speed of SQL straight to the same files"
    for name, ours in (("hub.freeze_release", first), ("hub.freeze_again", changed)):
        yield speed(name, ours, baseline, goal=0.5, unit=unit, work=N_ANSWERS, n=5)


def _labels() -> Figure:
    """Labels for 100,000 mixed images with 5 answers each, from units to probabilities."""
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

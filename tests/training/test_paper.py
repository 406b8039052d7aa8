"""The report as files that open anywhere, and the file that does an experiment again."""

from __future__ import annotations

import gzip
import io
import re
import tomllib
from base64 import b64decode

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone
from PIL import Image, ImageFile

from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from tests.training.conftest import quick
from tests.training.doing import do, run_experiment
from tests.training.explained import explained
from tests.training.reported import arm, report, run
from training.choices.services import choose_arm
from training.experiments.config import parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.reports.models import Report, RunReport
from training.reports.paper import pdf, pictured, reproducing, services
from training.reports.paper.writing import as_html
from training.runs.models import Run

NEEDS_PDF = pytest.mark.skipif(bool(pdf.missing()), reason=pdf.missing() or "nothing is missing")


@pytest.fixture
def experiment(config):
    return create_experiment(config=config, actor=OPERATOR)


@pytest.fixture
def reported(experiment):
    """With a report of made-up runs: nothing is trained."""
    content = report([arm("mixup", [run(0)]), arm("human_lambda", [run(0, 3.0)])], source="simulated")
    ends = timezone.now()
    Run.objects.filter(arm__experiment=experiment).update(
        finished_at=ends,
        plan_sha256="p0",
        metrics={"n": 240, "accuracy": 0.9, "brier": 0.1 + 0.2},
        evaluations={"test": {"accuracy": {"value": 0.9}, "mcc": {"value": None}, "per_class": {}}},
        environment={"torch": "2", "device": "cpu (x)"},
    )
    Report.objects.create(experiment=experiment, content=content)
    return Experiment.objects.select_related("report", "release__study", "image_set").get(pk=experiment.pk)


def told_in(experiment):
    """The notes of the files."""
    return " ".join(services.told(experiment)["notes"])


def html_of(arms, **more):
    content = report(arms, **more)
    return as_html(content, written_at=timezone.now(), facts=[("Release", "a" * 64)])


def test_the_file_asks_for_nothing_and_has_every_figure_with_its_table():
    many = [arm(f"arm {n}", [run(0, 2.0 + n), run(1, 2.0 + n)]) for n in range(7)]
    text = html_of([*many, arm("<script>x", [run(0), run(1)])], source="simulated", classes=("a", "b", "c"))
    assert "<script" not in text
    assert "&lt;script&gt;x" in text
    assert "default-src 'none'" in text
    for attribute in ('src="', 'href="', "url("):
        assert all(one.startswith("data:image/svg+xml;base64,") for one in text.split(attribute)[1:])
    assert text.count("<figure>") == text.count('<details class="behind">') > 4
    # Eight matrices need two pages.
    assert text.count("data:image/svg") == text.count("<figure>") + 1
    assert text.count("Simulated participants") > text.count("<figure>")
    assert 'content: "SIMULATED PARTICIPANTS"' in text


def test_the_verdict_comes_first_and_the_planned_contrasts_are_drawn_above_the_scores():
    arms = [
        arm("mixup", [run(seed) for seed in range(5)]),
        arm("human", [run(seed, 3.0) for seed in range(5)]),
    ]
    config = {"contrasts": [{"arm": "human", "against": "mixup", "about": ""}], "primary": "log_loss"}
    text = html_of(arms, config=config)
    order = [
        "<h1>",
        "<h2>Verdict",
        "<h2>What to do",
        "<h2>Planned contrasts",
        "<figure>",
        "<h2>Scores",
        "<h2>Figures",
    ]
    places = [text.index(one) for one in order]
    assert places == sorted(places)


def test_the_same_report_gives_the_same_file():
    content, when = report([arm("mixup", [run(0)])]), timezone.now()
    texts = {as_html(content, written_at=when, facts=[]) for _ in range(2)}
    assert len(texts) == 1


def test_what_was_found_is_drawn_with_its_arm_and_seed():
    content = report([arm("mixup", [run(0)])])
    finding = {
        "rule": "plateau", "name": "Plateau", "level": "note", "threshold": "t", "remedy": "r", "state": "found",
        "numbers": {}, "n_found": 1, "n_seeds": 1, "seed": 0,
    }  # fmt: skip
    content["diagnosis"] = {"mixup": [finding]}
    content["diagnosis_figures"] = {"plateau": {"arm": "mixup", "seed": 0, "figure": content["figures"][0]}}
    text = as_html(content, written_at=timezone.now(), facts=[])
    assert "<h3>Plateau: mixup, seed 0</h3>" in text


def test_tables_of_many_arms_have_a_page_across():
    few, many = ([arm(f"arm {n}", [run(0)]) for n in range(count)] for count in (2, 9))
    assert "metrics many" not in html_of(few)
    assert 'class="metrics many"' in html_of(many)
    assert "page: wide" in html_of(few)


GALLERY = {
    "key": "people", "kind": "gallery", "title": "Apart", "definition": "d", "reading": "", "source": "s",
    "table": {"caption": "c", "columns": ["Image"], "rows": [[0]]},
    "items": [
        {
            "images": [{"address": "/a.png", "words": "a cat"}, {"address": "/gone.png", "words": "a lost dog"}],
            "caption": "cat taken for dog",
            "shares": [("dog", 0.81, 0.125), ("cat", 0.12, 0.875)],
        }
    ],
}  # fmt: skip


def test_a_gallery_has_its_pictures_in_the_file_small_with_words_and_both_distributions():
    content = report([arm("mixup", [run(0)])], source="simulated")
    photo = np.full((300, 200, 3), 7, dtype=np.uint8)
    text = as_html(
        content, written_at=timezone.now(), facts=[], galleries=[GALLERY], pixels={"/a.png": photo}.get
    )
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)">', text)
    assert [words for _, words in found] == ["a cat"]
    with Image.open(io.BytesIO(b64decode(found[0][0]))) as picture:
        assert (picture.size, picture.getpixel((0, 0))) == ((64, 96), (7, 7, 7))
    assert "a lost dog</span>" in text
    part = text[text.index("cat taken for dog") :]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", part)[:9]
    assert cells == ["Class", "Model", "People", "dog", "0.81", "0.13", "cat", "0.12", "0.88"]
    assert text[text.index("<h3>Apart") :].index('<p class="watermark">Simulated participants') > 0


def test_the_galleries_are_of_the_run_of_the_arm_that_was_chosen(reported):
    runs = list(Run.objects.filter(arm__experiment=reported).select_related("arm").order_by("arm__ordinal"))
    for one in runs:
        figure = {**GALLERY, "items": [{**GALLERY["items"][0], "caption": one.arm.name}]}
        RunReport.objects.create(run=one, content={"figures": [figure, {"kind": "matrix"}]})
    first, second = runs[0], runs[-1]
    explained(first, ["a", "b", "c"])
    before = pictured.galleries_of(reported)
    assert [one["run"] for one in before] == [first.pk, first.pk]
    assert before[0]["title"] == f"Apart ({first.arm.name}, seed {first.seed})"
    address = before[1]["items"][0]["images"][0]["address"]
    kept = np.load(first.directory / "explain" / "gallery.npy")
    assert (pictured.pixels_at(reported, address) == kept[0]).all()
    assert pictured.pixels_at(reported, address.replace("/0.png", "/999.png")) is None
    reported.report.content["choice"] = {"arm": second.arm.name}
    after = pictured.galleries_of(reported)
    assert [one["run"] for one in after] == [second.pk, first.pk], "only the first is explained"


def test_files_of_before_a_run_was_explained_are_not_given_out(client, admin, reported, monkeypatch):
    monkeypatch.setattr(services, "missing", lambda: "no PDF here")
    client.force_login(admin)
    page = reverse("experiment_paper", args=[reported.pk])
    client.post(page)
    Job.objects.update(state="done", finished_at=timezone.now())
    services.write_paper(experiment=reported, progress=Progress())
    assert client.get(reverse("experiment_report_html", args=[reported.pk])).status_code == 200
    explained(Run.objects.filter(arm__experiment=reported).first(), ["a", "b", "c"])
    assert client.get(reverse("experiment_report_html", args=[reported.pk])).status_code == 404
    assert "images of a run were looked at anew" in client.get(page).text


@NEEDS_PDF
def test_a_pdf_takes_nothing_from_elsewhere(caplog):
    text = "<h1>λ</h1><img src='file:///etc/hostname'><img src='http://127.0.0.1:9/x.png'>"
    made = pdf.as_pdf(text)
    assert made.startswith(b"%PDF-")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES, "or broken pictures could be imported from now on"
    assert caplog.text.count("is not fetched") == 2


@pytest.mark.parametrize(
    ("spec", "opens", "words"),
    [
        (None, True, "pip install"),
        ("there", False, "apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"),
        ("there", True, ""),
    ],
)
def test_what_is_missing_for_a_pdf_is_named(monkeypatch, spec, opens, words):
    monkeypatch.setattr(pdf.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(pdf, "_opens", lambda library: opens)
    assert words in pdf.missing()
    assert bool(words) == bool(pdf.missing())


def test_somebody_who_reads_the_report_has_its_files_written(client, researcher, reported, monkeypatch):
    client.force_login(researcher)
    page, files = (
        reverse("experiment_paper", args=[reported.pk]),
        [reverse(f"experiment_report_{kind}", args=[reported.pk]) for kind in ("html", "pdf")],
    )
    assert "Write HTML and PDF" in client.get(page).text or pdf.missing()
    assert [client.get(file).status_code for file in files] == [404, 404]
    client.post(page)
    job = Job.objects.get()
    assert (job.kind, job.queue) == ("print_report", "data")
    assert "are being written already" in client.post(page, follow=True).text
    assert Job.objects.count() == 1
    do(job, Progress())
    told = client.get(page).text
    assert "Report as HTML" in told
    assert ("Report as PDF" in told) == (not pdf.missing())
    assert '<button class="button button-primary">' not in told
    reply = client.get(files[0])
    assert "attachment" in reply["Content-Disposition"]
    assert "Simulated participants" in b"".join(reply.streaming_content).decode()
    if not pdf.missing():
        assert b"".join(client.get(files[1]).streaming_content).startswith(b"%PDF-")
    seen = AuditEvent.objects.filter(action="experiment.test_seen")
    assert seen.count() == (1 if "when this was downloaded" in told_in(reported) else 0)
    assert "are there already" in client.post(page, follow=True).text
    assert AuditEvent.objects.filter(action="experiment.report_printed").count() == 1
    assert client.get(reverse("job", args=[job.pk])).text.count(page) == 1


def test_without_the_libraries_the_html_is_written_and_it_is_said_what_to_install(
    client, admin, reported, monkeypatch
):
    for module in (pdf, services):
        monkeypatch.setattr(module, "missing", lambda: "WeasyPrint lacks libraries: apt install libpango")
    monkeypatch.setattr("training.reports.paper.pages.missing", pdf.missing)
    client.force_login(admin)
    page = reverse("experiment_paper", args=[reported.pk])
    assert "Write the HTML file" in client.get(page).text
    client.post(page)
    do(Job.objects.get(), Progress())
    told = client.get(page).text
    assert "apt install libpango" in told
    assert "Report as HTML" in told
    assert "Report as PDF" not in told
    with pytest.raises(Conflict, match="there already"):
        services.queue_paper(experiment=reported, actor=admin)


def test_files_of_an_earlier_report_are_not_given_out_and_go_when_new_ones_are_written(
    client, admin, reported, monkeypatch
):
    monkeypatch.setattr(services, "missing", lambda: "no PDF here")
    services.write_paper(experiment=reported, progress=Progress())
    before = services.folder_of(reported)
    assert (before / "report.html").is_file()
    reported.report.content = {**reported.report.content, "notes": ["written anew"]}
    reported.report.save()
    client.force_login(admin)
    assert client.get(reverse("experiment_report_html", args=[reported.pk])).status_code == 404
    services.write_paper(experiment=reported, progress=Progress())
    assert not before.exists()
    text = b"".join(client.get(reverse("experiment_report_html", args=[reported.pk])).streaming_content)
    sent = client.get(
        reverse("experiment_report_html", args=[reported.pk]), headers={"accept-encoding": "gzip"}
    )
    packed = b"".join(sent.streaming_content)
    assert sent["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == text
    assert len(packed) < len(text) / 2
    assert b"written anew" in text


def test_the_page_says_why_files_are_gone_after_a_choice(client, admin, reported, monkeypatch):
    monkeypatch.setattr(services, "missing", lambda: "no PDF here")
    reported.report.content["choice"] = {
        "arm": "mixup", "order": ["mixup"], "values": {"mixup": 0.5}, "first_share": {"mixup": 1.0},
        "metric": "log_loss", "n_seeds": 1, "draws": 1000, "sentence": "mixup is to be taken.",
    }  # fmt: skip
    reported.report.save()
    client.force_login(admin)
    page = reverse("experiment_paper", args=[reported.pk])
    client.post(page)
    Job.objects.update(state="done", finished_at=timezone.now())
    services.write_paper(experiment=reported, progress=Progress())
    assert 'id="gone"' not in client.get(page).text
    choose_arm(experiment=reported, arm="mixup", reason="It is cheap.", actor=admin)
    told = client.get(page).text
    assert "are not given out any more: an arm was chosen" in told
    Report.objects.update(created_at=timezone.now())
    assert "the report was written anew" in client.get(page).text


def test_there_are_no_files_without_a_report(client, admin, experiment):
    client.force_login(admin)
    page = reverse("experiment_paper", args=[experiment.pk])
    assert "There is no report yet" in client.get(page).text
    assert client.post(page).status_code == 404
    with pytest.raises(NotFound):
        services.queue_paper(experiment=experiment, actor=admin)


def test_the_page_needs_few_queries(client, admin, reported, django_assert_max_num_queries):
    client.force_login(admin)
    with django_assert_max_num_queries(10):
        client.get(reverse("experiment_paper", args=[reported.pk]))


# -- doing it again


def test_the_file_that_reproduces_an_experiment_has_all_that_was_decided(client, admin, reported):
    Experiment.objects.filter(pk=reported.pk).update(precision="fp32", threads=2)
    client.force_login(admin)
    reply = client.get(reverse("experiment_reproduce", args=[reported.pk]))
    data = tomllib.loads(reply.text)
    record = data.pop("reproduce")
    config = parse_config(data)
    assert (config.train.precision, config.train.threads) == ("fp32", 2)
    assert config.name == "quick, again"
    assert config.release == "small@1.0.0"
    assert record["release"]["sha256"] == reported.release.sha256
    assert record["computed_with"] == {"torch": "2", "device": "cpu (x)"}
    assert record["runs"][0]["numbers"] == {
        "score.accuracy": 0.9, "score.brier": 0.1 + 0.2, "test.accuracy": 0.9,
    }  # fmt: skip


def test_seeds_that_were_added_are_done_again_too(reported):
    one = reported.arms.get(name="mixup")
    Run.objects.create(arm=one, seed=9, finished_at=timezone.now())
    assert tomllib.loads(reproducing.reproduction_file(reported))["seeds"] == [0, 9]


def test_a_file_of_before_the_first_run_finished_has_nothing_to_compare(experiment):
    record = tomllib.loads(reproducing.reproduction_file(experiment))["reproduce"]
    told = reproducing.compare(experiment, record)
    assert told.lines == ("The file holds no numbers to compare with: no run had finished.",)


def test_one_file_gives_the_same_numbers_in_deterministic_mode(release, tmp_path, capsys, one_thread):
    data = quick(arms=[{"policy": "mixup"}])
    data["train"] = {**data["train"], "deterministic": True, "precision": "auto", "batch_size": 512}
    first = create_experiment(config=parse_config(data), actor=OPERATOR)
    run_experiment(Progress(), first.pk)
    first.refresh_from_db()
    path = tmp_path / "again.toml"
    path.write_text(reproducing.reproduction_file(first))
    config, record = reproducing.read_reproduction(path)
    again = create_experiment(config=config, actor=OPERATOR, origin=reproducing.original_of(record))
    assert again.origin == first
    run_experiment(Progress(), again.pk)  # by the command it would wait for this test's transaction
    call_command("run_experiment", str(path))
    assert Experiment.objects.count() == 2
    assert "The same numbers" in capsys.readouterr().out
    # One digit of one number is seen.
    changed = path.read_text().replace('"score.accuracy" = 0.', '"score.accuracy" = 0.0', 1)
    path.write_text(changed)
    with pytest.raises(CommandError, match="did not come out again"):
        call_command("run_experiment", str(path))
    said = capsys.readouterr().out
    assert "NOT the same: 1 of" in said
    assert "score.accuracy was 0.0" in said


def test_another_release_of_the_name_is_refused_before_anything_is_trained(reported, tmp_path):
    path = tmp_path / "again.toml"
    path.write_text(reproducing.reproduction_file(reported).replace(reported.release.sha256, "0" * 64))
    with pytest.raises((CommandError, Invalid), match="another release here"):
        call_command("run_experiment", str(path))
    assert Experiment.objects.count() == 1


@pytest.mark.parametrize("line", ["config_sha256", "plan_sha256", "seed", "human_labels_sha256"])
def test_a_file_with_a_line_taken_out_of_its_record_is_refused_in_words(reported, tmp_path, line):
    text = reproducing.reproduction_file(reported)
    head, record = text.split("[reproduce]")
    kept = [one for one in record.splitlines() if not one.startswith(f"{line} =")]
    assert len(kept) < len(record.splitlines())
    path = tmp_path / "again.toml"
    path.write_text(f"{head}[reproduce]{chr(10).join(kept)}", encoding="utf-8")
    with pytest.raises(Invalid, match=r"again\.toml was changed"):
        reproducing.read_reproduction(path)


def test_what_differs_is_said_with_the_versions_that_differ(reported):
    record = tomllib.loads(reproducing.reproduction_file(reported))["reproduce"]
    assert reproducing.compare(reported, record).same
    Run.objects.filter(arm__name="mixup").update(plan_sha256="other", environment={"torch": "3"})
    record["runs"].append({**record["runs"][0], "seed": 5})
    told = reproducing.compare(reported, record)
    assert not told.same
    said = " ".join(told.lines)
    assert "other batches or augmentation" in said
    assert "mixup, seed 5, fold 0, candidate 0: there is no such run" in said
    assert "torch was 2, is 2, 3" in said
    assert "not trained in deterministic mode" in said

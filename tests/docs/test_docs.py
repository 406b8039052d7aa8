"""What the documents say is compared with the code, and the examples in them are run.

Prose is not judged here; names, tables, links, commands and code are.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, get_commands, load_command_class

from elicitation.flow.api import ReceiptSerializer
from elicitation.interfaces import INTERFACES, common
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.services import RECRUITERS
from elicitation.studies.protocol import Display
from elicitation.studies.rules import FLAGS
from hilmix.core import archives, loaders
from hilmix.core.mixing import METHODS, mix, pixel_sha256, to_png
from hilmix.core.release import write_release
from hilmix.core.release_tables import dictionary
from hilmix.core.softlabels import POLICIES, Unit, build_label_set
from hilmix.hub import exporting, uploads
from hilmix.jobs.registry import KINDS
from hilmix.version import VERSION
from training.engine.config import NETS, Augment, OnTheFly, TrainConfig
from training.evaluation.scores import METRICS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PUBLIC = "https://", "http://"


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def cells(page: str, head: str) -> list[list[str]]:
    """The rows of the tables in `page` whose first head is `head`, as lists of cells."""
    rows, inside = [], False
    for line in text(page).splitlines():
        row = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else None
        if row is None:
            inside = False
        elif row[0] == head:
            inside = True
        elif inside and not row[0].startswith("---"):
            rows.append(row)
    return rows


def names(page: str, head: str) -> list[str]:
    """The code in the first column of those rows."""
    return [name for row in cells(page, head) for name in names_in(row[0])]


def paragraphs(page: str) -> list[str]:
    return [" ".join(one.split()) for one in text(page).split("\n\n")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# -- links and commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not target.startswith(PUBLIC):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_page_can_be_come_to_from_the_readme():
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        seen.add(page)
        targets = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text("utf-8"))
        ahead += {(page.parent / target).resolve() for target in targets} - seen
    assert {page for page in PAGES if page.parent != DOCS / "decisions"} <= seen


def test_every_make_target_named_exists():
    known = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    for page in PAGES:
        for code in code_of(page):
            assert set(re.findall(r"(?m)(?:^|`)make ([a-z]+)", code)) <= known, page.name


def test_every_management_command_named_exists():
    known = set(get_commands())
    for page in PAGES:
        for code in code_of(page):
            assert set(re.findall(r"manage\.py ([a-z_]+)\b(?!\.)", code)) <= known, page.name


def test_every_command_line_shown_is_one_that_the_command_takes():
    lines = [
        (page.name, line)
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for line in re.findall(r"manage\.py ([^#&\n]+)", block)
    ]
    assert len(lines) > 10
    apps = get_commands()
    for page, line in lines:
        command, *arguments = shlex.split(line)
        app = apps[command]
        known = load_command_class(app, command) if isinstance(app, str) else app
        try:
            known.create_parser("manage.py", command).parse_args(arguments)
        except (CommandError, SystemExit) as error:
            pytest.fail(f"{page}: {line}: {error}")


def test_the_readme_names_the_commands_of_every_step():
    named = set(re.findall(r"manage\.py ([a-z_]+)", text("README.md")))
    assert {"import_images", "import_human_labels", "import_hmix", "export_hmix"} <= named
    assert {"study", "simulate", "score_labels", "export_responses", "freeze_release"} <= named
    assert {"sign_in_link", "run_experiment"} <= named


def code_of(page: Path) -> list[str]:
    """Code blocks and code in a line."""
    return re.findall(r"```.*?```|`[^`]+`", page.read_text("utf-8"), re.DOTALL)


def test_the_files_of_a_release_of_the_software_name_one_version():
    assert f"## [{VERSION}]" in text("CHANGELOG.md")
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == VERSION
    assert citation["license"] == "Apache-2.0"
    assert "Apache License" in text("LICENSE")


def test_pictures_are_small_enough_for_a_page():
    for picture in (DOCS / "images").iterdir():
        assert picture.stat().st_size < 200_000, picture.name


# -- tables against code


def test_operations_lists_exactly_the_variables_that_are_read():
    assert sorted(names("docs/operations.md", "variable")) == sorted(variables_read())


def test_operations_lists_every_folder_of_the_state():
    code = [path for app in ("hilmix", "elicitation", "training") for path in (ROOT / app).rglob("*.py")]
    used = {name for path in code for name in re.findall(r'\bVAR\)? / "(\w+)"', path.read_text("utf-8"))}
    said = {name.rstrip("/") for name in names("docs/operations.md", "in the folder")}
    assert used - {"media"} <= said  # Django asks for it, and nothing is ever put there


def test_operations_lists_exactly_the_kinds_of_jobs_with_their_queues():
    said = {
        name: row[1].strip("`") for row in cells("docs/operations.md", "kind") for name in names_in(row[0])
    }
    kinds = {
        name: str(kind.queue) for name, kind in KINDS.items() if name != "wait"
    }  # that is for tests only
    assert said == kinds


def variables_read() -> set[str]:
    """The environment variables that the server reads: first arguments of the calls that read one."""
    readers = {"env", "env.int", "env.bool", "env.list", "required", "secret", "gigabytes", "os.environ.get"}
    found = set()
    for path in [*(ROOT / "hilmix").rglob("*.py"), *(ROOT / "elicitation").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in readers:
                match node.args:
                    case [ast.Constant(str(name)), *_]:
                        found.add(name)
    return found


def test_operations_names_the_limits_of_what_is_brought_and_kept():
    said = " ".join(text("docs/operations.md").split())
    words = {2: "two", 5: "five"}
    for limit in (
        f"may hold {archives.MOST_FILES:,} files and {archives.LARGEST // 10**9} GB",
        f"more than {loaders.MAX_PIXELS // 10**6} million pixels",
        f"not signed in can send {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 10**6} MB",
        f"{words[uploads.KEPT.days]} days later",
        f"The newest {words[exporting.KEPT]} exports",
    ):
        assert limit in said
    usual = {row[0].strip("`"): row[-1] for row in cells("docs/operations.md", "variable")}
    assert int(usual["HILMIX_LARGEST_UPLOAD"]) == settings.LARGEST_UPLOAD


def test_data_names_every_kind_of_images_and_its_limits():
    said = " ".join(text("docs/data.md").split())
    parser = load_command_class("elicitation", "import_images").create_parser("manage.py", "import_images")
    (kinds,) = [action.choices for action in parser._actions if action.dest == "kind"]
    assert re.findall(r"- `(\w+)(?: [A-Z]+)?`[:;]", said) == list(kinds)
    (formats,) = re.findall(r"A picture is ([\w, ]+), of at most", said)
    assert formats.upper().replace(" OR", ",").split(", ") == list(loaders.FORMATS)
    for limit in (
        f"{loaders.MAX_PIXELS // 10**6} million pixels",
        f"{loaders.MAX_BYTES // 10**9} GB at most",
    ):
        assert limit in said


def test_imports_lists_the_command_of_every_import_of_answers_and_labels():
    commands = {name for name in get_commands() if name.startswith("import_")} - {"import_images"}
    assert {name.split()[0] for name in names("docs/imports.md", "command")} == commands


def test_data_lists_exactly_the_flags_with_their_limits():
    assert names("docs/data.md", "flag") == list(FLAGS)
    for (_name, kind, _measure, sense, default), flag in zip(
        cells("docs/data.md", "flag"), FLAGS.values(), strict=True
    ):
        assert (kind, sense, float(default)) == (flag.kind, flag.sense, flag.params[flag.param][0])


def test_recruiting_names_exactly_the_recruiters_and_the_outcomes():
    page = "docs/recruiting.md"
    assert names(page, "recruiter") == list(RECRUITERS)
    (said,) = [line for line in paragraphs(page) if line.startswith("**Outcomes**")]
    assert re.findall(r"`([a-z_]+)`", said) == list(Outcome)


def test_the_how_to_names_what_stands_on_the_pages():
    """What is in italics there can be pressed, chosen or read."""
    shown = " ".join(
        " ".join(path.read_text("utf-8").split())
        for folder in ("templates", "elicitation", "hilmix")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".html", ".py")
    )
    said = re.findall(r"(?<![*\w])\*([^*]+)\*(?!\*)", text("docs/how-to-prolific.md").replace("\n", " "))
    assert len(said) > 30
    of_the_example = {"Blended digits"}
    lower = shown.lower()
    assert [label for label in {*said} - of_the_example if label.lower() not in lower] == []


def test_data_lists_exactly_the_methods_of_mixing():
    assert names("docs/data.md", "method") == list(METHODS)


def test_releases_has_the_columns_of_every_table():
    said = text("docs/releases.md").replace("\\<", "<").replace("\\>", ">").replace("### ", "## ")
    tables = dictionary()
    assert tables[tables.index("## mixed_images") :] in said


def test_participants_lists_exactly_the_statuses_of_an_answer():
    statuses = ReceiptSerializer().fields["status"].choices
    assert sorted(names("docs/participants.md", "status")) == sorted(statuses)


def test_interfaces_lists_exactly_the_interfaces_with_their_options_and_fields():
    page = "docs/interfaces.md"
    assert names(page, "interface") == list(INTERFACES)
    options = [option for interface in INTERFACES.values() for option in interface.OPTIONS]
    assert names(page, "option") == options
    assert names(page, "field of every answer") == [column.name for column in common.COLUMNS]
    for name, interface in INTERFACES.items():
        own = [column.name for column in interface.COLUMNS if column not in common.COLUMNS]
        assert names(page, f"field of {name}") == own


def test_interfaces_names_the_judgements_units_and_checks_of_each():
    for name, about, checks, judgements in [
        (row[0].strip("`"), row[2], row[3], row[4]) for row in cells("docs/interfaces.md", "interface")
    ]:
        interface = INTERFACES[name]
        assert about.startswith("a pair") == (interface.UNIT == "pair"), name
        assert (checks == "yes") == interface.CHECKS, name
        assert f"`{interface.JUDGEMENT.__name__}`" in judgements, name


def test_participants_names_the_defaults_of_the_display():
    said = {
        row[0].strip("`"): row[-1].split(":")[0].strip("`")
        for row in cells("docs/participants.md", "setting")
    }
    usual = asdict(Display())
    assert said == {name: "empty" if value is None else value for name, value in usual.items()}


def test_training_lists_exactly_the_metrics_and_the_settings_of_a_training():
    assert names("docs/training.md", "key").count("lr") == 1
    said = set(names("docs/training.md", "key"))
    assert {metric.key for metric in METRICS} <= said
    assert set(TrainConfig.__dataclass_fields__) - {"augment", "on_the_fly"} <= said
    assert all(f"`{net}`" in text("docs/training.md") for net in NETS)


def test_training_names_the_defaults_of_a_training():
    said = {row[0].strip("`"): row[-1].strip("`") for row in cells("docs/training.md", "key")}
    usual = TrainConfig()
    for name in (
        "net",
        "epochs",
        "batch_size",
        "lr",
        "momentum",
        "weight_decay",
        "warmup_epochs",
        "schedule",
        "factor",
        "precision",
    ):
        assert said[name] == str(getattr(usual, name)), name
    on_the_fly = OnTheFly()
    for name in OnTheFly.__dataclass_fields__:
        assert said[name] == str(getattr(on_the_fly, name)), name
    changes = {row[0].strip("`"): row[-1] for row in cells("docs/training.md", "change")}
    assert changes == {name: f"{getattr(usual.augment, name):g}" for name in changes} | {"flip": "true"}
    assert changes.keys() == Augment.__dataclass_fields__.keys()


def test_api_lists_exactly_the_addresses_of_the_api_for_programs():
    offered = yaml.safe_load(text("docs/openapi.yml"))["paths"]
    for_programs = [path for path in offered if "/participation/" not in path]
    assert sorted(names("docs/api.md", "address")) == sorted(for_programs)


# -- examples


def examples(page: str, containing: str) -> Iterator[str]:
    for code in re.findall(r"```python\n(.*?)```", text(page), re.DOTALL):
        if containing in code:
            yield code


def test_the_example_of_the_readme_runs_against_a_release(tmp_path, monkeypatch, capsys):
    (code,) = examples("README.md", "open_release")
    (folder,) = re.findall(r'open_release\("([^"]+)"\)', code)
    a_release(tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    shown: dict = {}
    exec(code, shown)
    assert shown["images"].shape == (2, 8, 8, 1)
    assert shown["labels"].shape == (2, 3)
    assert shown["shown"].tolist() == [0.25, 0.75]
    assert "human_lambda_shrunk" in capsys.readouterr().out


def test_the_ten_lines_of_the_readme_train_on_a_release(tmp_path, monkeypatch):
    (code,) = examples("README.md", "ReleaseDataset")
    assert len([line for line in code.splitlines() if line]) == 10
    a_release(tmp_path / "my-release")
    monkeypatch.chdir(tmp_path)
    shown: dict = {}
    exec(code, shown)
    logits, labels = shown["net"](shown["images"]), shown["labels"]
    assert -(labels * logits.log_softmax(dim=1)).sum(dim=1).mean() < shown["loss"]


def test_every_python_example_is_python():
    codes = [code for page in PAGES for code in examples(str(page.relative_to(ROOT)), "")]
    assert len(codes) > 3
    for code in codes:
        ast.parse(code)


OF_TESTS = {"HILMIX_REALDATA", "HILMIX_SCREENSHOTS", "HILMIX_TEST_POSTGRES", "HILMIX_TEST_REDIS"}


def test_the_variables_of_a_shell_example_are_not_our_settings():
    named = set(re.findall(r"\bHILMIX_[A-Z_]+", "".join(page.read_text("utf-8") for page in PAGES)))
    assert named <= variables_read() | OF_TESTS


def test_no_document_names_a_place_on_somebodys_machine():
    listed = subprocess.run(["git", "ls-files", "*.md", "*.cff"], cwd=ROOT, capture_output=True, text=True)
    for name in {*listed.stdout.split(), *(str(page) for page in PAGES)}:
        assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", (ROOT / name).read_text("utf-8")), (
            name
        )


def a_release(directory: Path) -> None:
    """A release of two mixed images that nobody answered, with the labels of a few policies."""
    rng = np.random.default_rng(0)
    parents = rng.integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    mixed = {lambda_e4: mix(*parents, lambda_e4) for lambda_e4 in (2500, 7500)}
    units = [Unit(str(lambda_e4), lambda_e4, 0, 1, ()) for lambda_e4 in mixed]
    label_sets = [
        build_label_set(name, units, 3) for name in ("mixup", "human_lambda", "human_lambda_shrunk")
    ]
    pictures = {unit.key: mixed[unit.lambda_e4] for unit in units}
    write_release(
        directory,
        tables={
            "mixed_images": [
                {
                    "key": unit.key,
                    "first_index": 0,
                    "second_index": 1,
                    "first_class": unit.first_class,
                    "second_class": unit.second_class,
                    "lambda_e4": unit.lambda_e4,
                    "method": "mixup@1",
                    "sha256": pixel_sha256(pictures[unit.key]),
                }
                for unit in units
            ],
            "conditions": [],
            "responses": [],
            "trials": [],
            "checks": [],
            "participants": [],
            "labels": [
                {
                    "key": unit.key,
                    "policy": labels.policy,
                    "n": row.n,
                    "lambda": row.lambda_,
                    "soft_label": row.probabilities.tolist(),
                    "predicted": row.predicted,
                }
                for labels in label_sets
                for unit, row in zip(units, labels.rows, strict=True)
            ],
        },
        images=[(pixel_sha256(picture), to_png(picture)) for picture in pictures.values()],
        manifest={
            "name": "small",
            "version": "1.0.0",
            "study": {"slug": "small", "title": "Small"},
            "source": "simulated",
            "protocol_sha256": "0" * 64,
            "image_set": {"name": "noise", "sha256": "0" * 64, "classes": ["a", "b", "c"]},
            "created_at": "2026-11-22T00:00:00+00:00",
            "code_version": VERSION,
            "rules": {"protocol_sha256": "0" * 64, "sha256": "0" * 64, "rules": []},
            "factors": [],
            "label_sets": [
                {
                    "policy": labels.policy,
                    "name": labels.policy,
                    "condition": None,
                    "version": labels.version,
                    "params": {},
                    "chosen": {},
                    "meaning": POLICIES[labels.policy].meaning,
                    "number": POLICIES[labels.policy].number,
                }
                for labels in label_sets
            ],
            "images": "included",
            "licences": {"answers": "CC-BY-4.0", "image_set": "CC0-1.0", "origin": {}},
            "creators": ["Somebody"],
            "description": "Two mixtures of noise.",
            "collected": {"from": None, "to": None},
            "previous": None,
            "change": None,
            "consent": [],
            "agreement": [],
        },
    )

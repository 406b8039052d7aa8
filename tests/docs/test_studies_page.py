"""docs/studies.md and examples/study.toml against the code: names, defaults, what opening fixes, and a whole file."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command

from elicitation.images.models import ImageSet
from elicitation.management.commands import study as study_command
from elicitation.monitoring.monitor import QUIET
from elicitation.studies.fixing import fixed_in_design
from elicitation.studies.hypotheses import TESTS
from elicitation.studies.models import Study
from elicitation.studies.opening import open_study
from elicitation.studies.plans import StudyPlan
from elicitation.studies.toml_writing import study_file
from hilmix.accounts.roles import OPERATOR
from hilmix.core.planning import H_MIX_COMPONENTS, reliability
from tests.docs.test_docs import ROOT, cells, names, text

PAGE = "docs/studies.md"
EXAMPLE = ROOT / "examples" / "study.toml"
WHOLE = {"display", "factors", "rules", "hypotheses", "texts", "recruitment"}  # one line of the table each


def written() -> dict[str, object]:
    """Every key of a study's file with its default, as `table.key`."""
    plan = StudyPlan(slug="s", title="t", image_set=ImageSet(name="n", classes=[]), texts={})
    flat: dict[str, object] = {}
    for name, value in tomllib.loads(study_file(plan), parse_float=Decimal).items():
        if isinstance(value, dict) and name not in WHOLE:
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat | {"recruitment": {}}


def said(value: object) -> str:
    """A default as the table writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "empty"
    if isinstance(value, Decimal | int):
        return f"{value:f}".rstrip("0").rstrip(".") if "." in str(value) else str(value)
    return str(value) or "empty"


# What the table says in words.
IN_WORDS = {
    "slug",
    "title",
    "timing_reason",
    "image_set.name",
    "interface.version",
    "interface.options",
    *WHOLE,
}


def test_studies_lists_exactly_the_keys_of_a_file_with_their_defaults():
    defaults = written()
    assert sorted(names(PAGE, "key")) == sorted(defaults)
    for key, _meaning, default, _fixed in cells(PAGE, "key"):
        if (name := key.strip("`")) not in IN_WORDS:
            assert default == said(defaults[name]), name


def test_studies_says_what_opening_fixes():
    fixed = {row[0].strip("`") for row in cells(PAGE, "key") if row[3] == "yes"}
    of_design = {f"design.{name}".replace("lambdas_e4", "lambdas") for name in fixed_in_design()}
    others = {"slug", "source", "image_set.name", "image_set.sha256", "interface.name"}
    assert fixed == of_design | others
    (factors,) = [row[3] for row in cells(PAGE, "key") if row[0] == "`factors`"]
    assert factors == "but for words"


def test_studies_names_the_states_and_the_tests_of_hypotheses():
    assert [row[0] for row in cells(PAGE, "state")] == [state.label for state in Study.State]
    assert names(PAGE, "test") == list(TESTS)


def test_studies_gives_the_numbers_that_the_planner_gives():
    page, rho = text(PAGE), H_MIX_COMPONENTS.rho
    assert f"ρ = {rho:.3f}".replace("0.", ".") in page
    assert f"τ² = {H_MIX_COMPONENTS.between:.4f}, σ² = {H_MIX_COMPONENTS.within:.4f}" in page
    for k in (2, 9):
        assert f"k = {k} gives {reliability(rho, k):.2f}".replace("0.", ".") in page
    assert QUIET.total_seconds() == 3 * 3600
    assert "for three hours" in page


@pytest.fixture
def digits(db, settings, tmp_path):
    settings.VAR = tmp_path / "var"
    call_command("import_images", "digits", name="digits", verbosity=0)


def test_the_example_of_a_study_says_every_key_is_opened_and_comes_back_equal(digits, tmp_path):
    call_command(study_command.Command(), "import", str(EXAMPLE))
    study = Study.objects.get(slug="brief-looks")
    open_study(study=study, actor=OPERATOR)

    exported = tmp_path / "out.toml"
    call_command(study_command.Command(), "export", study.slug, "--to", str(exported))
    example, back = read(EXAMPLE), read(exported)
    assert missing(example, back) == []
    left_out = {key for key in written() if key.split(".")[0] not in WHOLE and not named(key, example)}
    assert left_out == {"image_set.sha256", "interface.version"}  # only a file that was exported has them

    call_command(study_command.Command(), "import", str(exported), "--slug", "again")
    assert Study.objects.get(slug="again").protocol.sha256 == study.protocol.sha256


def read(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)


def named(key: str, file: object) -> bool:
    """Whether a file has a value at `table.key`."""
    for part in key.split("."):
        if not isinstance(file, dict) or part not in file:
            return False
        file = file[part]
    return True


def missing(wanted: object, found: object, place: str = "") -> list[str]:
    """Where `found` lacks, or says otherwise, something that `wanted` says."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            one
            for key, value in wanted.items()
            for one in missing(value, found.get(key), f"{place}.{key}" if place else key)
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            one
            for number, (value, other) in enumerate(zip(wanted, found, strict=True))
            for one in missing(value, other, f"{place}[{number}]")
        ]
    same = wanted == found or (
        isinstance(wanted, str) and isinstance(found, str) and wanted.strip() == found.strip()
    )
    return [] if same else [place]

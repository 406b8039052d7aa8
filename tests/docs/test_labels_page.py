"""The page on labels lists what the code has: every policy, what its number means, its parameters and defaults."""

from __future__ import annotations

import re
from pathlib import Path

from hilmix.core.softlabels import DEFAULT_POLICY, NUMBERS, POLICIES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "labels.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the rows of the table whose first column has this heading."""
    rows = PAGE.partition(f"\n| {heading} |")[2].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_policy_is_on_the_page_with_what_its_number_means():
    rows = table("policy")
    assert [name.strip("`") for name, *_ in rows] == list(POLICIES)
    for name, _label, _params, number, _remarks in rows:
        assert number == POLICIES[name.strip("`")].number
    (default,) = [row[0].strip("`") for row in rows if "**The default**" in row[-1]]
    assert default == DEFAULT_POLICY


def test_every_parameter_is_on_the_page_with_its_default_and_what_else_it_may_be():
    for name, _label, params, *_ in table("policy"):
        policy = POLICIES[name.strip("`")]
        assert re.findall(r"`(\w+=[\w.]+)`", params) == [f"{p.name}={p.default}" for p in policy.params]
        for param in policy.params:
            assert all(choice in params for choice in param.choices)


def test_every_kind_of_number_is_explained_in_the_same_words():
    assert dict(table("number")) == NUMBERS


def test_the_policies_that_the_text_names_are_policies():
    named = set(re.findall(r"`([a-z][a-z0-9]*_[a-z0-9_]+)`", PAGE))
    other = {"hmix_weighted", "confidence_weighted", "lambda_e4"}
    assert named - other <= POLICIES.keys()


def test_the_example_runs():
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    namespace: dict[str, object] = {}
    exec(code, namespace)
    assert namespace["labels"].rows[0].lambda_ == 0.7

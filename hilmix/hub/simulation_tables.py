"""What a simulation found, as tables and a figure: for its page and for the command line."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from elicitation.studies.hypotheses import Hypothesis, read_hypotheses
from hilmix.figures import Cell, Figure, Series, Table
from hilmix.hub.hypotheses import TESTS
from hilmix.hub.models import Simulation
from hilmix.version import code_version

EXACT = 0.005  # an effect that was put in otherwise than asked for is said where it differs by more


def hypotheses_of(simulation: Simulation) -> tuple[Hypothesis, ...]:
    """The hypotheses that were looked for, whatever the study's protocol says by now."""
    return read_hypotheses(simulation.result["hypotheses"])


def power_table(simulation: Simulation) -> Table:
    """How often each hypothesis is found, by the number of answers a unit."""
    return Table(
        caption=_(
            "Share of %(n)d repetitions in which the hypothesis is found, with its expected effect (power) and without"
            " any (false positives); 95%% intervals."
        )
        % {"n": simulation.options["repetitions"]},
        columns=(
            _("Hypothesis"),
            _("Answers a unit"),
            _("People"),
            _("Effect put in"),
            _("Power"),
            _("95% interval"),
            _("False positives"),
            _("95% interval"),
        ),
        rows=tuple(
            (
                row["hypothesis"],
                row["k"],
                row["people"],
                _effect(row),
                _share(row["power"]),
                _interval(row["power_interval"]),
                _share(row["false_positive"]),
                _interval(row["false_positive_interval"]),
            )
            for row in simulation.result["power"]
        ),
    )


def copy_table(simulation: Simulation) -> Table:
    """The tests on the answers of the copy: one study of many that there could have been."""
    rows: list[tuple[Cell, ...]] = []
    for one in simulation.result["copy"]["tests"]:
        low, high = one["interval"] or (None, None)
        interval = "–" if low is None else f"{low:.3f} … {high:.3f}"
        p = "–" if one["p"] is None else f"{one['p']:.3f}"
        estimate = "–" if one["estimate"] is None else f"{one['estimate']:.3f}"
        rows.append(
            (
                one["name"],
                one["n_people"],
                estimate,
                interval,
                p,
                _("found") if one["found"] else _("not found"),
            )
        )
    return Table(
        caption=_("The planned tests on the answers of the copy, in which nothing was put in."),
        columns=(_("Hypothesis"), _("People"), _("Estimate"), _("95% interval"), "p", _("Outcome")),
        rows=tuple(rows),
    )


def power_figure(simulation: Simulation) -> Figure | None:
    """Power and false positives against the number of answers; None without a hypothesis."""
    rows = simulation.result["power"]
    if not rows:
        return None
    series = []
    for group, hypothesis in enumerate(hypotheses_of(simulation)):
        mine = [row for row in rows if row["hypothesis"] == hypothesis.name]
        for name, key, style in (
            (hypothesis.name, "power", "line"),
            (_("%(name)s, without an effect") % {"name": hypothesis.name}, "false_positive", "dashed"),
        ):
            points = tuple((float(row["k"]), row[key]) for row in mine if row[key] is not None)
            if points:
                series.append(Series(name, points, group, "line" if style == "line" else "dashed"))
    return Figure(
        key="power",
        kind="curve",
        title=_("Power"),
        definition=_(
            "How often each hypothesis is found in %(n)d repetitions of the design, by the number of answers a unit;"
            " dashed: how often it is where there is no effect."
        )
        % {"n": simulation.options["repetitions"]},
        x_label=_("answers a unit"),
        y_label=_("share of repetitions"),
        series=tuple(series),
        table=power_table(simulation),
        source=_("release %(release)s, protocol %(protocol)s, seed %(seed)d, hilmix %(code)s")
        % {
            "release": simulation.release.name,
            "protocol": simulation.result["protocol"]["sha256"][:12],
            "seed": simulation.options["seed"],
            "code": code_version(),
        },
    )


def notes_of(simulation: Simulation) -> list[str]:
    """What a reader must know of how the design was repeated and effects were put in."""
    notes = [
        _(
            "Everybody's answers are tested: rules and attention checks leave nobody out here. A study whose rules do"
            " has fewer people, and finds less often what is there."
        )
    ]
    rows = {row["hypothesis"]: row for row in simulation.result["power"]}
    for hypothesis in hypotheses_of(simulation):
        row = rows[hypothesis.name]
        said = {"name": hypothesis.name, "test": TESTS[hypothesis.test], "effect": hypothesis.effect}
        if row["effect_of"] == "release":
            notes.append(
                _(
                    "%(name)s (%(test)s): the protocol expects no effect, so people see what those of the release do."
                )
                % said
            )
        elif row["effect_of"] == "none":
            notes.append(
                _(
                    "%(name)s (%(test)s): the protocol expects no effect, and no release says what it could be."
                )
                % said
            )
        elif abs(abs(row["effect"]) - abs(hypothesis.effect)) > EXACT:
            notes.append(
                _(
                    "%(name)s (%(test)s): of the expected effect of %(effect).3g only %(reached).3g could be put in."
                )
                % {**said, "reached": row["effect"]}
            )
    return notes


def _effect(row: dict[str, Any]) -> str:
    if row["effect_of"] == "none":
        return "–"
    return _("as in the release") if row["effect"] is None else f"{row['effect']:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _interval(value: list[float] | None) -> str:
    return "–" if value is None else f"{value[0]:.2f}–{value[1]:.2f}"

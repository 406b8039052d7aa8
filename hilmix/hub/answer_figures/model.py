"""Sections that hang on all answers together: the mixed model, and what leaving people out would change."""

from __future__ import annotations

from hilmix.core.analysis.headlines import headlines
from hilmix.core.analysis.table import Kind
from hilmix.figures import Cell, Series, Table
from hilmix.hub.answer_figures.look import NO_MIDPOINTS, NO_SHARES, Look, Row, Section
from hilmix.hub.mixed_models import fit_model

WHY_NOT = {"share": NO_SHARES, "midpoint": NO_MIDPOINTS}


def model_of(look: Look, kind: Kind) -> Section:
    """The mixed model of answers of one kind as a forest of its terms."""
    asked = look.of(kind)
    if not asked:
        return WHY_NOT[kind]
    fitted = fit_model([(one.name, one.answers) for one in asked], look.analysed.classes, look.rng)
    if isinstance(fitted, str):
        return fitted
    terms = [term for term in fitted.terms if term.name != "intercept"]
    spread = ", ".join(f"{name} {value:.3f}" for name, value in fitted.components)
    rows: list[Row] = [(term.name, term.estimate, term.low, term.high) for term in fitted.terms]
    rows += [(f"standard deviation: {name}", value, None, None) for name, value in fitted.components]
    clear = [f"{term.name} ({term.estimate:+.3f})" for term in terms if term.low > 0 or term.high < 0]
    return look.figure(
        key=f"model-{kind}",
        kind="forest",
        title=f"Mixed model of {fitted.outcome}",
        definition=f"Linear mixed model (REML, statsmodels) of {fitted.outcome}: {fitted.n} answers by"
        f" {fitted.n_people} people to {fitted.n_units} images or pairs. A class's term is how much more is seen of it"
        f" in a mix with the average class. Random effects (standard deviations): {spread}. 95% intervals: normal,"
        f" these taken as known. {' '.join(fitted.notes)}",
        x_label=f"effect on {fitted.outcome}",
        y_label="",
        series=(
            Series("effect", tuple((float(i), t.estimate, t.low, t.high) for i, t in enumerate(terms)), 0),
        ),
        table=Table(
            f"Fixed effects on {fitted.outcome}, 0–1, and what varies.",
            ("term", "estimate", "low", "high"),
            tuple(rows),
        ),
        reading=f"Told from 0: {', '.join(clear)}." if clear else "No effect can be told from 0.",
        y_categories=tuple(term.name for term in terms),
        reference=0.0,
    )


def sensitivity(look: Look) -> Table:
    """Each headline number under no rule of exclusion, under each that leaves anybody out, and under all of them."""
    data = look.analysed
    everybody = set().union(*data.out_by.values())
    choices = [("no rule", set()), *data.out_by.items()]
    if len(data.out_by) > 1:
        choices.append(("all rules", everybody))
    columns = [f"{name} (−{len(out)})" if out else name for name, out in choices]
    found = [[headlines(one.answers) for one in data.without(out)] for _, out in choices]
    rows: list[Row] = []
    for number, one in enumerate(data.asked):
        for name in found[0][number]:
            values: list[Cell] = [under[number].get(name) for under in found]
            rows.append((one.name, name, *values) if len(data.asked) > 1 else (name, *values))
    none = f" Rules that leave nobody out: {', '.join(data.no_effect)}." if data.no_effect else ""
    caption = (
        f"Headline figures by who is left out, of {data.n_people} valid people (− how many it leaves out). Each rule at"
        f" the study's own limit, else at its default, as if it excluded.{none}"
    )
    first = ("asked", "figure") if len(data.asked) > 1 else ("figure",)
    return Table(caption, (*first, *columns), tuple(rows))

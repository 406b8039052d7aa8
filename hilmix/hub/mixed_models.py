"""One mixed model of what people answer: λ, side, class, the answer before and the position as terms (statsmodels).

Persons and images are crossed: each has a random intercept, and each person a slope on λ where λ varies. That is
feasible because designs ask in batches: persons and images of different batches share nothing, so each batch is one
group. Where one group would be too large, the images' intercept is left out, and it is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hilmix.core.agreement import NORMAL_95
from hilmix.core.analysis.table import AnswerTable, Floats, Ints, Mask
from hilmix.core.folds import connected

LEAST_ANSWERS, LEAST_PEOPLE = 40, 4
MOST_ANSWERS = 20_000  # that it is fitted on; of more, whole batches are drawn
MOST_TOGETHER = 1500  # answers of persons and images that are all connected
MOST_LEVELS = 11  # λ that have a term each; more are a line and its cube
MOST_CLASSES = 20  # that have a term each
# One after another until one converges. Those that follow gradients are none of them: where a variance is near 0 they
# stop far short and say that they are done.
OPTIMISERS = ("powell", "nm")
EXACT = 1e-9  # what floats leave of answers, 0–1
AT_ZERO = 1e-6  # of the residual variance: less is a variance of 0
NOT_CONVERGED = "its fit did not converge, so nothing can be said of its terms"
NOTHING_VARIES = "its terms explain these answers wholly, so nothing is left to vary"

Random = tuple[str, Ints, Floats | None]  # what varies, whose answer each is, and what it is multiplied with


@dataclass(frozen=True)
class Term:
    """A fixed effect on the outcome, 0–1, with its 95% interval (normal, the variances taken as known)."""

    name: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Model:
    """`components`: standard deviations by what varies, the residual last. `notes`: what a reader must know of it."""

    outcome: str
    terms: tuple[Term, ...]
    components: tuple[tuple[str, float], ...]
    n: int
    n_people: int
    n_units: int
    notes: tuple[str, ...]


@dataclass
class _Design:
    """The columns of fixed effects so far; one that the others already say is left out, with a note.

    `balance` names a last term that is minus the sum of those at the places given.
    """

    names: list[str] = field(default_factory=list)
    columns: list[Floats] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    balance: tuple[str, list[int]] | None = None

    def add(self, name: str, column: Floats) -> None:
        if np.linalg.matrix_rank(np.stack([*self.columns, column], axis=1)) > len(self.columns):
            self.names.append(name)
            self.columns.append(column)
        else:
            self.notes.append(f"“{name}” has no term: these answers cannot tell it from the other terms.")


def fit_model(
    tables: Sequence[tuple[str, AnswerTable]], classes: Sequence[str], rng: np.random.Generator
) -> Model | str:
    """Fit it on answers of one kind (shares or midpoints) under one or more named conditions, or say why not.

    Args:
        tables: with persons and units counted alike in all of them; repeats serve as the answer before only.
        classes: the names of the image set's classes.
    """
    answers, condition, before = _together([table for _name, table in tables])
    known = ~np.isnan(answers.value) & ~answers.repeat
    used = known & ~np.isnan(before)
    groups, crossed = _groups(answers, used)
    n_out = known.sum() - used.sum()
    notes = [f"{n_out} answers are left out because the same person gave no number before them."]
    if used.sum() > MOST_ANSWERS:
        used &= _drawn(groups, used, rng)
        notes.append(
            f"Fitted on {used.sum()} answers: whole batches drawn at random (at most {MOST_ANSWERS})."
        )
    answers, condition, before, groups = answers.where(used), condition[used], before[used], groups[used]
    if len(answers) < LEAST_ANSWERS or len(np.unique(answers.person)) < LEAST_PEOPLE:
        return f"it needs {LEAST_ANSWERS} answers with one before them, by {LEAST_PEOPLE} people"
    if not crossed:
        notes.append("Images have no random effect: too many people and images are connected.")
    design = _design(answers, condition, before, [name for name, _table in tables], classes)
    notes += design.notes
    return _fit(answers, design, groups, crossed, notes)


def _together(tables: Sequence[AnswerTable]) -> tuple[AnswerTable, Ints, Floats]:
    """All answers by person and position, the condition of each, and what the person answered just before."""
    condition = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in AnswerTable.__dataclass_fields__
        if getattr(tables[0], name) is not None
    }
    order = np.lexsort([columns["position"], columns["person"]])
    answers = AnswerTable(**columns).where(order)
    before = np.full(len(answers), np.nan)
    same = answers.person[1:] == answers.person[:-1]
    before[1:][same] = answers.value[:-1][same]
    # What was answered is a place on the screen: it is turned where the sides have changed.
    turned = np.zeros(len(answers), dtype=np.bool_)
    turned[1:] = answers.side[1:] * answers.side[:-1] < 0
    return answers, condition[order], np.where(turned, 1 - before, before)


def _groups(answers: AnswerTable, used: Mask) -> tuple[Ints, bool]:
    """The group of each answer, and whether images are in it: connected persons and images, else persons alone."""
    units = int(answers.person.max(initial=-1)) + 1 + answers.unit
    groups = np.full(len(answers), -1)
    groups[used] = connected(np.stack([answers.person, units], axis=1)[used])
    crossed = np.bincount(groups[used], minlength=1).max() <= MOST_TOGETHER
    return (groups if crossed else answers.person), bool(crossed)


def _drawn(groups: Ints, used: Mask, rng: np.random.Generator) -> Mask:
    sizes = np.bincount(groups[used])
    order = rng.permutation(len(sizes))
    kept = order[np.cumsum(sizes[order]) <= MOST_ANSWERS]
    return np.isin(groups, kept)


def _design(
    answers: AnswerTable, condition: Ints, before: Floats, conditions: Sequence[str], classes: Sequence[str]
) -> _Design:
    design = _Design(["intercept"], [np.ones(len(answers))])
    if answers.kind == "share":
        _add_lambda(design, answers)
    elif not np.isnan(answers.start).all():
        design.add("start: high end of λ, against low", np.nan_to_num(answers.start) / 2)
    _add_side(design, answers)
    _add_classes(design, answers, classes)
    for number in range(1, len(conditions)):
        design.add(f"{conditions[number]}, against {conditions[0]}", (condition == number).astype(np.float64))
    design.add("answer before (0 to 1)", before - 0.5)
    last = max(1, int(answers.position.max()))
    design.add("position (first to last)", answers.position / last - 0.5)
    return design


def _add_lambda(design: _Design, answers: AnswerTable) -> None:
    levels = np.unique(answers.lambda_e4)
    if len(levels) > MOST_LEVELS:
        centred = answers.lambda_ - 0.5
        design.add("λ (0 to 1)", centred)
        design.add("λ cubed, about one half", (2 * centred) ** 3)
        return
    middle = levels[np.argmin(np.abs(levels - 5000))]
    for level in levels[levels != middle]:
        name = f"λ {level / 10_000:g}, against {middle / 10_000:g}"
        design.add(name, (answers.lambda_e4 == level).astype(np.float64))


def _add_side(design: _Design, answers: AnswerTable) -> None:
    if np.isnan(answers.side).all():
        design.notes.append("There is no term for the side: it is not known which class was named on which.")
        return
    turned = answers.by_class_pair
    pair = turned.first_class * (1 + int(turned.second_class.max())) + turned.second_class
    seen = np.unique(np.stack([pair, np.nan_to_num(turned.side).astype(np.int64)]), axis=1)
    if len(np.unique(seen[0])) == seen.shape[1]:
        design.notes.append(
            "Side and class cannot be separated: of every pair of classes the same one was always named on the left."
            " The intercept and the classes' terms hold what both do together."
        )
        return
    design.add("side: first class on the left, against right", np.nan_to_num(answers.side) / 2)


def _add_classes(design: _Design, answers: AnswerTable, classes: Sequence[str]) -> None:
    """A term for each class: how much more of it is seen in a mix with the average class. They sum to 0."""
    met = np.unique(np.concatenate([answers.first_class, answers.second_class]))
    if len(met) > MOST_CLASSES:
        design.notes.append(
            f"{len(met)} classes are too many for a term each; they are in the images' effect."
        )
        return
    pull = (answers.first_class[:, None] == met).astype(np.float64) - (answers.second_class[:, None] == met)
    start = len(design.names)
    for place in range(len(met) - 1):
        design.add(f"class {classes[met[place]]}", pull[:, place] - pull[:, -1])
    if len(design.names) == start + len(met) - 1 > start:
        design.balance = f"class {classes[met[-1]]}", list(range(start, len(design.names)))


def _fit(answers: AnswerTable, design: _Design, groups: Ints, crossed: bool, notes: list[str]) -> Model | str:
    centred = answers.lambda_ - 0.5
    random: list[Random] = [("people", answers.person, None)]
    if answers.kind == "share" and np.ptp(centred) > 0:
        random.append(("people's slopes on λ", answers.person, centred))
    if crossed:
        random.append(("images" if answers.kind == "share" else "pairs", answers.unit, None))
    matrix = np.stack(design.columns, axis=1)
    explained = matrix @ np.linalg.lstsq(matrix, answers.deviation, rcond=None)[0]
    if np.abs(answers.deviation - explained).max() < EXACT:
        return NOTHING_VARIES
    fitted = _most_likely(answers.deviation, matrix, random, groups)
    if fitted is None:
        return NOT_CONVERGED
    terms = _terms(design, fitted.fe_params, _covariance(matrix, random, groups, fitted.vcomp, fitted.scale))
    for (name, *_), variance in zip(random, fitted.vcomp, strict=True):
        if variance < AT_ZERO * fitted.scale:
            notes.append(f"The variance of {name} is estimated as 0: these answers show none.")
    spread = [(name, float(np.sqrt(v))) for (name, *_), v in zip(random, fitted.vcomp, strict=True)]
    spread.append(("residual", float(np.sqrt(fitted.scale))))
    outcome = "perceived λ − λ" if answers.kind == "share" else "perceived midpoint − ½"
    people, units = len(np.unique(answers.person)), len(np.unique(answers.unit))
    return Model(outcome, tuple(terms), tuple(spread), len(answers), people, units, tuple(notes))


def _most_likely(outcome: Floats, matrix: Floats, random: Sequence[Random], groups: Ints) -> Any:
    """Where the restricted likelihood is highest, as statsmodels' results; None where no optimiser converges."""
    import statsmodels.api as sm

    model = sm.MixedLM(outcome, matrix, groups=groups, exog_vc=_components(random, groups))
    for method in OPTIMISERS:
        with warnings.catch_warnings():  # of steps on the way, and of standard errors that are not used
            warnings.simplefilter("ignore")
            try:
                fitted = model.fit(method=method, maxiter=500)
            except np.linalg.LinAlgError:
                continue
        if fitted.converged and np.isfinite(fitted.llf):
            return fitted
    return None


def _covariance(
    matrix: Floats, random: Sequence[Random], groups: Ints, variances: Floats, residual: float
) -> Floats:
    """(X'V⁻¹X)⁻¹, that of the fixed effects at these variances.

    Not statsmodels' own, from the curvature of the likelihood: that is none where a variance is at its bound of 0.
    """
    information = np.zeros((matrix.shape[1],) * 2)
    for group in np.unique(groups):
        rows = groups == group
        among = residual * np.eye(rows.sum())
        for (_name, index, scale), variance in zip(random, variances, strict=True):
            along = np.ones(rows.sum()) if scale is None else scale[rows]
            among += variance * (index[rows, None] == index[rows]) * np.outer(along, along)
        information += matrix[rows].T @ np.linalg.solve(among, matrix[rows])
    return np.asarray(np.linalg.inv(information), dtype=np.float64)


def _terms(design: _Design, estimates: Floats, covariance: Floats) -> list[Term]:
    """The fixed effects with their intervals, a balancing one behind those that it balances."""
    width = len(design.names)
    contrasts = list(zip(design.names, np.eye(width), strict=True))
    if design.balance is not None:
        name, places = design.balance
        balancing = np.zeros(width)
        balancing[places] = -1.0
        contrasts.insert(places[-1] + 1, (name, balancing))
    terms = []
    for name, contrast in contrasts:
        found = float(contrast @ estimates)
        half = NORMAL_95 * float(np.sqrt(contrast @ covariance @ contrast))
        terms.append(Term(name, found, found - half, found + half))
    return terms


def _components(random: Sequence[Random], groups: Ints) -> object:
    """The random effects as statsmodels takes them: in each group one column for each person or image."""
    from statsmodels.regression.mixed_linear_model import VCSpec

    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    names: list[list[list[str]]] = []
    columns: list[list[Floats]] = []
    for _name, index, scale in random:
        names.append([])
        columns.append([])
        for rows in members:
            known, place = np.unique(index[rows], return_inverse=True)
            column = np.eye(len(known))[place]
            columns[-1].append(column if scale is None else column * scale[rows, None])
            names[-1].append([str(one) for one in known])
    return VCSpec([name for name, *_ in random], names, columns)

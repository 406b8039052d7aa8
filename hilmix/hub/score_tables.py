"""What judging labels found, as tables, in words and as JSON: for the page, the command line and the API."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hilmix.core.label_scores import BASELINE, LESS_LEVELLED, Compared, Interval, LabelScores, Score, Unseen
from hilmix.core.softlabels import POLICIES, parse_label_name
from hilmix.core.softlabels.warp import LEVELLED
from hilmix.figures import Cell, Table

UNSEEN: dict[Unseen, str] = {"people": "unseen people", "parents": "unseen parents"}
FEW_PEOPLE = 20
TRUE_OBSERVER = (
    "true observer"  # of simulated participants: what they see on average, which made their answers
)
CEILING = "the best that a label could do"


@dataclass(frozen=True)
class Judged:
    """What was found under one condition; `name` says how was asked, empty where there is one way only."""

    condition: str
    name: str
    scores: LabelScores

    @property
    def suffix(self) -> str:
        return f" ({self.name})" if self.name else ""

    def among(self, unseen: Unseen) -> list[Score]:
        """The scores by one kind of folds, the best first."""
        found = [score for score in self.scores.scores if score.unseen == unseen]
        return sorted(found, key=lambda score: -self.spared(score.overall)[0])

    def spared(self, compared: Compared) -> tuple[float, Interval | None]:
        """What labels are ranked by, over mixup: bits of labels of two images, squared error of labels of all classes,
        whose bits depend on how much is spread."""
        if self.scores.of_classes:
            return compared.squared_spared, compared.squared_interval
        return compared.bits, compared.bits_interval

    @property
    def unit(self) -> str:
        """Of `spared`."""
        return "squared error" if self.scores.of_classes else "bits"

    @property
    def mixup(self) -> Score:
        return self.scores.score(BASELINE)

    @property
    def reachable(self) -> float | None:
        """By how much a perfect label's squared error is below that of mixup, over the λ where it can be told."""
        best = self.scores.ceiling.overall.squared_error
        return None if best is None else self._known(self.mixup, "squared_error") - best

    @property
    def reachable_bits(self) -> float | None:
        """By how much a perfect label's cross-entropy is below that of mixup, over the same λ."""
        best = self.scores.ceiling.overall.cross_entropy
        return None if best is None else bits(self._known(self.mixup, "cross_entropy") - best)

    def share(self, score: Score) -> float | None:
        """The part of the way from mixup to a perfect label, 1 for all of it, over the same λ."""
        reachable = self.reachable
        return self._known(score, "squared_spared") / reachable if reachable and reachable > 0 else None

    def _known(self, score: Score, what: str) -> float:
        """The mean of one of its numbers over the answers at the λ where somebody shares an image."""
        ceiling = self.scores.ceiling.by_lambda
        at = [score.by_lambda[one] for one, best in ceiling.items() if best.squared_error is not None]
        return sum(one.n * float(getattr(one, what)) for one in at) / sum(one.n for one in at)


def bits(nats: float) -> float:
    return nats / math.log(2)


# --- tables ---


def tables_of(judged: Judged) -> list[dict[str, Any]]:
    """All labels, the best first: judged by unseen people, then by unseen parents; what else is known of them is the
    table `further` of each."""
    return [
        {**asdict(_scores_table(judged, unseen)), "further": asdict(_further_table(judged, unseen))}
        for unseen in UNSEEN
        if judged.among(unseen)
    ]


COLUMNS = ("label", "bits over mixup", "squared error", "spared of it", "n")
FURTHER = (
    "label", f"bits with ε = {LESS_LEVELLED:g}", "part of the way", "cross-entropy", "where others answered: n",
    "where others answered: squared error", "its number",
)  # fmt: skip


def _scores_table(judged: Judged, unseen: Unseen) -> Table:
    scores, best, found = judged.scores, judged.scores.ceiling.overall, judged.among(unseen)
    rows: list[tuple[Cell, ...]] = []
    if best.squared_error is not None:
        spared = f"{judged.reachable_bits:+.4f}", f"{best.squared_error:.4f}", f"{judged.reachable:+.4f}"
        rows.append((CEILING, *spared, None))
    rows += [_row(score) for score in found if not _is_mixup(score)]
    groups = (
        f"{scores.n_people} people"
        if unseen == "people"
        else f"{scores.n_groups:,} groups of connected parents"
    )
    caption = (
        f"How well labels predict {UNSEEN[unseen]}{judged.suffix}: {scores.n_answers:,} answers about"
        f" {scores.n_units:,} units, of {groups}; the best by {judged.unit} first. In"
        " brackets: 95% intervals."
    )
    if as_mixup := [score.name for score in found if _is_mixup(score)]:
        caption += f" Here {', '.join(as_mixup)} say what mixup says."
    return Table(caption, COLUMNS, tuple(rows))


def _further_table(judged: Judged, unseen: Unseen) -> Table:
    best = judged.scores.ceiling.overall
    rows: list[tuple[Cell, ...]] = []
    if best.cross_entropy is not None:
        rows.append((CEILING, None, "100%", f"{best.cross_entropy:.4f}", None, None, None))
    rows += [_further_row(judged, score) for score in judged.among(unseen) if not _is_mixup(score)]
    caption = f"More about labels that predict {UNSEEN[unseen]}{judged.suffix}, in the same order."
    return Table(caption, FURTHER, tuple(rows))


def _is_mixup(score: Score) -> bool:
    """Whether a label says what mixup says wherever it was judged."""
    one = score.overall
    return score.name != BASELINE and (one.bits, one.squared_spared) == (0, 0)


def _row(score: Score) -> tuple[Cell, ...]:
    one, compared = score.overall, score.name != BASELINE
    return (
        score.name,
        _with_interval(one.bits, one.bits_interval if compared else None),
        f"{one.squared_error:.4f}",
        _with_interval(one.squared_spared, one.squared_interval if compared else None),
        one.n,
    )


def _further_row(judged: Judged, score: Score) -> tuple[Cell, ...]:
    one, share, others = score.overall, judged.share(score), score.others_answered
    return (
        score.name,
        f"{one.bits_less_levelled:+.4f}",
        None if share is None else f"{share:.0%}",
        f"{one.cross_entropy:.4f}",
        None if others is None else others.n,
        None if others is None else f"{others.squared_error:.4f}",
        _number(score),
    )


def _with_interval(value: float, ends: Interval | None) -> str:
    return f"{value:+.4f}" + ("" if ends is None else " [{:+.4f}, {:+.4f}]".format(*ends))


def _number(score: Score) -> str:
    """What the number of a label is (`softlabels.NUMBERS`)."""
    return POLICIES[parse_label_name(score.label)[0]].number if score.label else "simulated truth"


# --- in words, and as JSON ---


def notes_of(judged: Sequence[Judged]) -> list[str]:
    """How labels were judged; what a reader must know."""
    notes = [
        "Answers are left out in five folds, by person and then by connected parents (mixed images that share a"
        " picture, directly or through others); labels are made of the rest, and predict what was left out. Intervals"
        " do not count that labels would differ if they were made of other people's answers.",
        f"Before its cross-entropy is taken, ε = {LEVELLED:g} of each label is spread over all classes, or one answer"
        " of 0 or 1 would cost without end. An answer about two images says nothing of other classes, so of a label"
        " only the two classes are compared with it.",
        "“Where others answered” counts an answer only in those deals in which somebody else's answer about the same"
        " image was left to make the label of.",
        "The best that a label could do: its squared error is the variance of the answers of different people to one"
        " image; its cross-entropy is reckoned from how images differ at each λ, as if their true labels followed a"
        " Dirichlet distribution. “Part of the way” is the squared error spared, of that between mixup and this.",
        "Of images that nobody was asked about, a label of single images says what it says without answers: λ, or what"
        " people see on average at this λ.",
        "Answers are those that a release may hold, of people who count; only first answers judge.",
    ]
    for one in judged:
        notes += _of_classes(one) if one.scores.of_classes else []
        if one.scores.n_one_class:
            notes.append(
                f"{one.scores.n_one_class:,} answers about mixes of two images of one class judge nothing: a share of"
                f" them says nothing about classes{one.suffix}."
            )
    if any(one.scores.n_people < FEW_PEOPLE for one in judged):
        notes.append(f"Intervals clustered by fewer than {FEW_PEOPLE} people are too narrow.")
    if any(score.name == TRUE_OBSERVER for one in judged for score in one.scores.scores):
        notes.append(
            f"These are simulated participants. “{TRUE_OBSERVER}” is the label that made their answers: what they see"
            " in each image on average. No label can be better; one that is good comes near to it."
        )
    by_reason: dict[str, dict[str, None]] = {}
    for one in judged:
        for why in one.scores.refused.values():
            for name, reason in why.items():
                by_reason.setdefault(f"{reason.rstrip('.')}{one.suffix}", {})[name] = None
    return [*notes, *(f"Not judged: {', '.join(names)}. {reason}." for reason, names in by_reason.items())]


def _of_classes(judged: Judged) -> list[str]:
    """What is meant by their numbers, and which of these depend on how much is spread."""
    turned = [
        f"{score.name} ({UNSEEN[score.unseen]})"
        for score in judged.scores.scores
        if score.overall.bits * score.overall.bits_less_levelled < 0
    ]
    notes = [
        "An answer about classes is read as it stands: what is missing to 100% is spread evenly over the classes that"
        " were neither ruled out nor given any, and more than 100% is divided by its sum.",
        "Labels of all classes are ranked by squared error (half the sum over all classes), which needs no ε: what they"
        f" spare in bits depends on it{judged.suffix}.",
    ]
    if turned:
        notes.append(
            f"Better or worse than mixup in bits by what ε is ({LEVELLED:g} or {LESS_LEVELLED:g}): {', '.join(turned)}."
        )
    return notes


def as_json(judged: Judged, classes: Sequence[str]) -> dict[str, Any]:
    """All numbers of one condition, by label."""
    scores = judged.scores
    return {
        "condition": judged.condition,
        "n_answers": scores.n_answers,
        "n_people": scores.n_people,
        "n_units": scores.n_units,
        "n_connected_parents": scores.n_groups,
        "n_one_class": scores.n_one_class,
        "repeats": scores.repeats,
        "ranked_by": judged.unit,
        "levelled": LEVELLED,
        "less_levelled": LESS_LEVELLED,
        "ceiling": {
            **asdict(scores.ceiling.overall),
            "bits_over_mixup": judged.reachable_bits,
            "by_lambda": [
                {"lambda": one / 10_000, **asdict(best)} for one, best in scores.ceiling.by_lambda.items()
            ],
        },
        "leads": {unseen: asdict(lead) for unseen, lead in scores.leads.items()},
        "scores": [_score_as_json(judged, score, classes) for score in scores.scores],
        "refused": scores.refused,
    }


def _score_as_json(judged: Judged, score: Score, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "label": score.name,
        "number": _number(score),
        "unseen": score.unseen,
        **_rounded(score.overall),
        "part_of_the_way": judged.share(score),
        "where_others_answered": _rounded(score.others_answered) if score.others_answered else None,
        "by_lambda": [{"lambda": one / 10_000, **_rounded(at)} for one, at in score.by_lambda.items()],
        "by_class_pair": [
            {"classes": [classes[a], classes[b]], **_rounded(at)}
            for (a, b), at in score.by_class_pair.items()
        ],
    }


def _rounded(compared: Compared) -> dict[str, Any]:
    """To six places, so that a thousand numbers stay legible."""

    def short(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [short(one) for one in value]
        return round(value, 6) if isinstance(value, float) else value

    return {name: short(value) for name, value in asdict(compared).items()}

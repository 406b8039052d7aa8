"""What each flag of rules.FLAGS measures in a participation's answers, and which flags stand under some rules.

A measure is a number, or None where it cannot be said: no times recorded, no checks, too few answers. Attention checks
count in `failed_checks` alone. Nothing here changes or hides an answer, and nobody who takes part learns of it.

How people answered (process) is fixed once they have finished and is then stored with the participation; what they
answered (content) is compared with other people's answers and is measured whenever it is asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from django.db.models import Q, QuerySet
from django.utils.functional import Promise

from elicitation.interfaces.base import Payload
from elicitation.participants.models import Participation
from elicitation.studies.models import Mode, Source, Study, Unit
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import CANNOT_TELL, FLAGS, Rule
from elicitation.trials.checks import CheckResult
from elicitation.trials.given import Given, Ways, answers_given, checks_answered
from elicitation.trials.likeness import LEAST, Likeness
from elicitation.trials.models import Response, Trial
from hilmix.core.judgements import share_of

Measures = dict[str, float | None]  # by the name of a flag

PROCESS = tuple(name for name, flag in FLAGS.items() if flag.kind == "process")
CONTENT = tuple(name for name, flag in FLAGS.items() if flag.kind == "content")
MIDDLE = 50  # percent; where the sliders of H-Mix started and could be left
# What an answer to each of our interfaces consists of, as it was given; confidence is apart.
ANSWER = ("cannot_tell", "mixing_percent", "selected", "most_probable", "percent", "second", "percents")


@dataclass(frozen=True)
class Flagged:
    """A rule that somebody's answers fall under, and the measure that did it."""

    rule: Rule
    measure: float

    @property
    def meaning(self) -> Promise:
        """The flag in words."""
        return FLAGS[self.rule.flag].meaning

    @property
    def excludes(self) -> bool:
        """Whether labels are made without this participation."""
        return self.rule.excludes


def flagged(measures: Mapping[str, float | None], rules: Sequence[Rule]) -> list[Flagged]:
    """The flags that stand, in the order of `rules`; a measure that cannot be said raises none."""
    stand = []
    for rule in rules:
        measure = measures.get(rule.flag)
        if measure is not None and FLAGS[rule.flag].stands(measure, rule.params):
            stand.append(Flagged(rule, measure))
    return stand


def excluding(flags: Iterable[Flagged]) -> list[Flagged]:
    """Those of `flags` that leave a participation out of labels."""
    return [one for one in flags if one.excludes]


def rules_of(study: Study) -> tuple[Rule, ...]:
    """The rules in force: those of the study's newest protocol."""
    return settings_of(study.protocol.content).rules


# --- of a study; the number of queries does not depend on how many answered. `only` these participations of `mode`, by
# primary key: then no more answers are read than theirs are compared with.


def measures_of(
    study: Study,
    *,
    mode: str = Mode.LIVE,
    rules: Sequence[Rule] | None = None,
    only: Collection[int] | None = None,
) -> dict[int, Measures]:
    """Every measure of every participation of `mode`, by primary key; all None for who answered nothing.

    `rules` decide whom others are compared with; those in force where none are given.
    """
    people = study.participations.filter(mode=mode)
    measuring = Measuring(study)
    if only is None:
        measuring.read(people)
    else:
        measuring.read_about(people, only)
    measures = measuring.measures(people, rules_of(study) if rules is None else rules)
    return measures if only is None else {pk: measures[pk] for pk in only if pk in measures}


def process_measures_of(
    study: Study, *, mode: str = Mode.LIVE, only: Collection[int] | None = None
) -> dict[int, Measures]:
    """The process measures alone: as stored with whoever has finished, so quick where most have."""
    people = study.participations.filter(mode=mode)
    if only is not None:
        people = people.filter(pk__in=only)
    stored = dict(people.values_list("pk", "measures"))
    if not all(stored.values()):
        measuring = Measuring(study)
        measuring.read(people.filter(measures={}))
        stored |= {pk: measuring.process(pk) for pk, measures in stored.items() if not measures}
    return stored


def measures_for(
    study: Study, rules: Sequence[Rule], *, mode: str = Mode.LIVE, only: Collection[int] | None = None
) -> dict[int, Measures]:
    """The process measures of every participation of `mode`, and those of content where one of `rules` asks for one."""
    if any(rule.flag in CONTENT for rule in rules):
        return measures_of(study, mode=mode, rules=rules, only=only)
    return process_measures_of(study, mode=mode, only=only)


def standing(measures: Mapping[int, Measures], rules: Sequence[Rule]) -> dict[int, list[Flagged]]:
    """The flags that stand under `rules`, by participation; who has none is left out."""
    return {pk: stand for pk, said in measures.items() if (stand := flagged(said, rules))}


def flags_of(
    study: Study, *, mode: str = Mode.LIVE, only: Collection[int] | None = None
) -> dict[int, list[Flagged]]:
    """The flags that stand under the rules in force, by participation; who has none is left out."""
    rules = rules_of(study)
    return standing(measures_for(study, rules, mode=mode, only=only), rules)


def excluded_participations(study: Study, *, but: Collection[str] = ()) -> dict[int, list[Flagged]]:
    """The live participations that labels are made without, by primary key, and the rules that leave them out.

    Not among them: who was marked as invalid, unless a rule leaves them out as well. `but`: flags whose rules are taken
    as not being there, also where they decide whom others are compared with.
    """
    rules = [rule for rule in rules_of(study) if rule.excludes and rule.flag not in but]
    if not rules:
        return {}
    return standing(measures_for(study, rules), rules)


def store_measures(study: Study) -> None:
    """Store the process measures of everybody who has none, for answers that did not come one by one."""
    measured = process_measures_of(study)
    people = list(study.participations.filter(mode=Mode.LIVE, measures={}))
    for participation in people:
        participation.measures = measured[participation.pk]
    Participation.objects.bulk_update(people, ["measures"], batch_size=500)


# --- of one participation and of one answer


def process_measures(participation: Participation) -> Measures:
    """How one participation was answered, to be stored with it when all answers are there."""
    measuring = Measuring(participation.study)
    one = Participation.objects.filter(pk=participation.pk)
    measuring.read(one, units=Unit.objects.filter(trials__participation=participation))
    return measuring.process(participation.pk)


def flags_of_answer(given: Given, source: str) -> list[str]:
    """What can be said of how one answer was given: names of flags, and `CANNOT_TELL`."""
    payload = given.payload
    names = []
    if untouched(payload):
        names.append("untouched")
    if wrong_side(given):
        names.append("reversed")
    if left_window(payload):
        names.append("focus_lost")
    in_the_middle = source == Source.IMPORTED and payload.get("mixing_percent") == MIDDLE
    if in_the_middle and payload.get("confidence_percent", 100) <= MIDDLE:
        names.append(CANNOT_TELL)
    return names


def n_perhaps_cannot_tell(study: Study) -> int:
    """How many answers of an imported study have the flag `CANNOT_TELL`."""
    answers = Response.objects.filter(
        trial__participation__study=study,
        payload__mixing_percent=MIDDLE,
        payload__confidence_percent__lte=MIDDLE,
    )
    return answers.count() if study.source == Source.IMPORTED else 0


# --- measuring


@dataclass
class _Process:
    """How one participation's answers were given, counted."""

    touched: Counter[bool] = field(default_factory=Counter)  # left untouched → answers
    rt_ms: list[int] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)  # what was given → answers
    walked: Counter[tuple[int, int]] = field(default_factory=Counter)  # start and direction → answers
    sided: Counter[bool] = field(default_factory=Counter)  # on the wrong side → answers to uneven mixes
    left: Counter[bool] = field(default_factory=Counter)  # window left → answers
    checks: Counter[bool] = field(default_factory=Counter)  # failed → checks

    def add(self, given: Given) -> None:
        for counter, said in (
            (self.touched, untouched(given.payload)),
            (self.sided, wrong_side(given)),
            (self.left, left_window(given.payload)),
        ):
            if said is not None:
                counter[said] += 1
        if given.rt_ms is not None:
            self.rt_ms.append(given.rt_ms)
        if answer := [given.payload[name] for name in ANSWER if name in given.payload]:
            self.said[repr(answer)] += 1
        if "start_step" in given.payload:
            self.walked[given.payload["start_step"], direction(given.payload)] += 1

    def measures(self) -> Measures:
        return {
            "untouched": _share(self.touched),
            "too_fast": float(sorted(self.rt_ms)[(n - 1) // 5]) if (n := len(self.rt_ms)) >= LEAST else None,
            "one_key": self._one_key(),
            "reversed": _share(self.sided),
            "failed_checks": float(self.checks[True]) if self.checks else None,
            "focus_lost": _share(self.left),
        }

    def _one_key(self) -> float | None:
        shares = []
        if (n := self.said.total()) >= LEAST:
            shares.append(max(self.said.values()) / n)
        starts = Counter[int]()
        for (start, _direction), n in self.walked.items():
            starts[start] += n
        # From one end only, everybody steps to one side. From both, it is the same key whatever is shown.
        if self.walked.total() >= LEAST and len(starts) > 1:
            shares += [min(self.walked[start, way] / n for start, n in starts.items()) for way in (-1, 1)]
        return round(max(shares), 4) if shares else None


class Measuring:
    """Goes once through the answers of a study and measures every person. `add` takes answers that are read anyway."""

    def __init__(self, study: Study, ways: Ways | None = None) -> None:
        self.study = study
        self.ways = ways or Ways(study)
        self._process: defaultdict[int, _Process] = defaultdict(_Process)
        self._stored: dict[int, Measures] = {}
        self._likeness = Likeness(len(self.ways.classes))

    def read(
        self,
        people: QuerySet[Participation],
        *,
        until: datetime | None = None,
        units: QuerySet[Unit] | None = None,
    ) -> None:
        """Read all answers and checks of `people` (of `units` where given, which must hold theirs)."""
        self.take_stored(people)
        for given in answers_given(self.study, people, until=until, ways=self.ways, units=units):
            self.add(given)
        self.read_checks(people, until=until)

    def read_about(self, people: QuerySet[Participation], only: Collection[int]) -> None:
        """Read of `people` what the measures of a few of them, by key, depend on.

        That is all answers of those few, and of others the answers about the same pairs, with whatever says whether
        they are compared with.
        """
        read_whole = people.filter(Q(pk__in=only) | Q(measures={}))
        self.read(read_whole, units=Unit.objects.filter(trials__participation__in=read_whole).distinct())
        others = people.exclude(pk__in=only).exclude(measures={})
        self.take_stored(others)
        trials = Trial.objects.filter(participation__in=only).exclude(kind=Trial.Kind.CHECK)
        pairs = set(trials.order_by().values_list("pair", flat=True))
        for given in answers_given(self.study, others, ways=self.ways, pairs=pairs):
            self._likeness.add(given)

    def take_stored(self, people: QuerySet[Participation]) -> None:
        """Take the process measures of whoever has finished as they are stored; they are not measured again."""
        stored = people.exclude(measures={}).values_list("pk", "measures")
        self._stored |= dict(stored.iterator(2000))

    def add(self, given: Given) -> None:
        """Take one answer into account; those of one person in their order."""
        if given.participation_id not in self._stored:
            self._process[given.participation_id].add(given)
        self._likeness.add(given)

    def read_checks(self, people: QuerySet[Participation], *, until: datetime | None = None) -> None:
        """Read the answered attention checks of `people`."""
        for result in checks_answered(people, self.ways, until=until):
            self.add_check(result)

    def add_check(self, result: CheckResult) -> None:
        """Take one answered check into account."""
        self._process[result.trial.participation_id].checks[not result.passed] += 1

    def process(self, pk: int) -> Measures:
        """The process measures of one participation."""
        return self._stored[pk] if pk in self._stored else self._process[pk].measures()

    def measures(self, people: QuerySet[Participation], rules: Sequence[Rule]) -> dict[int, Measures]:
        """All measures of `people`, by primary key.

        Other people's answers are those of who counts: valid, and left out by no process rule. Whether a content rule
        leaves somebody out depends on this measure, so it cannot decide who is compared with.
        """
        valid = dict(people.values_list("pk", "invalid_at"))
        process = {pk: self.process(pk) for pk in valid}
        counted = {
            pk for pk, invalid in valid.items() if not invalid and not excluding(flagged(process[pk], rules))
        }
        return {pk: process[pk] | content for pk, content in self._content(valid, counted).items()}

    def _content(self, people: Iterable[int], counted: Collection[int]) -> dict[int, Measures]:
        disagreement = self._likeness.disagreement(counted)
        repeats = self._likeness.repeat_difference()
        return {
            pk: {
                "disagreement": _rounded(disagreement.get(pk)),
                "repeat_difference": _rounded(repeats.get(pk)),
            }
            for pk in people
        }


def untouched(payload: Payload) -> bool | None:
    """Whether nothing was touched before the answer was sent; None where the answer does not tell.

    "I cannot tell" is an answer that needs no control. Published H-Mix answers do not say what was touched: there it is
    both sliders standing where they started.
    """
    if payload.get("cannot_tell"):
        return None
    if (touched := payload.get("touched")) is not None:
        return not (all(touched.values()) if isinstance(touched, dict) else touched)
    for steps in ("n_steps", "edits"):
        if (n := payload.get(steps)) is not None:
            return bool(n == 0)
    if "mixing_percent" in payload:
        return bool(payload["mixing_percent"] == payload.get("confidence_percent") == MIDDLE)
    return None


def wrong_side(given: Given) -> bool | None:
    """Whether an answer to an uneven mix sees more of the lesser image; None where that cannot be said."""
    one, other = given.pair.first_class, given.pair.second_class
    if given.lambda_e4 is None or given.lambda_e4 == 5000 or one == other:
        return None
    first, second = share_of(given.judgement, one, one, other), share_of(given.judgement, other, one, other)
    return None if first is None or second is None else (given.lambda_e4 - 5000) * (first - second) < 0


def left_window(payload: Payload) -> bool | None:
    """Whether the window was left meanwhile; None where the study records no focus events."""
    told = [payload[name] for name in ("blur_count", "hidden_ms") if name in payload]
    return any(told) if told else None


def direction(payload: Payload) -> int:
    """Where all steps of a walk through a row led: 1 to the right, -1 to the left, 0 to both sides or nowhere."""
    places = [payload["start_step"], *(place for _time, place, _source in payload["path"])]
    ways = {1 if after > before else -1 for before, after in pairwise(places)}
    return ways.pop() if len(ways) == 1 else 0


def _share(counter: Counter[bool]) -> float | None:
    return round(counter[True] / n, 4) if (n := counter.total()) >= LEAST else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

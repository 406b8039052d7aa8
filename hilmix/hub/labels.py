"""From the answers of a study to units with judgements, which the core's label policies turn into soft labels.

Every condition has labels of its own: what people were asked in one way says nothing about what they were asked in
another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from elicitation.studies.models import Source, Study
from hilmix.core.errors import DataError
from hilmix.core.features import features_of
from hilmix.core.imageset import ImageSet
from hilmix.core.judgements import Answer, Judgement, Unit
from hilmix.core.release_answers import HALF_E4, evidence_under
from hilmix.core.release_tables import pair_key
from hilmix.core.softlabels import POLICIES, LabelPolicy, LabelSet, build_label_set, conditions_of
from hilmix.core.softlabels.base import Floats
from hilmix.hub.answers import Answers

PUBLISHED_POLICIES = ("hmix_weighted", "hmix", "t1")  # recipes that exist to compare with imported data


def units_of(answers: Answers) -> list[Unit]:
    """The study's mixed images with what was said about each, in the order of `answers.mixed_images`.

    Answers about pairs belong to no single mixed image and are not among them; nor are those of people who do not
    count.
    """
    mixed, _pairs = units_and_pairs(answers)
    return mixed


def units_and_pairs(answers: Answers) -> tuple[list[Unit], list[Unit]]:
    """The study's mixed images, and their pairs at λ = 1/2, each with what people who count said about it."""
    given: defaultdict[str, list[Answer]] = defaultdict(list)
    alike: dict[Judgement, Judgement] = {}  # many people say the same; it is kept once
    for said in answers:
        if said.person.not_counted is None:
            judgement = alike.setdefault(said.judgement, said.judgement)
            given[said.key].append(Answer(said.participant, judgement, said.repeat, said.condition))
    mixed: list[Unit] = []
    pairs: dict[str, Unit] = {}
    for image in answers.mixed_images:
        parents = image.pair.first_index, image.pair.second_index
        classes, name = (image.pair.first_class, image.pair.second_class), pair_key(*parents)
        mixed.append(Unit(image.key, image.lambda_e4, *classes, tuple(given.get(image.key, ())), parents))
        pairs[name] = Unit(name, HALF_E4, *classes, tuple(given.get(name, ())), parents)
    return mixed, list(pairs.values())


def features_of_parents(images: ImageSet, units: Sequence[Unit]) -> Floats:
    """Pixel features of both parents of each unit, float64 [n, 2, F]; each image is looked at once."""
    indices, places = np.unique([unit.parents or (0, 0) for unit in units], return_inverse=True)
    return features_of(np.asarray(images.images[indices]))[places.reshape(len(units), 2)]


def label_sets_of(
    study: Study,
    mixed: Sequence[Unit],
    pairs: Sequence[Unit] = (),
    features: Floats | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> list[LabelSet]:
    """The labels of a release: under each condition, those of every policy that takes what was said there.

    Controls are left to who wants them, and what cannot be made of so few answers is left out; `say` is told why.
    """
    n_classes = len(study.image_set.classes)
    policies = [
        policy
        for name, policy in POLICIES.items()
        if not policy.is_control and (study.source == Source.IMPORTED or name not in PUBLISHED_POLICIES)
    ]
    made = [build_label_set(policy, mixed, n_classes) for policy in policies if not policy.accepts]
    for condition in sorted({*conditions_of(mixed), *conditions_of(pairs)}):
        evidence = evidence_under(condition, mixed, pairs, n_classes)
        there = {"features": features is not None, "beside": bool(evidence.beside)}
        for policy in policies:
            about = evidence.pairs if policy.about == "pair" else evidence.units
            if _takes(policy, about) and all(there[name] for name in policy.needs):
                try:
                    labels = build_label_set(
                        policy,
                        evidence.units,
                        n_classes,
                        pairs=evidence.pairs,
                        beside=evidence.beside,
                        features=features,
                    )
                except DataError as error:
                    say(f"No labels {policy.name} under the condition {condition}: {error}")
                else:
                    made.append(labels)
    return made


def _takes(policy: LabelPolicy, units: Sequence[Unit]) -> bool:
    """Whether the policy takes everything that was said about these units, and something was."""
    said = {type(answer.judgement) for unit in units for answer in unit.answers}
    return bool(said) and said <= set(policy.accepts)

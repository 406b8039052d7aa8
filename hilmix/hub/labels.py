"""From the answers of a study to units with judgements, which the core's label policies turn into soft labels.

Every condition has labels of its own: what people were asked in one way says nothing about what they were asked in
another.
"""

from __future__ import annotations

from elicitation.studies.models import Source, Study
from hilmix.core import judgements, softlabels
from hilmix.core.softlabels import POLICIES, LabelSet
from hilmix.hub.answers import Answers

PUBLISHED_POLICIES = ("hmix_weighted",)  # recipes that exist to compare with imported data


def units_of(answers: Answers) -> list[judgements.Unit]:
    """The study's mixed images with what was said about each, in the order of `answers.mixed_images`.

    Answers about pairs belong to no single mixed image and are not among them; nor are those of people who do not
    count.
    """
    given: dict[str, list[judgements.Answer]] = {image.key: [] for image in answers.mixed_images}
    for said in answers:
        if said.unit == "mixed_image" and said.person.not_counted is None:
            answer = judgements.Answer(said.participant, said.judgement, said.repeat, said.condition)
            given[said.key].append(answer)
    return [
        judgements.Unit(
            key=image.key,
            lambda_e4=image.lambda_e4,
            first_class=image.pair.first_class,
            second_class=image.pair.second_class,
            answers=tuple(given[image.key]),
        )
        for image in answers.mixed_images
    ]


def label_sets_of(study: Study, units: list[judgements.Unit]) -> list[LabelSet]:
    """The labels of a release: under each condition, those of every policy that takes what was said there."""
    n_classes = len(study.image_set.classes)
    policies = [
        policy
        for name, policy in POLICIES.items()
        if study.source == Source.IMPORTED or name not in PUBLISHED_POLICIES
    ]
    made = [softlabels.build_label_set(policy, units, n_classes) for policy in policies if not policy.accepts]
    for condition in softlabels.conditions_of(units):
        answered = softlabels.asked_under(condition, units)
        said = {type(answer.judgement) for unit in answered for answer in unit.answers}
        made += [
            softlabels.build_label_set(policy, answered, n_classes)
            for policy in policies
            if said <= set(policy.accepts)
        ]
    return made

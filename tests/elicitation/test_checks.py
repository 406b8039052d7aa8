"""Attention checks: which images they may show, who fails them, and that nobody taking part learns of it."""

from __future__ import annotations

import numpy as np
import pytest

from elicitation.flow.services import join_study
from elicitation.images.services import import_human_labels
from elicitation.interfaces import interface_named
from elicitation.studies.models import Source, Unit
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import settings_of
from elicitation.trials.asking import asked_of
from elicitation.trials.checks import result_of, right_class
from elicitation.trials.given import Ways, checks_answered, failed_checks
from elicitation.trials.models import Response, Trial
from hilmix.accounts.roles import OPERATOR
from hilmix.core.judgements import CannotTell, ClassMass, Distribution, PerceivedLambda
from hilmix.errors import Invalid

CHECKED = {"n_mixed_images": 12, "trials_per_person": 12, "checks": 2, "answers_per_unit": 6}
BOXES = {"adult": True, "agree": True}
CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def marked(make_study):
    """`marked("infer")`: an open study with four marked images, two of them shown to each person."""
    return lambda interface: make_study(interface=interface, check_images=(0, 1, 2, 3), **CHECKED)


def checks_of(study, source=Source.PERSON):
    participation, _new = join_study(study=study, source=source, boxes=BOXES)
    checks = participation.trials.filter(kind=Trial.Kind.CHECK)
    return list(checks.select_related("participation", "pair").prefetch_related("images__mixed_image"))


def said(study, trial, share):
    """A judgement that gives `share` to the class of the image; None is no share at all."""
    interface = study.protocol.content["interface"]["name"]
    right, other = right_class(trial), trial.pair.first_class + trial.pair.second_class - right_class(trial)
    if share is None:
        return CannotTell()
    if interface == "infer":
        return PerceivedLambda(share if right == trial.pair.first_class else 1 - share, 0.5)
    if interface == "categorical":
        return ClassMass(((right, share), (other, round(1 - share, 2))), ())
    return Distribution(tuple(share if c == right else (1 - share) if c == other else 0.0 for c in range(4)))


def answer(study, trial, share):
    """The stored form of an answer that gives `share` to the class of the image."""
    settings = settings_of(study.protocol.content)
    interface, asked = (
        interface_named(settings.interface),
        asked_of(trial, settings, CLASSES, trial.participation.drawn),
    )
    payload = interface.payload_for(said(study, trial, share), asked, np.random.default_rng(0))
    return interface.clean(payload, asked)


@pytest.mark.parametrize("interface", ["infer", "categorical", "distribution"])
def test_who_gives_more_than_three_quarters_to_the_class_of_the_image_passes(marked, interface):
    study = marked(interface)
    settings = settings_of(study.protocol.content)
    for _ in range(3):
        for trial in checks_of(study):
            for share, passed in ((1.0, True), (0.76, True), (0.75, False), (0.5, False), (0.0, False)):
                result = result_of(trial, answer(study, trial, share), settings, CLASSES)
                assert (result.share, result.passed) == (pytest.approx(share), passed)


def test_who_cannot_tell_fails(marked):
    study = marked("infer")
    trial = checks_of(study)[0]
    result = result_of(trial, answer(study, trial, None), settings_of(study.protocol.content), CLASSES)
    assert (result.share, result.passed) == (None, False)


def test_the_class_asked_for_is_that_of_the_image_shown(marked):
    study = marked("infer")
    opened = study.image_set.open()
    assert sorted(image.mixed_image.lambda_e4 for image in study.check_images.all()) == [0, 0, 10_000, 10_000]
    for _ in range(3):
        for trial in checks_of(study):
            pair = trial.pair
            shown = trial.images.get().mixed_image
            index = pair.first_index if shown.lambda_e4 == 10_000 else pair.second_index
            assert index in (0, 1, 2, 3)
            assert right_class(trial) == opened.labels[index]


def test_researchers_see_who_failed_how_many(marked):
    study = marked("distribution")
    for shares in ((1.0, 1.0), (1.0, 0.2), (0.1, 0.2)):
        for trial, share in zip(checks_of(study), shares, strict=True):
            payload = answer(study, trial, share)
            Response.objects.create(
                id=f"{trial.pk:032x}", trial=trial, payload=payload, payload_sha256="0" * 64
            )
    people = study.participations.all()
    results = checks_answered(people, Ways(study))
    assert [result.passed for result in results] == [True, True, True, False, False, False]
    assert sorted(failed_checks(study, people).values()) == [0, 1, 2]


def test_an_image_of_a_check_is_never_a_unit(marked):
    study = marked("infer")
    of_checks = study.check_images.values("mixed_image")
    assert not Unit.objects.filter(mixed_image__in=of_checks).exists()
    pairs = study.check_images.values_list(
        "mixed_image__pair__first_index", "mixed_image__pair__second_index"
    )
    parents = Unit.objects.filter(batch__study=study).values_list("pair__first_index", "pair__second_index")
    shown = {index for pair in parents for index in pair}
    assert shown.isdisjoint(index for pair in pairs for index in pair)


# -- which images people agree on


def human_labels(image_set, clear, agreement=0.95):
    """People agree on the images in `clear`; of all others they think this or that."""
    labels = np.full((120, 4), 0.25)
    for index in clear:
        labels[index] = (1 - agreement) / 3
        labels[index, image_set.open().labels[index]] = agreement
    import_human_labels(image_set=image_set, labels=labels, meaning="test", actor=OPERATOR)


def test_checks_are_drawn_from_what_people_agree_on(make_study, image_set):
    human_labels(image_set, clear=range(40, 60))
    study = make_study(**CHECKED)
    assert study.check_images.count() == 8
    for check in study.check_images.select_related("mixed_image__pair"):
        pair = check.mixed_image.pair
        shown = pair.first_index if check.mixed_image.lambda_e4 else pair.second_index
        assert 40 <= shown < 60


def test_images_that_people_disagree_on_cannot_be_marked(make_study, image_set):
    human_labels(image_set, clear=range(10))
    with pytest.raises(Invalid) as refused:
        make_study(check_images=(3, 20, 21), **CHECKED)
    assert refused.value.fields == {"check_images": ["Fewer than 95% of people agree on images 20, 21."]}


def test_just_too_few_people_agreeing_is_too_few(make_study, image_set):
    human_labels(image_set, clear=range(40), agreement=0.94)
    with pytest.raises(Invalid) as refused:
        make_study(**CHECKED)
    assert "people agree on only 0 images" in refused.value.fields["checks"][0]


def test_an_image_whose_class_people_deny_is_none_that_they_recognise(make_study, image_set):
    labels = np.zeros((120, 4))
    labels[np.arange(120), (image_set.open().labels + 1) % 4] = 1
    import_human_labels(image_set=image_set, labels=labels, meaning="test", actor=OPERATOR)
    with pytest.raises(Invalid, match="does not fit"):
        make_study(**CHECKED)


def test_without_human_labels_images_must_be_marked(make_study):
    with pytest.raises(Invalid) as refused:
        make_study(**CHECKED)
    assert "no human labels" in refused.value.fields["check_images"][0]


def test_labels_that_came_after_the_draft_are_looked_at_when_it_opens(make_study, image_set):
    study = make_study(opened=False, check_images=(0, 1), **CHECKED)
    human_labels(image_set, clear=range(10, 20))
    with pytest.raises(Invalid, match="does not fit"):
        open_study(study=study, actor=OPERATOR)

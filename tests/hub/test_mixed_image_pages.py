"""The mixed images of a study: what people say beside λ, the labels of a release, and whether the pixels still are the
same."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from html import unescape

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.flow.simulation import simulate_participant
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage, Pair
from elicitation.mixes.services import create_mixed_images
from elicitation.studies.models import Source, Study
from elicitation.studies.shown import mixed_images_of, studies_that_show
from hilmix.accounts.models import User
from hilmix.accounts.services import create_token
from hilmix.errors import NotFound
from hilmix.hub.lineage import trace
from tests.hub.conftest import DESIGN
from tests.hub.test_quality_in_releases import TURNED, take_part
from tests.hub.test_withdrawn import agreed, freeze

CHECKED = "checked now: the recipe gives these pixels"


@pytest.fixture
def make_study(make_study):
    return partial(make_study, source=Source.PERSON)


@pytest.fixture
def researcher(client, db):
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    return client


def rows_of(page: str, heading: str = "<main") -> list[str]:
    body = page.partition(heading)[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in body.split("<tr>")[1:]]


def listed(client, study: Study, **asked: object) -> list[str]:
    reply = client.get(reverse("study_mixed_images", args=[study.slug]), asked)
    assert reply.status_code == 200
    return rows_of(reply.text)


def one(client, study: Study, image) -> str:
    return client.get(reverse("mixed_image", args=[study.slug, image.pk])).text


def turned(study: Study):
    person = take_part(study, TURNED)
    person.consent.publish = True
    person.consent.save()
    return person


@pytest.mark.parametrize("interface", ["infer", "select_shuffled"])
def test_pages_api_and_lineage_count_the_mixed_images_that_a_release_holds(make_study, researcher, interface):
    study = make_study(interface=interface, design=replace(DESIGN, lambdas_e4=(2500, 5000, 7500)))
    agreed(study)
    pairs = Pair.objects.filter(image_set=study.image_set)
    recipes = [Recipe(p.first_index, p.second_index, value) for p in pairs for value in (2500, 5000, 7500)]
    create_mixed_images(image_set=study.image_set, recipes=recipes, method="hmix@1")  # another study's
    release = freeze(study)
    held = release.counts["mixed_images"]
    assert held == DESIGN.n_mixed_images * (3 if interface == "select_shuffled" else 1)
    assert mixed_images_of(study).count() == held
    assert len(listed(researcher, study)) == held
    admin = User.objects.get(username="admin")
    token = {"Authorization": f"Token {create_token(person=admin, name='t', scope='read')}"}
    page = researcher.get(reverse("api_mixed_images", args=[study.slug]), headers=token).json()
    assert len(page["results"]) == held
    way = trace(admin, "release", str(release.pk))
    assert {level.kind: level.n for level in way.above}["mixed_image"] == held
    foreign = MixedImage.objects.filter(method="hmix@1").first()
    assert not studies_that_show(MixedImage.objects.filter(pk=foreign.pk)).exists()
    with pytest.raises(NotFound):
        trace(admin, "mixed_image", str(foreign.pk))


def test_the_list_shows_what_people_say_beside_lambda(make_study, researcher):
    study = make_study()
    agreed(study)
    for image, row in zip(mixed_images_of(study).order_by("pk"), listed(researcher, study), strict=True):
        share = image.lambda_e4 / 10_000
        assert image.key in row
        assert f"{share:.3f} n 1" in row
    turned(study)
    assert all("0.500 n 2" in row for row in listed(researcher, study))


def test_the_list_is_narrowed_by_class_lambda_and_answers_and_by_nothing_else(make_study, researcher):
    study = make_study()
    images = list(mixed_images_of(study).select_related("pair"))
    pair = images[0].pair
    asked = {"of": pair.first_class, "and_of": pair.second_class}
    classes = {pair.first_class, pair.second_class}
    wanted = [i for i in images if {i.pair.first_class, i.pair.second_class} == classes]
    assert len(listed(researcher, study, **asked)) == len(wanted)
    assert len(listed(researcher, study, of=0)) == sum(
        0 in (i.pair.first_class, i.pair.second_class) for i in images
    )
    assert listed(researcher, study, of=0, and_of=0) == []  # no image is mixed of one class
    assert len(listed(researcher, study, lambda_e4=2500)) == sum(i.lambda_e4 == 2500 for i in images)
    assert len(listed(researcher, study, answers="none")) == 6
    assert listed(researcher, study, answers="some") == []
    assert len(listed(researcher, study, pair__first_class=99, sha256="x", page="")) == 6
    agreed(study)
    assert len(listed(researcher, study, answers="some")) == 6


def test_a_mixed_image_shows_its_parents_its_answers_and_why_one_does_not_count(make_study, researcher):
    study = make_study()
    counts, silent = agreed(study), take_part(study)
    silent.consent.publish = False
    silent.consent.save()
    image = mixed_images_of(study).select_related("pair__image_set").first()
    page = one(researcher, study, image)
    for index in (image.pair.first_index, image.pair.second_index):
        assert reverse("parent_image", args=[study.image_set.name, index]) in page
    assert image.sha256 in page
    assert CHECKED in page
    answers = rows_of(page, "<h2>Answers</h2>")
    assert len(answers) == 2
    of = {person: next(row for row in answers if person.public_id in row) for person in (counts, silent)}
    assert "counts" in of[counts]
    assert "not to be published" in of[silent]


def test_people_stand_beside_mixup_and_every_label_of_the_newest_release(make_study, researcher):
    study = make_study()
    agreed(study)
    turned(study)
    image = mixed_images_of(study).first()
    before = rows_of(one(researcher, study, image), "People beside the labels")
    assert [row.split()[0] for row in before] == ["mixup", "people,"]
    release = freeze(study)
    turned(study)  # is in no release yet
    page = one(researcher, study, image)
    after = rows_of(page, "People beside the labels")
    stored = {entry["policy"] for entry in release.opened.label_sets}
    assert {row.split()[0] for row in after} == {"mixup", "people,"} | stored
    share = image.lambda_e4 / 10_000
    named = {row.split()[0]: row for row in after}
    assert f"{share:.3f}" in named["mixup"]
    assert f"{(share + 2 * (1 - share)) / 3:.3f}" in named["people,"]
    assert "0.500" in named["human_lambda"]
    assert '"key": "labels"' in page
    assert f'"reference": {share}' in page
    assert 'href="?figure=pdf"' in page
    address = reverse("mixed_image", args=[study.slug, image.pk])
    csv = researcher.get(address, {"figure": "csv"})
    assert csv["Content-Disposition"] == f'attachment; filename="{study.slug}-{image.key}.csv"'
    assert "human_lambda" in csv.text
    assert researcher.get(address, {"figure": "svg"}).status_code == 404


def test_pixels_that_are_not_what_people_were_shown_are_said_to_be_so(make_study, researcher):
    study = make_study()
    image = mixed_images_of(study).first()
    path = study.image_set.directory / "images.npy"
    images = np.load(path)
    np.save(path, 255 - images)
    page = one(researcher, study, image)
    assert CHECKED not in page
    assert "Its recipe does not give the pixels that people were shown" in page
    assert "not what the recipe gives now" in page


def test_where_pairs_are_asked_about_a_mixed_image_shows_the_answers_about_its_pair(make_study, researcher):
    study = make_study(interface="construct", design=replace(DESIGN, lambdas_e4=(2500, 5000, 7500)))
    agreed(study)
    listed_rows = listed(researcher, study)
    assert len(listed_rows) == 18
    assert all("0.500 n 1" in row for row in listed_rows)
    page = one(researcher, study, mixed_images_of(study).first())
    assert "Answers about its pair" in page
    assert len(rows_of(page, "Answers about its pair")) == 1
    assert [row.split()[0] for row in rows_of(page, "People beside the labels")] == ["mixup"]


@pytest.mark.parametrize("interface", ["categorical", "distribution"])
def test_shares_of_several_classes_are_shown_as_they_were_said(make_study, researcher, interface):
    study = make_study(interface=interface, source=Source.SIMULATED)
    for seed in (1, 2):
        simulate_participant(study=study, seed=seed)
    page = one(researcher, study, mixed_images_of(study).first())
    people = next(row for row in rows_of(page, "People beside the labels") if "people, on average" in row)
    shares = [float(share) for share in re.findall(r": (\d\.\d{3})", people)]
    assert shares == sorted(shares, reverse=True)
    assert 0.3 < sum(shares) < 1.01  # of categorical answers, which need not give everything away
    assert "simulated participants" in page


def test_a_mixed_image_of_another_study_is_not_found(make_study, researcher):
    study = make_study()
    other = make_study("other", design=replace(DESIGN, seed=9))
    foreign = mixed_images_of(other).exclude(pk__in=mixed_images_of(study)).first()
    assert researcher.get(reverse("mixed_image", args=[study.slug, foreign.pk])).status_code == 404


def test_the_number_of_queries_does_not_depend_on_mixed_images_and_answers(make_study, researcher):
    small, large = make_study("small"), make_study("large", design=replace(DESIGN, n_mixed_images=18))
    agreed(small)
    for _ in range(4):
        agreed(large)

    def queries(study: Study) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert listed(researcher, study)
            assert CHECKED in one(researcher, study, mixed_images_of(study).first())
        return len(captured)

    queries(small)
    assert queries(small) == queries(large)

"""What people said about the parent images is checked row by row before any of it is attached."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from elicitation.images import services
from elicitation.images.models import ImageSet
from elicitation.images.services import import_human_labels
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token
from hilmix.core.errors import Refused
from hilmix.core.humanlabels import VoteRange
from hilmix.errors import Conflict

LABELS = np.full((12, 3), 1 / 3)
VOTES = np.array([[17, 30, 3], [52, 0, 1], [0, 50, 0], [11, 12, 24]] * 3)


def wrong_in(*rows: int) -> np.ndarray:
    labels = LABELS.copy()
    labels[list(rows)] = [0.5, np.nan, -0.5]
    return labels


def test_every_wrong_row_is_named_and_nothing_is_attached(image_set, tmp_path):
    before = sorted(path.name for path in image_set.directory.iterdir())
    np.save(tmp_path / "labels.npy", wrong_in(1, 4, 7, 8))
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match=r"and 1 more rows\) Nothing was stored"):
        call_command("import_human_labels", tmp_path / "labels.npy", images="pictures", json=True, stdout=out)
    assert [one["row"] for one in json.loads(out.getvalue())["errors"]] == [1, 4, 7, 8]
    with pytest.raises(CommandError):
        call_command(
            "import_human_labels", tmp_path / "labels.npy", images="pictures", dry_run=True, stderr=err
        )
    assert [line.partition(":")[0] for line in err.getvalue().splitlines()] == [
        "row 1",
        "row 4",
        "row 7",
        "row 8",
    ]
    assert sorted(path.name for path in image_set.directory.iterdir()) == before
    assert ImageSet.objects.get().human_labels_sha256 == ""


def test_a_refusal_names_a_thousand_rows_and_says_how_many_there_are():
    rows = [{"table": "t", "row": n, "column": "", "problem": "wrong."} for n in range(1500)]
    refused = Refused(rows)
    assert (len(refused.errors), refused.n) == (1000, 1500)
    assert str(refused) == "t, row 0: wrong. t, row 1: wrong. t, row 2: wrong. (and 1,497 more rows)"


def test_a_dry_run_checks_and_attaches_nothing(image_set, tmp_path):
    np.save(tmp_path / "labels.npy", LABELS)
    out = StringIO()
    call_command("import_human_labels", tmp_path / "labels.npy", images="pictures", dry_run=True, stdout=out)
    assert out.getvalue().strip() == "Nothing was stored: 12 human labels fit 'pictures'."
    assert image_set.open().human_labels is None
    call_command(
        "import_human_labels", tmp_path / "labels.npy", images="pictures", json=True, stdout=StringIO()
    )
    assert np.array_equal(image_set.open().human_labels, LABELS)


def test_the_licence_of_the_labels_is_kept_and_must_be_known(image_set):
    with pytest.raises(Exception, match="licence"):
        import_human_labels(
            image_set=image_set, labels=LABELS, meaning="share", licence="mine alone", actor=OPERATOR
        )
    assert ImageSet.objects.get().human_labels_sha256 == ""
    import_human_labels(
        image_set=image_set, labels=LABELS, meaning="share", licence="CC-BY-NC-SA-4.0", actor=OPERATOR
    )
    assert ImageSet.objects.get().human_labels_licence == "CC-BY-NC-SA-4.0"


def attach(image_set, labels, **more):
    return import_human_labels(image_set=image_set, labels=labels, meaning="share", actor=OPERATOR, **more)


def test_counts_are_attached_with_their_shares_and_the_page_and_the_api_say_how_many(
    image_set, tmp_path, client
):
    np.save(tmp_path / "votes.npy", VOTES.astype(np.uint8))
    out = StringIO()
    call_command("import_human_labels", tmp_path / "votes.npy", images="pictures", stdout=out)
    assert "12 human labels attached to 'pictures'. 600 votes, 47 to 53 an image" in out.getvalue()
    opened = ImageSet.objects.get().open()
    assert np.array_equal(opened.human_votes, VOTES)
    assert np.array_equal(opened.human_labels, VOTES / VOTES.sum(axis=1, keepdims=True))
    boss = User.objects.create_user("boss", kind=User.Kind.ADMIN)
    client.force_login(boss)
    page = client.get(image_set.get_absolute_url()).content.decode()
    assert "600 votes, 47 to 53 an image" in page
    token = {"Authorization": f"Token {create_token(person=boss, name='t', scope='read')}"}
    assert client.get("/api/v1/image-sets/pictures/", headers=token).json()["human_votes"] == 600
    assert AuditEvent.objects.get(action="imageset.human_labels").detail["votes"] == 600


def test_shares_that_came_from_counts_are_attached_as_they_are_with_the_counts_that_were_found(
    image_set, tmp_path
):
    shares = VOTES / VOTES.sum(axis=1, keepdims=True)
    np.save(tmp_path / "shares.npy", shares)
    out = StringIO()
    call_command(
        "import_human_labels",
        tmp_path / "shares.npy",
        images="pictures",
        votes="47-63",
        json=True,
        stdout=out,
    )
    (note,) = json.loads(out.getvalue())["notes"]
    assert "the least number from 47 to 63" in note
    assert "for the 3 images that all gave one class" in note
    opened = ImageSet.objects.get().open()
    assert np.array_equal(opened.human_votes, VOTES)
    assert np.array_equal(opened.human_labels, shares)
    wrong = shares.copy()
    wrong[[3, 7]] = [0.123, 0.877, 0.0]
    np.save(tmp_path / "wrong.npy", wrong)
    with pytest.raises(CommandError, match=r"row 3: no number of votes from 47 to 63.*row 7"):
        call_command("import_human_labels", tmp_path / "wrong.npy", images="pictures", votes="47-63")
    with pytest.raises(CommandError, match="'fifty' does not say how many votes"):
        call_command("import_human_labels", tmp_path / "wrong.npy", images="pictures", votes="fifty")


def test_counts_may_come_later_and_leave_the_labels_their_hash_and_their_licence_alone(image_set):
    shares = VOTES / VOTES.sum(axis=1, keepdims=True)
    attach(image_set, shares, licence="CC-BY-NC-SA-4.0")
    before = ImageSet.objects.get().human_labels_sha256
    with pytest.raises(Conflict, match=r"they are never replaced, and these are others: row 0"):
        attach(image_set, np.roll(VOTES, 1, axis=0))
    with pytest.raises(Conflict, match=r"have the licence CC-BY-NC-SA-4\.0; their counts have it too"):
        attach(image_set, VOTES, licence="CC0-1.0")
    assert "Nothing was stored" in attach(image_set, VOTES, dry_run=True).as_text()
    assert image_set.open().human_votes is None
    said = attach(image_set, shares, votes=VoteRange(47, 63))
    assert said.as_text().startswith("Votes attached to the 12 human labels of 'pictures'. 600 votes")
    stored = ImageSet.objects.get()
    assert (stored.human_labels_sha256, stored.human_labels_licence) == (before, "CC-BY-NC-SA-4.0")
    assert np.array_equal(stored.open().human_labels, shares)
    assert np.array_equal(stored.open().human_votes, VOTES)
    with pytest.raises(Conflict, match="counts of their votes; they are never replaced"):
        attach(image_set, VOTES)


def audited():
    """The votes that each import was recorded with, the first first."""
    events = AuditEvent.objects.filter(action="imageset.human_labels").order_by("id")
    return [event.detail.get("votes") for event in events]


def test_counts_that_were_written_by_an_import_that_was_cut_off_are_recorded_by_the_next(
    image_set, monkeypatch
):
    attach(image_set, VOTES / VOTES.sum(axis=1, keepdims=True))

    def cut_off(*_args, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(services.audit, "record", cut_off)
        with pytest.raises(KeyboardInterrupt):
            attach(image_set, VOTES)
    assert np.array_equal(image_set.open().human_votes, VOTES)
    assert audited() == [None]
    with pytest.raises(Conflict, match="counts of their votes; they are never replaced"):
        attach(image_set, VOTES * 2)
    assert attach(image_set, VOTES).as_text().startswith("Votes attached to the 12 human labels")
    assert audited() == [None, 600]
    with pytest.raises(Conflict, match="counts of their votes; they are never replaced"):
        attach(image_set, VOTES)


def test_labels_that_came_in_since_the_caller_read_the_row_are_not_replaced(image_set):
    late = ImageSet.objects.get()
    attach(image_set, VOTES)
    with pytest.raises(Conflict, match="they are never replaced"):
        attach(late, LABELS)
    assert np.array_equal(image_set.open().human_votes, VOTES)
    assert audited() == [600]


def test_rows_of_a_hundred_are_votes_only_where_the_import_says_so(image_set, tmp_path):
    np.save(tmp_path / "percents.npy", np.tile([90, 10, 0], (12, 1)))
    given = (tmp_path / "percents.npy",)
    with pytest.raises(CommandError, match=r"sums to 100.*--votes 100.*divide them by 100"):
        call_command("import_human_labels", *given, images="pictures")
    call_command("import_human_labels", *given, images="pictures", votes="100", stdout=StringIO())
    assert image_set.open().human_votes.sum() == 1200

"""Predictions from a file: measured with every metric of the table, or refused with a sentence."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from sklearn import metrics as sk

from hilmix.core.errors import DataError
from training.evaluation import predictions as reading
from training.evaluation import resampling
from training.evaluation.assessment import assess
from training.evaluation.metrics import log_softmax
from training.evaluation.predictions import predictions, read_predictions
from training.evaluation.temperature import fit_temperature
from training.evaluation.values import BY_KEY, METRICS

PROMISED = [
    *(
        "accuracy",
        "log_loss",
        "brier",
        "mcc",
        "macro_f1",
        "macro_auroc",
        "ece_equal_width_15",
        "rms_equal_mass_100",
    ),
    *("human_cross_entropy", "human_kl", "entropy_correlation_pearson"),
]


def arrays(n: int = 300, classes: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    p = np.exp(log_softmax(logits))
    labels = (rng.random((n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return {"logits": logits, "labels": labels, "human": rng.multinomial(20, p)}


def probs(**changes) -> dict[str, np.ndarray]:
    """As `arrays`, with probabilities, and no people."""
    found = arrays()
    return {"probs": np.exp(log_softmax(found["logits"])), "labels": found["labels"]} | changes


def evaluated(path, *options: str) -> str:
    said = io.StringIO()
    call_command("evaluate_predictions", str(path), *options, "--draws", "100", stdout=said)
    return said.getvalue()


def save(tmp_path, **content):
    np.savez(tmp_path / "some.npz", **content)
    return tmp_path / "some.npz"


# -- what comes out


def test_the_command_prints_one_json_object_with_what_is_promised(tmp_path):
    content = json.loads(evaluated(save(tmp_path, **arrays()), "--json"))
    for key in PROMISED:
        low, high = content[key]["interval"]
        assert low <= content[key]["value"] <= high, key
        assert content[key]["n"] == 300
    assert (content["n"], content["classes"]) == (300, 6)
    assert {m.key for m in METRICS if m.group != "mixup"} <= content.keys()
    assert np.array(content["confusion"]).sum() == 300
    assert len(content["per_class"]["f1"]) == 6
    assert len(content["human_thirds"]) == 3


def test_the_figures_are_scikit_learns():
    found = arrays()
    p = np.exp(log_softmax(found["logits"]))
    labels, predicted = found["labels"], p.argmax(axis=1)
    values = {key: value.value for key, value in assess(predictions(**found), draws=20).values.items()}
    assert values["accuracy"] == sk.accuracy_score(labels, predicted)
    assert values["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert values["top_2_accuracy"] == pytest.approx(sk.top_k_accuracy_score(labels, p, k=2))
    assert values["log_loss"] == pytest.approx(sk.log_loss(labels, p))
    assert values["brier"] == pytest.approx(sk.brier_score_loss(labels, p, scale_by_half=False))
    assert values["macro_auroc"] == pytest.approx(sk.roc_auc_score(labels, p, multi_class="ovr"))
    assert values["macro_auprc"] == pytest.approx(sk.average_precision_score(np.eye(6)[labels], p))
    assert values["weighted_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="weighted"))


def test_counts_have_a_ceiling_probabilities_say_why_not_and_no_people_say_that():
    found = arrays()
    counts = assess(predictions(**found), draws=20).values
    shares = found["human"] / 20
    alone = assess(predictions(**found | {"human": shares}), draws=20).values
    nobody = assess(predictions(logits=found["logits"], labels=found["labels"]), draws=20).values
    for key in (m.key for m in METRICS if m.group == "people"):
        assert counts[key].value == pytest.approx(alone[key].value)
        assert counts[key].ceiling is not None
        assert alone[key].ceiling is None
        assert "needs counts" in " ".join(alone[key].undefined)
        assert nobody[key].value is None
        assert nobody[key].undefined == ("not assessed: there are no human labels",)
    assert counts["human_cross_entropy"].floor == alone["human_cross_entropy"].floor


def test_floats_that_are_whole_are_counts_too_and_one_vote_an_image_is_its_share():
    found = arrays()
    assert predictions(**found | {"human": found["human"] * 1.0}).counts is not None
    one = np.eye(6)[found["labels"]]
    read = predictions(**found | {"human": one})
    assert read.counts is None
    assert (read.human == one).all()


def test_an_absent_class_is_null_and_said_and_not_0():
    found = probs(labels=np.minimum(arrays()["labels"], 4))
    result = assess(predictions(**found), draws=20)
    assert result.per_class["auroc"][5].value is None
    assert "1 of 6 classes do not occur and are left out: 5" in result.values["macro_auroc"].undefined[0]
    assert result.values["macro_auroc"].value > 0.6  # torchmetrics counts a 0 for it


def test_how_many_probabilities_were_clipped_is_reported():
    p = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = assess(predictions(probs=p, labels=np.array([1, 1, 0])), draws=20).values["log_loss"]
    assert found.value == pytest.approx(-np.log(np.finfo(float).eps) / 3)
    assert found.undefined == ("1 probabilities too near 0 were clipped at 2.2e-16",)


def test_logits_within_0_and_1_stay_logits():
    # torchmetrics #3269 takes them for probabilities.
    logits = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]])
    values = assess(predictions(logits=logits, labels=np.array([0, 1])), draws=20).values
    assert values["ece_equal_width_15"].value == pytest.approx(0.499, abs=0.01)


def test_float32_logits_are_cast_up_before_the_softmax():
    logits = np.array([[40.0, 0.0], [0.0, 40.0]], dtype=np.float32)
    found = assess(predictions(logits=logits, labels=np.array([1, 0])), draws=20).values
    assert found["log_loss"].value == pytest.approx(40)
    assert found["log_loss"].undefined == ()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_probabilities_of_less_precision_are_brought_to_a_sum_of_1(dtype):
    read = predictions(**probs(probs=probs()["probs"].astype(dtype)))
    assert read.p.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-14)


def test_two_images_of_one_class_are_measured_all_the_same():
    result = assess(predictions(probs=np.array([[0.9, 0.1], [0.8, 0.2]]), labels=np.array([0, 0])), draws=20)
    assert result.values["mcc"].value == 0
    assert "0/0" in result.values["mcc"].undefined[0]
    assert result.values["macro_auroc"].value is None
    assert result.values["top_5_accuracy"].undefined == ("there are only 2 classes",)
    json.dumps(result.as_json(), allow_nan=False)


@pytest.mark.parametrize("n", [1, 2, 3, 29, 30])
@pytest.mark.parametrize("n_votes", [1, 2, 3])
def test_few_images_and_few_votes_are_measured_without_a_warning(n, n_votes):
    found = arrays(n)
    human = np.random.default_rng(0).multinomial(n_votes, np.full(6, 1 / 6), n)
    result = assess(predictions(**found | {"human": human}), draws=300)
    assert result.values["human_kl"].value > 0
    assert (result.values["human_kl"].ceiling is None) == (n_votes < 2)
    assert len(result.thirds) == (3 if n == 30 else 0)
    json.dumps(result.as_json(), allow_nan=False)


def test_the_same_file_gives_the_same_bits(tmp_path):
    path = save(tmp_path, **arrays())
    assert evaluated(path, "--json") == evaluated(path, "--json")
    assert evaluated(path, "--json") != evaluated(path, "--json", "--seed", "1")


def test_without_json_it_is_a_table_for_people(tmp_path):
    said = evaluated(save(tmp_path, **arrays()))
    assert "300 images, 6 classes" in said
    assert all(m.name in said for m in METRICS if m.group != "mixup")
    assert "ceiling" in said


# -- what is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": np.zeros(3, int)}, "there is neither"),
        ({"probs": probs()["probs"]}, "no array 'labels'"),
        (arrays() | probs(), "there are both"),
        (probs(labels=np.zeros(299, int)), "299 labels for 300"),
        (probs(labels=np.full(300, 6)), "row 0 is 6, but the 6 classes are numbered 0 to 5"),
        (probs(labels=np.full(300, -1)), "row 0 is -1"),
        (probs(labels=np.zeros(300)), "whole class number"),
        (probs(labels=np.zeros((300, 1), int)), "whole class number"),
        (probs(probs=probs()["probs"][:, :1] * 0 + 1), "two at least"),
        (probs(probs=np.zeros((0, 6)), labels=np.zeros(0, int)), "one row an image"),
        (probs(probs=arrays()["logits"]), "If these are logits, name them logits"),
        (probs(probs=probs()["probs"] * 0.99), "row 0 sums to 0.99"),
        (probs(probs=np.full((300, 6), np.nan)), "not finite in row 0"),
        (probs(probs=np.full((300, 6), "x")), "not numbers"),
        (probs(human=np.ones((300, 5))), "shape"),
        (probs(human=np.zeros((300, 6), int)), "row 0 has no votes"),
        (probs(human=np.full((300, 6), 0.5)), "Give counts of votes"),
        (probs(human=np.full((300, 6), -1)), "row 0 has no votes, or less than none"),
    ],
)
def test_a_bad_file_is_refused_with_a_sentence(tmp_path, content, message):
    with pytest.raises(CommandError, match=message) as refused:
        evaluated(save(tmp_path, **content), "--json")
    assert "some.npz" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "some.npz").write_bytes(content)
    with pytest.raises(CommandError, match="not a readable"):
        evaluated(tmp_path / "some.npz")
    with pytest.raises(DataError, match="no file"):
        read_predictions(tmp_path / "absent.npz")


def test_objects_are_refused_and_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = save(tmp_path, labels=np.array([Trap()], dtype=object), probs=np.ones((1, 2)))
    with pytest.raises(CommandError, match=r"not a readable \.npz file of plain arrays") as refused:
        evaluated(path)
    assert "pickle" not in str(refused.value)


def test_an_archive_that_would_unpack_to_too_much_is_refused_before_it_is(tmp_path, monkeypatch):
    path = tmp_path / "some.npz"
    np.savez_compressed(path, labels=np.zeros(10, int), probs=np.zeros((200_000, 10)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(reading, "LARGEST", 1_000_000)
    with pytest.raises(CommandError, match="more than"):
        evaluated(path)


def test_an_array_that_says_it_is_enormous_is_refused_before_it_is_made(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10)}
    )
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("probs.npy", header.getvalue())
    with pytest.raises(CommandError, match="more than 4 GB"):
        evaluated(tmp_path / "some.npz")


@pytest.mark.realdata
def test_on_cifar_10h_the_floor_is_the_entropy_of_the_labels_and_people_are_near_it(realdata):
    q = np.load(realdata / "cifar10h-probs.npy")
    labels = np.load(realdata / "cifar10_test.npz")["labels"]
    counts = np.rint(q * 51).astype(int)
    logits = np.log(np.eye(10)[labels] * 0.9 + 0.01)
    found = assess(predictions(logits=logits, labels=labels, human=counts), draws=20).values
    assert found["human_cross_entropy"].floor == pytest.approx(0.154, abs=0.002)
    assert found["human_cross_entropy"].floor < found["human_cross_entropy"].ceiling < 0.21
    assert found["human_top1_agreement"].value == pytest.approx(0.992, abs=0.002)
    assert fit_temperature(logits, q).value > 0
    assert BY_KEY["human_cross_entropy"].unit == "nats"


def test_a_class_below_what_float64_holds_is_still_ranked_by_its_logit():
    given = predictions(logits=np.array([[0.0, -1000.0, -800.0]] * 4), labels=np.full(4, 2))
    assert assess(given, draws=100).values["top_2_accuracy"].value == 1
    assert resampling.terms(given)["top_2_accuracy"].tolist() == [1] * 4
    equal = predictions(logits=np.array([[0.0, -900.0, -900.0]]), labels=np.array([2]))
    assert resampling.terms(equal)["top_2_accuracy"].tolist() == [
        0
    ]  # of equal ones the lower number comes first


def test_more_votes_than_can_be_split_are_refused_with_a_sentence():
    with pytest.raises(DataError, match="too many"):
        predictions(probs=np.full((2, 2), 0.5), labels=np.zeros(2, int), human=np.full((2, 2), 500_000_000))


def test_log_loss_says_how_many_probabilities_of_labels_were_clipped_and_not_of_peoples_answers():
    human = np.array([[5, 4, 1]] * 40)
    found = assess(
        predictions(probs=np.array([[0.5, 0.5, 0.0]] * 40), labels=np.array([2] + [0] * 39), human=human),
        draws=100,
    ).values
    assert found["log_loss"].undefined == ("1 probabilities too near 0 were clipped at 2.2e-16",)
    assert "40 probabilities" in found["human_kl"].undefined[0]


def test_a_figure_that_is_undefined_says_so_beside_what_was_left_out():
    rng = np.random.default_rng(0)
    found = assess(predictions(logits=rng.normal(size=(40, 3)), labels=np.zeros(40, int)), draws=100)
    said = found.values["macro_auroc"].undefined
    assert found.values["macro_auroc"].value is None
    assert "2 of 3 classes do not occur" in said[0]
    assert "not defined" in said[1]
    assert found.per_class["auroc"][1].undefined == ("the class does not occur",)


@pytest.mark.parametrize(("a_class", "known"), [(29, False), (30, True)])
def test_macro_f1_and_map_of_few_images_a_class_have_a_value_and_no_interval(a_class, known):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), a_class)
    found = assess(predictions(logits=rng.normal(size=(len(labels), 3)), labels=labels), draws=100).values
    for key in ("macro_f1", "macro_auprc"):
        assert found[key].value is not None
        assert (found[key].interval is not None) == known
        assert any("images a class" in said for said in found[key].undefined) != known
    assert found["macro_auroc"].interval is not None

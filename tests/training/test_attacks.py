"""Attacks stay in their ball, leave the model as it was, and find what hides behind a gradient."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from hilmix.core.errors import DataError
from training.evaluation import attacks
from training.evaluation.attacks import EPSILON, Attacked, fgsm, masked_gradients, pgd, square
from training.evaluation.square import _side, random_search

CPU = torch.device("cpu")
WIDE = 40 / 255  # digits are bold: a ball of 4/255 moves few of them


class SmallNet(nn.Module):
    """Normalisation inside, a batch norm to disturb, a dropout that must not be heard."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, 10),
        )  # fmt: skip

    def forward(self, pixels):
        return self.net((pixels - 0.3) / 0.4)


class Quantised(nn.Module):
    """Rounds pixels to sixteen levels first: the gradient is zero everywhere, the model no better."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels):
        return self.net((pixels * 16).round() / 16)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 8, 8, 1) * 255 / 16).astype(np.uint8)
    return pixels, labels.astype(np.int64)


@pytest.fixture(scope="module")
def trained(digits):
    images, labels = digits
    x = torch.from_numpy(images[:1300]).permute(0, 3, 1, 2) / 255
    y = torch.from_numpy(labels[:1300])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SmallNet()
        optimiser = torch.optim.Adam(net.parameters(), lr=6e-3)
        for _ in range(6):
            for part in torch.randperm(len(x)).split(100):
                optimiser.zero_grad()
                F.cross_entropy(net(x[part]), y[part]).backward()
                optimiser.step()
    torch.set_num_threads(threads)
    return net.eval()


@pytest.fixture
def unseen(digits):
    images, labels = digits
    return images[1300:1400], labels[1300:1400]


def short_square(*args, **options) -> Attacked:
    """Square with few questions: enough for digits, and quick."""
    return square(*args, **{"queries": 40, **options})


ATTACKS = [fgsm, pgd, short_square]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("epsilon", [EPSILON, WIDE])
def test_an_attacked_image_is_within_epsilon_of_its_own_and_within_zero_and_one(
    attack, epsilon, trained, unseen
):
    found = attack(trained, *unseen, device=CPU, epsilon=epsilon)
    moved = np.abs(found.pixels - unseen[0].astype(np.float32) / 255)
    assert moved.max() <= epsilon + 1e-6
    assert moved.max() > epsilon / 2
    assert found.pixels.min() >= 0
    assert found.pixels.max() <= 1
    assert found.pixels.shape == unseen[0].shape


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_an_epsilon_nothing_moves(attack, trained, unseen):
    found = attack(trained, *unseen, device=CPU, epsilon=0.0)
    np.testing.assert_array_equal(found.pixels, unseen[0].astype(np.float32) / 255)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_wider_the_ball_the_fewer_images_are_still_right(attack, trained, unseen):
    accuracies = [attack(trained, *unseen, device=CPU, epsilon=e).accuracy for e in (0, 0.1, 0.4)]
    assert accuracies[0] > 0.85
    assert accuracies[0] > accuracies[1] > accuracies[2]


def test_fgsm_on_a_linear_model_is_the_step_that_paper_and_pencil_give():
    weights = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, -1.0, 0.0]])
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = weights
    image = np.array([100, 150, 200, 50], dtype=np.uint8).reshape(1, 2, 2, 1)
    found = fgsm(model, image, np.array([0]), device=CPU, epsilon=0.1)
    # ∂CE/∂x = p₁·(w₁ − w₀), so each pixel moves along sign(w₁ − w₀) = (−, +, −, −).
    x = image.ravel() / 255 + 0.1 * np.array([-1, 1, -1, -1])
    np.testing.assert_allclose(found.pixels.ravel(), x, atol=1e-6)
    logits = weights.numpy() @ x
    assert found.loss[0] == pytest.approx(np.log1p(np.exp(logits[1] - logits[0])), rel=1e-5)


def test_soft_targets_are_what_the_loss_is_measured_against_and_labels_what_is_correct(trained, unseen):
    images, labels = unseen
    q = np.full((len(labels), 10), 0.04)
    q[np.arange(len(labels)), labels] = 0.64
    found = fgsm(trained, images, labels, device=CPU, targets=q, epsilon=WIDE)
    log_p = found.logits - np.log(np.exp(found.logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.loss, -(q * log_p).sum(axis=1), rtol=1e-9)
    np.testing.assert_array_equal(found.correct, found.logits.argmax(axis=1) == labels)
    one_hot = fgsm(trained, images, labels, device=CPU, targets=np.eye(10)[labels], epsilon=WIDE)
    np.testing.assert_array_equal(
        one_hot.pixels, fgsm(trained, images, labels, device=CPU, epsilon=WIDE).pixels
    )


def test_ten_steps_harm_at_least_as_much_as_one(trained, unseen):
    for epsilon in (EPSILON, WIDE):
        one = fgsm(trained, *unseen, device=CPU, epsilon=epsilon)
        ten = pgd(trained, *unseen, device=CPU, epsilon=epsilon)
        assert ten.mean_loss >= one.mean_loss
        assert ten.accuracy <= one.accuracy


def test_the_trajectory_of_pgd_holds_the_loss_before_each_step(trained, unseen):
    images, labels = unseen
    found = pgd(trained, images, labels, device=CPU, epsilon=WIDE, steps=4, seed=5)
    assert len(found.trajectory) == 4
    start = torch.rand((len(images), 1, 8, 8), generator=torch.Generator().manual_seed(5)) * 2 * WIDE - WIDE
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 + start).clamp(0, 1)
    with torch.no_grad():
        first = float(F.cross_entropy(trained(x).double(), torch.from_numpy(labels)))
    assert found.trajectory[0] == pytest.approx(first, rel=1e-5)
    assert found.mean_loss > found.trajectory[-1]
    longer = pgd(trained, images, labels, device=CPU, epsilon=WIDE, steps=5, seed=5)
    assert longer.trajectory[4] == pytest.approx(found.mean_loss, rel=1e-5)


def test_the_start_of_pgd_comes_from_its_seed_and_not_from_the_batch(trained, unseen, monkeypatch):
    first = pgd(trained, *unseen, device=CPU, seed=1)
    torch.rand(3)  # somebody else draws
    monkeypatch.setattr(attacks, "_CHUNK", {"cpu": 7})
    np.testing.assert_allclose(pgd(trained, *unseen, device=CPU, seed=1).pixels, first.pixels, atol=1e-6)
    assert (pgd(trained, *unseen, device=CPU, seed=2).pixels != first.pixels).any()


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_model_is_afterwards_as_it_was(attack, trained, unseen):
    model = copy.deepcopy(trained).train()
    model.net[1].eval()  # somebody froze this batch norm
    model.net[0].weight.requires_grad_(False)
    model.net[8].weight.grad = torch.ones_like(model.net[8].weight)
    state = copy.deepcopy(model.state_dict())
    attack(model, *unseen, device=CPU)
    assert [part.training for part in model.modules()] == [True, True, True, False] + [True] * 7
    assert not model.net[0].weight.requires_grad
    assert model.net[8].weight.requires_grad
    assert (model.net[8].weight.grad == 1).all()
    assert model.net[5].weight.grad is None
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_an_attack_runs_where_one_kind_of_kernel_has_a_precision_of_its_own_and_leaves_it(trained, unseen):
    """torch's own context for such flags refuses that; training in true fp32 sets it."""
    conv = torch.backends.cudnn.conv
    before = conv.fp32_precision
    conv.fp32_precision = "tf32" if torch.backends.cudnn.rnn.fp32_precision != "tf32" else "ieee"
    mine = conv.fp32_precision
    try:
        fgsm(trained, *unseen, device=CPU)
        assert conv.fp32_precision == mine
    finally:
        conv.fp32_precision = before


def test_the_model_is_as_it_was_though_the_attack_fails(trained, unseen):
    model = copy.deepcopy(trained).train()
    with pytest.raises(RuntimeError):
        pgd(model, np.repeat(unseen[0], 3, axis=3), unseen[1], device=CPU)  # three channels, not one
    assert all(part.training for part in model.modules())
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_model_so_sure_that_its_softmax_is_one_hot_even_in_float64_still_has_a_gradient(trained, unseen):
    class Sure(nn.Module):
        def forward(self, pixels):
            return 300 * trained(pixels)  # margins of thousands of nats

    found = pgd(Sure(), *unseen, device=CPU, epsilon=WIDE)
    assert found.zero_gradients == 0
    assert found.accuracy == pytest.approx(pgd(trained, *unseen, device=CPU, epsilon=WIDE).accuracy, abs=0.05)


def test_square_breaks_what_hides_behind_a_gradient_of_zero(trained, unseen):
    hidden = Quantised(trained)
    by_gradient = [attack(hidden, *unseen, device=CPU, epsilon=WIDE) for attack in (fgsm, pgd)]
    search = short_square(hidden, *unseen, device=CPU, epsilon=WIDE)
    assert by_gradient[1].zero_gradients == 1
    assert search.accuracy < by_gradient[1].accuracy - 0.1
    verdict = masked_gradients(*by_gradient, search)
    assert verdict.masked
    assert any("Square" in reason for reason in verdict.reasons)
    assert any("zero throughout on 100%" in reason for reason in verdict.reasons)


def test_an_honest_model_is_not_said_to_mask_its_gradients(trained, unseen):
    verdict = masked_gradients(*(attack(trained, *unseen, device=CPU, epsilon=WIDE) for attack in ATTACKS))
    assert not verdict.masked
    assert verdict.reasons == ()


def attacked(correct, **more) -> Attacked:
    n = len(correct)
    empty = np.zeros((n, 1, 1, 1), dtype=np.float32), np.zeros((n, 2)), np.zeros(n)
    return Attacked("made", EPSILON, *empty, np.asarray(correct), **more)


def test_a_handful_more_breaks_than_pgd_may_be_chance_and_is_no_verdict():
    kept, lost = np.ones(500, dtype=bool), np.ones(500, dtype=bool)
    lost[:4] = False  # one-sided McNemar: 1/16
    assert not masked_gradients(attacked(kept), attacked(kept), attacked(lost)).masked
    lost[4] = False  # 1/32
    assert masked_gradients(attacked(kept), attacked(kept), attacked(lost)).masked
    assert not masked_gradients(attacked(lost), attacked(lost), attacked(kept)).masked
    assert masked_gradients(attacked(lost), attacked(kept), attacked(kept)).masked  # FGSM better than PGD
    with pytest.raises(DataError, match="same images"):
        masked_gradients(attacked(kept), attacked(kept), attacked(kept[:9]))


def test_square_asks_no_more_than_it_may_and_nothing_of_what_is_wrong_already(trained, unseen):
    images, labels = unseen
    wrong = labels.copy()
    wrong[:20] = (labels[:20] + 1) % 10
    found = square(trained, images, wrong, device=CPU, epsilon=EPSILON, queries=12)
    np.testing.assert_array_equal(found.queries[:20], 0)
    np.testing.assert_array_equal(found.pixels[:20], images[:20].astype(np.float32) / 255)
    assert found.queries.max() == 12
    assert ((found.queries == 12) | ~found.correct).all()


def test_square_asks_for_no_gradient_and_more_questions_find_more(trained, unseen):
    asked = []

    class Watched(nn.Module):
        def forward(self, pixels):
            asked.append(torch.is_grad_enabled() or pixels.requires_grad)
            return trained(pixels)

    few, many = (square(Watched(), *unseen, device=CPU, epsilon=WIDE, queries=n) for n in (2, 40))
    assert not any(asked)
    assert many.accuracy < few.accuracy


def test_square_keeps_a_square_only_where_the_margin_falls():
    margins = []

    def margin_of(x, y):
        margins.append(x.clone())
        return x.mean(dim=(1, 2, 3)) + 1  # never fooled, lower where darker

    x = torch.full((1, 3, 16, 16), 0.5)
    best, asked = random_search(
        margin_of, x, torch.zeros(1, dtype=torch.int64), 0.1, 60, np.random.default_rng(0)
    )
    assert int(asked) == 60
    stripes = margins[1]
    assert torch.equal(stripes, stripes[:, :, :1].expand_as(stripes))  # one pixel wide, one colour a column
    assert set(np.unique((stripes - 0.5).abs().round(decimals=4))) == {np.float32(0.1)}
    assert best.mean() < stripes.mean()
    assert set(np.unique((best - 0.5).abs().round(decimals=4))) == {np.float32(0.1)}
    one_square = (margins[2] != stripes).any(dim=1)[0]
    rows, columns = np.nonzero(one_square.numpy())
    assert max(np.ptp(rows), np.ptp(columns)) < _side(1, 60, 16, 16)


def test_the_squares_of_300_queries_shrink_by_the_schedule_of_10000():
    assert _side(1, 10_000, 32, 32) == round((0.8 * 1024) ** 0.5)  # before its first halving
    assert _side(11, 10_000, 32, 32) == round((0.4 * 1024) ** 0.5)
    assert _side(299, 300, 32, 32) == 2  # eight halvings: 0.8/256 of 1,024 pixels
    assert [_side(n, 300, 32, 32) for n in (1, 5, 10, 50, 100)] == [20, 14, 10, 7, 5]
    assert _side(1, 300, 2, 2) == 1


def test_one_images_fate_does_not_change_another_images_search(trained, unseen):
    images, labels = unseen
    first = square(trained, images, labels, device=CPU, epsilon=WIDE, queries=40, seed=3)
    again = square(trained, images, np.where(np.arange(len(labels)) < 50, (labels + 1) % 10, labels), device=CPU,
                   epsilon=WIDE, queries=40, seed=3)  # fmt: skip
    np.testing.assert_allclose(again.pixels[50:], first.pixels[50:], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": np.zeros((2, 8, 8, 1), dtype=np.float32)}, "uint8 images"),
        ({"images": np.zeros((0, 8, 8, 1), dtype=np.uint8)}, "at least one"),
        ({"labels": np.zeros(3, dtype=np.int64)}, "one class number for each of the 2"),
        ({"labels": np.zeros((2, 10))}, "one class number"),
        ({"targets": np.zeros((3, 10))}, "one distribution for each"),
        ({"epsilon": 4.0}, "share of the range"),
    ],
)
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_cannot_be_attacked_is_refused_with_a_sentence(attack, change, said, trained):
    given = {
        "images": np.zeros((2, 8, 8, 1), dtype=np.uint8),
        "labels": np.zeros(2, dtype=np.int64),
        **change,
    }
    with pytest.raises(DataError, match=said):
        attack(trained, device=CPU, **given)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_gpu_finds_what_a_processor_finds(attack, trained, unseen):
    here = attack(trained, *unseen, device=CPU, epsilon=WIDE)
    cuda = torch.device("cuda", 0)
    there = attack(copy.deepcopy(trained).to(cuda), *unseen, device=cuda, epsilon=WIDE)
    assert there.accuracy == pytest.approx(here.accuracy, abs=0.03)
    assert np.abs(there.pixels - unseen[0].astype(np.float32) / 255).max() <= WIDE + 1e-6

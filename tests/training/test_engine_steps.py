"""The mathematics of a step, against ones written by hand: loss, momentum, decay, rates, average, draws, precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook

from hilmix.core.errors import DataError
from tests.training.small import CPU, QUICK, digits, recorded
from training.engine import loop
from training.engine.batches import Batches, Material
from training.engine.config import Augment, TrainConfig
from training.engine.data import TrainData
from training.engine.loop import TrainingDiverged, build_model, train
from training.engine.net_table import NETS
from training.engine.nets import Normalised, build_net
from training.engine.optimising import decaying
from training.engine.plan import Budget, make_plan
from training.engine.predict import predict

# By hand, of the net of the test below: what a convolution or a linear layer multiplies by, and nothing else.
FILTERS = {"net.0.weight", "net.14.weight"} | {
    f"net.{block}.conv{number}.weight" for block in range(3, 12) for number in (1, 2)
}


def test_three_steps_are_those_written_by_hand():
    data = digits(64, n_mixed=32, lam=0.3)
    config = dataclasses.replace(
        QUICK, epochs=2, batch_size=48, warmup_epochs=0.5, lr=0.05, momentum=0.8, weight_decay=0.1
    )
    _, seen = recorded(config, data)
    model = build_model("resnet20", data, seed=0).to(memory_format=torch.channels_last)
    plan = make_plan(config, budget=Budget(64, 32), seed=0)
    material = Material(config, plan, data, CPU)
    velocity = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    # Two steps an epoch: one of warm-up, then half a cosine over the three that are left.
    rates = [0.05, 0.05, 0.05 * 0.75]
    for (epoch, step), rate, after in zip([(0, 0), (0, 1), (1, 0)], rates, seen, strict=False):
        pixels, targets = Batches(material, epoch).make(step)
        logits = model.train()(pixels)
        log_p = logits - logits.exp().sum(dim=1, keepdim=True).log()
        loss = -(targets * log_p).sum() / 48
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for (name, weight), gradient in zip(model.named_parameters(), gradients, strict=True):
                whole = gradient + (0.1 * weight if name in FILTERS else 0)
                velocity[name] = 0.8 * velocity[name] + whole
                weight -= rate * (whole + 0.8 * velocity[name])
        for name, weight in model.named_parameters():
            assert torch.allclose(after[name], weight, rtol=1e-3, atol=2e-5), (epoch, step, name)
    assert len(seen) == 4


def test_the_rates_of_the_schedule_steps_reach_the_optimiser(monkeypatch):
    rates: list[float] = []
    taken = loop._Trainer.step

    def step(self, *batch):
        taken(self, *batch)
        rates.extend({group["lr"] for group in self.optimiser.param_groups})

    monkeypatch.setattr(loop._Trainer, "step", step)
    config = dataclasses.replace(
        QUICK, epochs=4, batch_size=32, schedule="steps", milestones=(0.5, 0.75), factor=0.2, warmup_epochs=1
    )
    train(config, digits(64, n_mixed=0), seed=0, device=CPU)
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.02, 0.02, 0.004, 0.004])


def test_the_one_epoch_that_there_is_warms_up_over_its_first_half():
    config = dataclasses.replace(QUICK, epochs=1)
    rates = [loop.learning_rate(config, step, 8) for step in range(8)]
    assert rates[:5] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] < 0.02


@pytest.mark.parametrize("ema", [0.2, 0.8])
def test_the_moving_average_is_what_is_kept_and_judged(ema):
    data = digits(128)
    result, seen = recorded(dataclasses.replace(QUICK, epochs=1, batch_size=32, ema=ema), data)
    expected = seen[0]
    for done, state in enumerate(seen[1:], 1):
        decay = min(ema, (1 + done) / (10 + done))
        expected = {name: decay * expected[name] + (1 - decay) * state[name] for name in state}
    for name, value in expected.items():
        if "num_batches" not in name:  # weights, and running means and variances
            assert torch.allclose(result.state_dict[name], value, atol=1e-6), name
    assert not torch.allclose(
        result.state_dict["net.1.running_var"], seen[-1]["net.1.running_var"], atol=1e-5
    )
    assert int(result.state_dict["net.1.num_batches_tracked"]) == len(seen)
    model = build_model("resnet20", data, seed=0)
    model.load_state_dict(result.state_dict)
    logits = predict(model, data.validation_images, device=CPU)
    accuracy = np.mean(logits.argmax(1) == data.validation_labels)
    assert accuracy == pytest.approx(result.curves[-1]["validation_accuracy"])


def test_a_slow_average_does_not_keep_the_first_weights_of_a_short_training():
    data = digits(128)
    result, seen = recorded(dataclasses.replace(QUICK, batch_size=32, ema=0.9999), data)
    name = "net.14.weight"
    from_first, from_last = ((result.state_dict[name] - seen[at][name]).norm() for at in (0, -1))
    assert from_last < from_first


def test_two_steps_draw_other_noise():
    grey = np.full((64, 8, 8, 3), 128, np.uint8)
    data = TrainData(grey, np.eye(2)[np.zeros(64, int)], 64, grey[:1], np.zeros(1, np.int64))
    config = dataclasses.replace(QUICK, epochs=1, batch_size=32, augment=Augment(0, noise=0.2))
    made: list[Tensor] = []
    original = Batches.make
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Batches, "make", lambda self, step: made.append(original(self, step)[0]) or (made[-1], ONE)
        )
        train(config, data, seed=0, device=CPU)
    first, second = ((pixels - 128 / 255).sign().ravel() for pixels in made)
    assert abs(float((first * second).mean())) < 0.1


ONE = torch.eye(2)[torch.zeros(32, dtype=torch.int64)]


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_logits_are_computed_in_the_precision_that_was_asked_for(precision, dtype):
    kinds = {True: set(), False: set()}

    def look(module, _, logits):
        if isinstance(module, Normalised):
            kinds[module.training].add(logits.dtype)

    hook = register_module_forward_hook(look)
    try:
        train(dataclasses.replace(QUICK, epochs=1, precision=precision), digits(64), seed=0, device=CPU)
    finally:
        hook.remove()
    assert kinds == {True: {dtype}, False: {dtype}}


@pytest.mark.parametrize("name", list(NETS))
def test_only_what_pictures_are_multiplied_by_decays(name):
    with torch.device("meta"):
        net = build_net(name, image_shape=(32, 32, 3), n_classes=10, seed=0)
    held = set(decaying(net))
    every = dict(net.named_parameters())
    assert held <= every.keys()
    matrices = {path for path, value in every.items() if value.ndim > 1}
    free = {
        path for path in matrices if path.split(".")[-1] in {"layer_scale", "class_token", "pos_embedding"}
    }
    assert held == matrices - free
    assert len(free) == {"convnext_tiny": 18, "vit_small_p4": 2}.get(name, 0)


def test_the_projections_of_attention_decay():
    with torch.device("meta"):
        held = decaying(build_net("vit_small_p4", image_shape=(8, 8, 1), n_classes=2, seed=0))
    block = "encoder.layers.encoder_layer_0.self_attention"
    assert {
        f"{block}.in_proj_weight",
        f"{block}.out_proj.weight",
        "conv_proj.weight",
        "heads.head.weight",
    } <= set(held)


def test_a_training_that_diverges_in_its_last_step_says_so():
    data = digits(128)
    config = dataclasses.replace(QUICK, epochs=1, batch_size=160, warmup_epochs=0)
    spoilt = loop._Trainer.step

    def step(self, *batch):
        spoilt(self, *batch)
        with torch.no_grad():
            self.model.net[-1].weight.fill_(float("nan"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Trainer, "step", step)
        with pytest.raises(
            TrainingDiverged, match="diverged in epoch 1: what the net says of the validation"
        ):
            train(config, data, seed=0, device=CPU)


def test_a_training_of_which_only_the_averages_of_batch_norm_overflow_has_diverged():
    config = dataclasses.replace(QUICK, epochs=1, batch_size=160, warmup_epochs=0)
    spoilt = loop._Trainer.step

    def step(self, *batch):
        spoilt(self, *batch)
        next(value for name, value in self.model.named_buffers() if "running_var" in name).fill_(float("inf"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Trainer, "step", step)
        with pytest.raises(TrainingDiverged, match="diverged in epoch 1: its weights are not finite"):
            train(config, digits(128), seed=0, device=CPU)


def test_first_weights_that_are_not_finite_are_refused():
    data = digits(64)
    start = build_model("resnet20", data, seed=0).state_dict()
    start["net.0.weight"] = start["net.0.weight"] * float("nan")
    with pytest.raises(DataError, match=r"not all finite: net\.0\.weight"):
        train(QUICK, data, seed=0, device=CPU, start=start)


def test_a_config_that_no_seed_can_train_is_refused_before_anything_is_drawn():
    with pytest.raises(DataError, match="the seed is -1"):
        train(TrainConfig(epochs=2, warmup_epochs=0), digits(64), seed=-1, device=CPU)

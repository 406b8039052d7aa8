"""A training that was interrupted goes on to the same bits, or says why it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hilmix.core.errors import DataError
from tests.training.small import CPU, RICH, digits
from tests.training.small import QUICK as OF_DIGITS
from training.engine import checkpoints
from training.engine.data import Perceived
from training.engine.loop import TrainingStopped, TrainResult, train
from training.engine.plan import Budget

ROOT = Path(__file__).resolve().parents[2]
STEPS = 5  # an epoch of `digits(128)` at batches of 32
QUICK = replace(OF_DIGITS, batch_size=32)


@pytest.fixture(scope="module")
def whole() -> TrainResult:
    """`RICH` without an interruption."""
    return train(RICH, digits(128), seed=7, device=CPU)


def stopped_at(step: int, folder: Path, config=RICH, **change) -> None:
    steps: list[object] = []
    with pytest.raises(TrainingStopped):
        train(
            config, digits(128), seed=7, device=CPU, checkpoints=folder,
            on_step=steps.append, should_stop=lambda: len(steps) >= step, **change,
        )  # fmt: skip


def resumed(folder: Path, config=RICH, data=None, seed=7, **change) -> TrainResult:
    data = data or digits(128)
    return train(config, data, seed=seed, device=CPU, checkpoints=folder, **change)


def assert_same_bits(found, expected) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def without_times(curves):
    return [{key: value for key, value in curve.items() if key != "seconds"} for curve in curves]


def test_a_process_killed_at_three_random_steps_ends_in_the_bits_of_one_that_was_not(tmp_path, whole):
    weights, rng = tmp_path / "weights.safetensors", np.random.default_rng()
    kills = [epoch * STEPS + int(rng.integers(1, STEPS)) for epoch in (1, 2, 3)]
    command = [sys.executable, "-m", "tests.training.small", str(tmp_path / "run"), str(weights)]
    began = []
    for kill in [*kills, None]:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = None
        for line in process.stdout:
            first = first or int(line)
            if int(line) == kill:
                process.kill()
                break
        began.append(first)
        process.stdout.close()
        assert process.wait() == (0 if kill is None else -9), kills
    # Each went on at the epoch in which the one before it was killed, or the next if the kill came late.
    assert began[0] == 1
    for kill, first in zip(kills, began[1:], strict=True):
        assert first - 1 in (kill // STEPS * STEPS, kill // STEPS * STEPS + STEPS), (kills, began)
    assert_same_bits(load_file(weights), whole.state_dict)


@pytest.mark.parametrize("step", [0, 1, 7, STEPS, 3 * STEPS - 1])
def test_cancelling_writes_a_checkpoint_within_a_step_from_which_it_goes_on_to_the_same_bits(
    step, tmp_path, whole
):
    stopped_at(step, tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == [f"step-{step:08d}"]
    steps: list = []
    result = resumed(tmp_path, on_step=steps.append)
    assert [one.done for one in steps] == list(range(step + 1, RICH.epochs * STEPS + 1))
    assert_same_bits(result.state_dict, whole.state_dict)
    assert without_times(result.curves) == without_times(whole.curves)
    assert result.plan_sha256 == whole.plan_sha256


def test_a_training_without_momentum_or_average_goes_on_too(tmp_path):
    config = replace(QUICK, momentum=0.0)
    stopped_at(7, tmp_path, config)
    expected = train(config, digits(128), seed=7, device=CPU)
    assert_same_bits(resumed(tmp_path, config).state_dict, expected.state_dict)


def test_a_finished_training_is_not_done_again(tmp_path, whole):
    first, steps = resumed(tmp_path), []
    again = resumed(tmp_path, on_step=steps.append)
    assert steps == []
    assert_same_bits(again.state_dict, first.state_dict)
    assert_same_bits(again.state_dict, whole.state_dict)


def test_only_the_last_checkpoint_is_kept_and_nothing_in_it_is_pickled(tmp_path):
    stopped_at(2 * STEPS, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["state.json", "state.safetensors"]
    record = json.loads((folder / "state.json").read_text())
    assert [curve["epoch"] for curve in record["training"]["curves"]] == [1, 2]
    assert (record["training"]["precision"], record["training"]["threads"]) == ("fp32", 1)
    names = {name.split(".")[0] for name in load_file(folder / "state.safetensors")}
    assert names == {"model", "average", "momentum", "sums", "right"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"config": replace(RICH, lr=0.05)}, "its configuration differ"),
        ({"config": replace(RICH, epochs=5)}, "configuration and plan"),
        ({"config": replace(RICH, ema=0.99)}, "its configuration differ"),
        ({"seed": 8}, "its plan differ"),
        ({"budget": Budget(130, 32)}, "its plan differ"),
        ({"data": digits(128, lam=0.9)}, "its data differ"),
        ({"data": replace(digits(128), perceived=Perceived.of(curve={"5000": 0.6}))}, "its data differ"),
        ({"start": {}}, None),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_naming_what_differs(change, what, tmp_path):
    stopped_at(1, tmp_path)
    if what is None:  # other first weights
        first = train(QUICK, digits(128), seed=1, device=CPU).state_dict
        change, what = {"start": first}, "its first weights differ"
    with pytest.raises(DataError, match=what):
        resumed(tmp_path, **change)


def test_what_was_decided_when_the_run_began_holds_when_it_goes_on(tmp_path, monkeypatch):
    config = replace(QUICK, precision="auto")
    monkeypatch.setattr("training.engine.device._seconds_a_step", lambda *told: float(told[-1] == "fp32"))
    stopped_at(7, tmp_path, config)  # where bf16 is fast
    monkeypatch.setattr("training.engine.device._seconds_a_step", lambda *told: float(told[-1] == "bf16"))
    assert train(replace(config, epochs=1), digits(128), seed=7, device=CPU).precision == "fp32"
    assert resumed(tmp_path, config).precision == "bf16"


def test_a_write_that_is_interrupted_leaves_the_last_checkpoint_and_its_remains_are_swept(
    tmp_path, monkeypatch, whole
):
    stopped_at(STEPS, tmp_path)

    def killed(*told):
        (tmp_path / ".step-00000010.abc.partial").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        resumed(tmp_path)
    monkeypatch.undo()
    left = sorted(folder.name for folder in tmp_path.iterdir())
    assert left == [".step-00000010.abc.partial", f"step-{STEPS:08d}"]
    assert_same_bits(resumed(tmp_path).state_dict, whole.state_dict)
    assert [folder.name for folder in tmp_path.iterdir()] == [f"step-{RICH.epochs * STEPS:08d}"]


def test_a_checkpoint_is_on_the_disk_whole_before_it_is_renamed_to_its_place(tmp_path, monkeypatch):
    flushed: list[str] = []
    monkeypatch.setattr(checkpoints, "_flush", lambda path: flushed.append(path.name))
    stopped_at(1, tmp_path)
    *files, folder, above = flushed
    assert files == ["state.safetensors", "state.json"]
    assert folder.startswith(".step-00000001")
    assert folder.endswith(".partial")
    assert above == tmp_path.name


def change_record(folder: Path, **change: object) -> None:
    record = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**record, **change}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "state.json").write_text("{"),
        lambda folder: (folder / "state.json").unlink(),
        lambda folder: (folder / "state.json").write_text('{"format": 1}'),
        lambda folder: change_record(folder, identity=["plan"]),
        lambda folder: change_record(folder, training=None),
        lambda folder: change_record(folder, done="7"),
        lambda folder: (folder / "state.safetensors").unlink(),
        lambda folder: (folder / "state.safetensors").write_bytes(
            (folder / "state.safetensors").read_bytes()[:-1] + b"x"
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    stopped_at(1, tmp_path)
    damage(tmp_path / "step-00000001")
    with pytest.raises(DataError, match="step-00000001 cannot be read as a checkpoint"):
        resumed(tmp_path)

"""Which workers `serve` starts: one for data, and one for training on each device."""

from __future__ import annotations

import pytest

from hilmix.management.commands.serve import services_to_run, train_devices


@pytest.mark.parametrize(
    ("nodes", "named", "devices"),
    [
        ([], None, []),
        (["nvidia0", "nvidiactl"], None, []),
        (["nvidia0", "nvidia1", "nvidia10", "nvidia2", "nvidia-uvm"], None, ["0", "1", "2", "10"]),
        (["nvidia0", "nvidia1"], "1", []),
        (["nvidia0"], "3, 5", ["3", "5"]),
        (["nvidia0", "nvidia1"], "", []),
    ],
)
def test_devices_are_those_named_or_all_there_are(tmp_path, monkeypatch, nodes, named, devices):
    for node in nodes:
        (tmp_path / node).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert train_devices(tmp_path) == devices


def test_every_device_has_a_worker_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    web, data, *training = services_to_run("127.0.0.1")
    assert (web.name, data.name) == ("web", "data")
    assert [one.name for one in training] == ["train-0", "train-3"]
    assert [one.command[-2:] for one in training] == [["--device=0", "train"], ["--device=3", "train"]]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert [one.name for one in services_to_run("127.0.0.1")] == ["web", "data", "train"]

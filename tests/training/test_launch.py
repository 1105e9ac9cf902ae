"""Requests for hardware that a machine does not have."""

import pytest
import torch

from convergan.errors import UserError
from convergan.recipes.settings import HardwareSettings
from convergan.training import launch as module
from convergan.training.launch import launched


@pytest.mark.parametrize(
    ("gpus", "settings", "message"),
    [
        (
            0,
            {"accelerator": "cuda"},
            "hardware.accelerator: expected one of what torch finds here, auto, cpu, got cuda",
        ),
        (
            0,
            {"accelerator": "gpu"},
            "hardware.accelerator: expected one of what torch finds here, auto, cpu, got gpu",
        ),
        (
            2,
            {"accelerator": "mps"},
            "hardware.accelerator: expected one of what torch finds here, auto, cpu, cuda, got mps",
        ),
        (2, {"devices": 3}, "hardware.devices: expected at most 2 of cuda here, got 3"),
        (
            2,
            {"accelerator": "gpu", "devices": 4},
            "hardware.devices: expected at most 2 of cuda here, got 4",
        ),
        (
            2,
            {"accelerator": "cpu", "devices": 200},
            "hardware.devices: expected at most 24 for 24 cores, got 200",
        ),
    ],
)
def test_what_is_not_here_is_named(
    monkeypatch: pytest.MonkeyPatch, gpus: int, settings: dict, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 24)
    with pytest.raises(UserError) as caught, launched(HardwareSettings(**settings)):
        pytest.fail("launched")
    assert str(caught.value) == message


def test_processes_that_do_not_find_each_other_have_lost_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        **{"TORCHELASTIC_RUN_ID": "test", "RANK": "1", "LOCAL_RANK": "0"},
        **{"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"},
    }.items():
        monkeypatch.setenv(name, value)

    def unheard(*_: object, **__: object) -> None:
        raise torch.distributed.DistStoreError("wait timeout after 300000ms, keys: /worker_count")

    monkeypatch.setattr(torch.distributed, "init_process_group", unheard)
    with pytest.raises(UserError) as caught, launched(HardwareSettings(accelerator="cpu")):
        pytest.fail("launched")
    assert str(caught.value) == (
        "torchrun: expected 2 processes that reach one another, but this one did not find them (wait timeout"
        " after 300000ms, keys: /worker_count)"
    )

"""Metrics judge by the network in evaluation mode, and leave it as they found it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from convergan import FrechetInceptionDistance, InceptionScore, KernelInceptionDistance


class Judge(nn.Module):
    """Drops units out and keeps running statistics, in training mode."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 6)
        )
        self.layers[0].eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images.flatten(1).float())


def inception_score(judge: nn.Module) -> tuple[Metric, Callable[[Tensor], None]]:
    metric = InceptionScore(judge, count=60, splits=2)
    return metric, metric.update


def distance(judge: nn.Module, kind: type) -> tuple[Metric, Callable[[Tensor], None]]:
    metric = kind(judge)

    def update(images: Tensor) -> None:
        metric.update(images, real=True)
        metric.update(images.flip(0), real=False)

    return metric, update


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
@pytest.mark.parametrize(
    "build",
    [
        inception_score,
        lambda judge: distance(judge, FrechetInceptionDistance),
        lambda judge: distance(judge, KernelInceptionDistance),
    ],
    ids=["IS", "FID", "KID"],
)
def test_networks_are_in_evaluation_mode_and_left_as_found(build: Callable) -> None:
    torch.manual_seed(0)
    judge = Judge()
    images = torch.rand(60, 4)
    modes = {name: module.training for name, module in judge.named_modules()}
    assert any(modes.values()) and not all(modes.values())
    state = {name: value.clone() for name, value in judge.state_dict().items()}
    numbers = []
    for mode in (None, True, False):
        metric, update = build(judge)
        if mode is not None:
            # As Lightning does it.
            metric.train(mode)
        update(images)
        if mode is None:
            assert {name: module.training for name, module in judge.named_modules()} == modes
        numbers.append(metric.compute())
    for name, value in judge.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert numbers[0] == numbers[1] == numbers[2]

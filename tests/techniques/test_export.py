"""Layers are exported with a batch of any size."""

import pytest
import torch
from torch import nn

from convergan.networks.dense import NoisyDense
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.noise import GaussianNoise
from convergan.techniques.weight_norm import (
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
)


def network() -> nn.Module:
    return nn.Sequential(
        GaussianNoise(0.1),
        WeightNormConv2d(2, 4, 3, padding=1),
        BatchNormWithoutGain(4),
        WeightNormConvTranspose2d(4, 3, 2, stride=2),
        nn.Flatten(),
        NoisyDense(48, 6, stdev=0.1, relu=True, train_gain=False),
        WeightNormLinear(6, 5),
    ).eval()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.usefixtures("unchecked_shapes")
def test_an_exported_network_takes_batches_of_any_size(strict: bool) -> None:
    model = network()
    shapes = {"input": {0: torch.export.Dim("batch")}}
    exported = torch.export.export(
        model, (torch.randn(3, 2, 2, 2),), dynamic_shapes=shapes, strict=strict
    ).module()
    for batch in (1, 2, 7):
        x = torch.randn(batch, 2, 2, 2)
        torch.testing.assert_close(exported(x), model(x))

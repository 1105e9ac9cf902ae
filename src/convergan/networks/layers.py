"""Batch normalization as the paper's generators use it."""

import torch
from torch import Tensor, nn


class BatchNormWithoutGain(nn.Module):
    """Batch normalization over all axes but the channels', with a trained bias and no gain."""

    unit_gain: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("unit_gain", torch.ones(num_features), persistent=False)
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.batch_norm(
            inputs,
            self.running_mean,
            self.running_var,
            weight=self.unit_gain,
            bias=self.bias,
            training=self.training,
        )

"""Batch normalization by the real half of a batch in some channels, by the generated half in the others."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class CrossBatchNorm(nn.Module):
    """Batch normalization of the authors' ImageNet discriminator.

        y = (x - m_c) / sqrt(v_c + eps) * weight_c + bias_c

    for [batch, channels, ...]: in the first half of the channels, m_c and v_c are mean and biased variance
    over the rows of the real half, the first ones; in the second half, over those of the generated half. Both
    halves normalize every row, so that real and generated images stay different, whatever their numbers are.

    In evaluation the running statistics are used, which move by `momentum` a batch: an image is compared with
    real images in half of the channels, and with generated ones in the other half.

    Parameters: `weight` [channels], initialized Normal(1, .02); `bias` [channels], 0. Buffers:
    `running_mean`, 0, and `running_var`, 1, [channels].

    Args:
        channels: an even number, at least 2.
        eps: number added to the variance, above 0.
        momentum: update rate of the running statistics, in (0, 1].

    Raises:
        ValueError: an argument is out of its range.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"channels must be even and at least 2, got {channels}")
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(channels), mean=1.0, std=0.02))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(
        self, inputs: Float[Tensor, "batch channels *positions"], real: int
    ) -> Float[Tensor, "batch channels *positions"]:
        """The normalized inputs, in their shape.

        Args:
            inputs: activations of the real half and, after it, of the generated half.
            real: number of rows of the real half; ignored in evaluation.
        """
        if self.training:
            mean, variance = self._statistics(inputs, real)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        shape = (-1,) + (1,) * (inputs.ndim - 2)
        return (inputs * scale.view(shape) + shift.view(shape)).to(inputs.dtype)

    def _statistics(self, inputs: Tensor, real: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over its half of the batch; updates the running ones."""
        half = self.channels // 2
        rows = inputs.split([real, inputs.shape[0] - real])
        moments = [self._moments(rows[0][:, :half]), self._moments(rows[1][:, half:])]
        mean, variance = (torch.cat(values) for values in zip(*moments, strict=True))
        with torch.no_grad():
            for running, value in ((self.running_mean, mean), (self.running_var, variance)):
                running.lerp_(value.to(running.dtype), self.momentum)
        return mean, variance

    def _moments(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each channel over the rows of one half."""
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        variance, mean = torch.var_mean(wide.transpose(0, 1).flatten(1), dim=1, correction=0)
        return mean, variance

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}"

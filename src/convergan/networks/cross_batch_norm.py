"""Batch normalization by the real half of a batch in some channels, by the generated half in the others."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class CrossBatchNorm(nn.Module):
    """Batch normalization of the authors' ImageNet discriminator.

        y = (x - m_c) / sqrt(v_c + eps) * weight_c + bias_c

    of [batch, channels, ...]: m_c and v_c are mean and biased variance over the rows of the real half, the
    first ones, in the first half of the channels, and over those of the generated half in the others. Every
    row is normalized by both: real and generated images differ in what they are normalized to, and how many
    there are of each changes nothing.

    In evaluation the running statistics count, which move by `momentum` a batch: an image is classified by
    what it looks like beside real images in half of the channels, and beside generated ones in the others.

    Parameters: `weight` [channels], initialized Normal(1, .02); `bias` [channels], 0. Buffers:
    `running_mean`, 0, and `running_var`, 1, [channels].

    Args:
        channels: an even number, at least 2.
        eps: added to the variance, above 0.
        momentum: of the running statistics, in (0, 1].

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
            real: rows of the real half; of no meaning in evaluation.
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
        """Mean and variance of each channel over its half of the batch; moves the running ones."""
        half = self.channels // 2
        rows = inputs.split([real, inputs.shape[0] - real])
        found = [self._moments(rows[0][:, :half]), self._moments(rows[1][:, half:])]
        mean, variance = (torch.cat(values) for values in zip(*found, strict=True))
        with torch.no_grad():
            for running, now in ((self.running_mean, mean), (self.running_var, variance)):
                running.lerp_(now.to(running.dtype), self.momentum)
        return mean, variance

    def _moments(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each channel over the rows of one half."""
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        variance, mean = torch.var_mean(wide.transpose(0, 1).flatten(1), dim=1, correction=0)
        return mean, variance

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}"

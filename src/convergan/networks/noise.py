"""Gaussian noise, drawn afresh or cut out of a bank."""

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from convergan.whole_batch import draw_rows, with_rows

BANK_SIZE = 2**22
"""Number of entries of a bank: 16 MB."""

LARGEST_SHARE = 0.25
"""Largest share of the bank in one cut: there would be too few different larger cuts."""

ALIGNMENT = 16
"""Number of entries of which the start of a cut is a multiple, for fast reading on a CPU."""


class NoiseBank:
    """Standard normal numbers, drawn once and used many times, each time cut out from a random start.

    On a CPU drawing a normal number costs as much as some hundreds of operations in a matrix product; reading
    one costs next to nothing. There are some 200,000 possible starts, and the training loop refills the bank
    every few hundred steps, so that an image gets different numbers at every step.
    """

    def __init__(self, device: torch.device | str = "cpu", size: int = BANK_SIZE) -> None:
        self._numbers = torch.zeros(size, dtype=torch.float32, device=device)

    def fill(self, seed: int) -> None:
        """Draw all numbers anew; they are a function of the seed and the kind of device."""
        generator = torch.Generator(self._numbers.device).manual_seed(seed)
        self._numbers.normal_(generator=generator)

    def cut(self, template: Float[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
        """Standard normal float32 numbers in the shape of `template`, to be read only.

        The start is drawn from torch's default generator of the CPU. Shapes that need more than a quarter of
        the bank get fresh numbers.
        """
        count, size = template.numel(), len(self._numbers)
        if count > LARGEST_SHARE * size:
            return torch.randn_like(template, dtype=torch.float32)
        start = ALIGNMENT * int(torch.randint((size - count) // ALIGNMENT + 1, ()))
        return self._numbers[start : start + count].view(template.shape)


class GaussianNoise(nn.Module):
    """Add Gaussian noise of a fixed standard deviation in training; none in evaluation.

    Each number is drawn afresh, unless the layer has a `bank`.

    Args:
        stdev: the standard deviation, 0 or more.

    Raises:
        ValueError: `stdev` is negative.
    """

    def __init__(self, stdev: float) -> None:
        super().__init__()
        if not stdev >= 0:
            raise ValueError(f"stdev must be >= 0, got {stdev}")
        self.stdev = stdev
        self.bank: NoiseBank | None = None

    def draw(self, template: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"] | None:
        """Standard normal numbers in the shape of `template`; None where no noise is added."""
        if not self.training or self.stdev == 0:
            return None
        cut = torch.randn_like if self.bank is None else self.bank.cut
        return draw_rows(lambda rows: cut(with_rows(template, rows)), template.shape[0])

    def forward(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The inputs, with noise added in training and unchanged in evaluation."""
        noise = self.draw(inputs)
        if noise is None:
            return inputs
        return torch.add(inputs, noise.to(inputs.dtype), alpha=self.stdev)

    def extra_repr(self) -> str:
        return f"stdev={self.stdev}"


def use_bank(network: nn.Module, bank: NoiseBank | None) -> None:
    """Make every noise layer of a network take its numbers from `bank`; None: draw them afresh."""
    for layer in network.modules():
        if isinstance(layer, GaussianNoise):
            layer.bank = bank

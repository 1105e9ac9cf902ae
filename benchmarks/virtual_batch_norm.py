"""Claim: a generator step with virtual batch normalization is never slower than two separate forwards.

    python benchmarks/virtual_batch_norm.py [--repeats 40] [--threads N]

It times forward and backward of a generator, for one batch and its reference batch. Ours takes both through
the network in one pass. The peer is the plain way, with the same weights: it takes the reference through
the network first, where each layer keeps the mean and the mean square of its inputs, and then the batch.
Gradients flow through both. Before the timing, images and gradients of the two are compared in double
precision. Each has a process of its own. The floor is the arithmetic of ours at the rate of a large matrix
product.
"""

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convergan.networks.imagenet import ImageNetGenerator
from convergan.recipes.networks import ImageNetSettings
from convergan.runs.provenance import device_name
from convergan.techniques.virtual_batch_norm import (
    ReferenceBatch,
    VirtualBatchNorm1d,
    VirtualBatchNorm2d,
)
from harness.another_process import in_another_process
from harness.command_line import command_parser
from harness.measure import MatrixProduct, Task, interleaved_times, medians
from harness.rows import timing, write_rows


class PlainNorm(nn.Module):
    """Virtual batch normalization over two forwards: the reference's, then the batch's."""

    def __init__(self, layer: VirtualBatchNorm1d | VirtualBatchNorm2d) -> None:
        super().__init__()
        self.gain, self.bias, self.eps = layer.weight, layer.bias, layer.eps
        self._reference_moments: tuple[Tensor, Tensor, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        space = tuple(range(2, x.ndim))
        if self._reference_moments is None:
            mean = x.mean((0, *space), keepdim=True)
            square = (x * x).mean((0, *space), keepdim=True)
            self._reference_moments = mean, square, len(x)
        else:
            reference_mean, reference_square, size = self._reference_moments
            self._reference_moments = None
            weight = 1 / (size + 1)
            own_mean = x.mean(space, keepdim=True) if space else x
            own_square = (x * x).mean(space, keepdim=True) if space else x * x
            mean = weight * own_mean + (1 - weight) * reference_mean
            square = weight * own_square + (1 - weight) * reference_square
        y = (x - mean) * torch.rsqrt(square - mean * mean + self.eps)
        shape = (-1, *(1 for _ in space))
        return y * self.gain.view(shape) + self.bias.view(shape)


class TwoForwards(nn.Module):
    """A generator's network with `PlainNorm` for our layers."""

    def __init__(self, generator: ReferenceBatch) -> None:
        super().__init__()
        self.network = deepcopy(generator.network)
        self.register_buffer("reference", generator.reference)
        for module in list(self.network.modules()):
            for name, child in module.named_children():
                if isinstance(child, VirtualBatchNorm1d | VirtualBatchNorm2d):
                    setattr(module, name, PlainNorm(child))

    def forward(self, batch: Tensor) -> Tensor:
        """The network's output for `batch` alone."""
        self.network(self.reference)
        return self.network(batch)


def dense_generator(width: int, size: int) -> tuple[ReferenceBatch, Tensor]:
    """The generator of the paper's MNIST experiments, so normalized; and noise."""
    network = nn.Sequential(
        nn.Linear(100, width, bias=False),
        VirtualBatchNorm1d(width, size),
        nn.Softplus(),
        nn.Linear(width, width, bias=False),
        VirtualBatchNorm1d(width, size, keep_reference=False),
        nn.Softplus(),
        nn.Linear(width, 784),
        nn.Sigmoid(),
    )
    return ReferenceBatch(network, torch.rand(size, 100)), torch.rand(size, 100)


def conv_generator(width: int, size_px: int, size: int) -> tuple[ReferenceBatch, Tensor]:
    """The generator of the paper's ImageNet experiment at this width; and noise."""
    full = ImageNetSettings()
    settings = ImageNetSettings(
        generator_width=width,
        latent_size=full.latent_size * width // full.generator_width,
        noise_maps=tuple(maps * width // full.generator_width for maps in full.noise_maps),
        reference_size=size,
    )
    generator = ImageNetGenerator(settings, (3, size_px, size_px))
    return generator.images, generator.latent(size, "cpu")


def step_of(generator: nn.Module, noise: Tensor, images_gradient: Tensor) -> Tensor:
    """The images, and their gradient taken back to the weights."""
    generator.zero_grad()
    images = generator(noise)
    images.backward(images_gradient)
    return images


def steps_of(generator: nn.Module, noise: Tensor, images_gradient: Tensor) -> Task:
    """A task: `step_of`."""
    return partial(step_of, generator, noise, images_gradient)


def require_equal(
    own_generator: nn.Module, peer_generator: nn.Module, noise: Tensor, images_gradient: Tensor
) -> None:
    """Stop where images or gradients differ."""
    own_generator, peer_generator = (
        deepcopy(own_generator).double(),
        deepcopy(peer_generator).double(),
    )
    images = [
        step_of(generator, noise.double(), images_gradient.double())
        for generator in (own_generator, peer_generator)
    ]
    torch.testing.assert_close(*images, rtol=1e-6, atol=1e-9)
    for left, right in zip(own_generator.parameters(), peer_generator.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-6, atol=1e-6)


def measure(setting: str, generator: ReferenceBatch, noise: Tensor, repeats: int) -> dict[str, Any]:
    """One row."""
    peer = TwoForwards(generator)
    images_gradient = torch.randn_like(generator(noise))
    require_equal(generator, peer, noise, images_gradient)
    with FlopCounterMode(display=False) as counter:
        step_of(generator, noise, images_gradient)
    product = MatrixProduct()
    with (
        in_another_process(partial(steps_of, generator, noise, images_gradient)) as ours_step,
        in_another_process(partial(steps_of, peer, noise, images_gradient)) as peers_step,
    ):
        times = interleaved_times(
            {"ours": ours_step, "peer": peers_step, "product": product}, repeats=repeats
        )
    row = timing(
        claim="a generator step is never slower than two separate forwards",
        setting=f"{setting}, reference and batch of {len(noise)} each",
        device=device_name(torch.device("cpu")),
        precision="32-true",
        times=times,
        peer="peer",
        peer_name="reference and batch in separate forwards",
        floor=counter.get_total_flops() * medians(times)["product"] / product.operations,
        unit="seconds of forward and backward",
        repeats=repeats,
    )
    print(
        f"{row['setting']}: ours {row['ours'] * 1e3:.2f} ms, peer {row['peer'] * 1e3:.2f} ms,"
        f" {row['times_faster']:.2f} times as fast",
        flush=True,
    )
    return row


def generators() -> dict[str, tuple[nn.Module, Tensor]]:
    """The generators, and the noise that each is given."""
    return {
        "dense, 100 wide": dense_generator(100, 32),
        "dense, 500 wide": dense_generator(500, 100),
        "conv, 64 wide, 32 px": conv_generator(64, 32, 16),
        "conv, 64 wide, 32 px, larger batch": conv_generator(64, 32, 64),
        "conv, 128 wide, 64 px": conv_generator(128, 64, 32),
        "conv, 64 wide, 128 px": conv_generator(64, 128, 16),
    }


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    torch.manual_seed(0)
    rows = [
        measure(setting, generator, noise, arguments.repeats)
        for setting, (generator, noise) in generators().items()
    ]
    print(write_rows("virtual-batch-norm", rows))


if __name__ == "__main__":
    main()

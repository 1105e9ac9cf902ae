"""Layers of the paper's networks that are none of its techniques."""

import math

import torch
from torch import Tensor, nn

LARGEST_MAPS_BYTES = 20 * 2**20
"""Of a layer of `ImageByImage` in one piece. Tensors of more than 32 MB glibc maps one by one, and the system
clears the pages of each anew: a fifth of a step of `cifar10`."""


class BatchNormWithoutGain(nn.Module):
    """Batch normalization over all axes but the channels', with a trained bias and no gain.

        y = (x - mean) / sqrt(variance + 1e-5) + bias

    of [batch, num_features, ...], for layers before a nonlinearity that a gain does nothing for, as in the
    paper's generators. In training the statistics are those of the batch, under data parallelism of each
    process's own; in evaluation the running ones, which move by a tenth a batch as in `nn.BatchNorm2d`.

    Args:
        num_features: channels, or features of a dense layer.
    """

    unit_gain: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("unit_gain", torch.ones(num_features), persistent=False)
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    @property
    def weight(self) -> Tensor:
        """Ones: there is no gain. What an initialization by names writes into them has no effect."""
        return self.unit_gain.clone()

    def forward(self, inputs: Tensor) -> Tensor:
        """The normalized inputs, in their shape."""
        return nn.functional.batch_norm(
            inputs,
            self.running_mean,
            self.running_var,
            weight=self.unit_gain,
            bias=self.bias,
            training=self.training,
        )


class ImageByImage(nn.Sequential):
    """Layers whose outputs for an image depend on no other; a CPU takes a large batch in blocks.

    Args:
        layers: applied one after the other, as by `nn.Sequential`.
        most_channels: of maps that have the images' size, the largest that there are.
    """

    def __init__(self, *layers: nn.Module, most_channels: int) -> None:
        super().__init__(*layers)
        self.most_channels = most_channels

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(images)
        pixels = math.prod(images.shape[2:]) * images.shape[0]
        maps_bytes = self.most_channels * pixels * images.element_size()
        blocks = images.chunk(max(1, math.ceil(maps_bytes / LARGEST_MAPS_BYTES)))
        return torch.cat([super(ImageByImage, self).forward(block) for block in blocks])

    def initialize_from_data(self, images: Tensor) -> Tensor:
        """All at once, as the layers' statistics are over all images; see `weight_norm`."""
        return super().forward(images)

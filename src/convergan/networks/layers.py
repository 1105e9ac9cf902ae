"""Layers of the paper's networks beside its techniques."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from convergan.whole_batch import blocks_of_rows, rows_in_all

LARGEST_MAPS_BYTES = 20 * 2**20
"""Largest size of the maps of an `ImageByImage` layer in one piece. glibc maps each tensor of more than 32 MB
anew, and the system clears its pages: a fifth of a step of `cifar10`."""


class BatchNormWithoutGain(_BatchNorm):
    """Batch normalization over all axes but the channels', with a trained bias and no gain.

        y = (x - mean) / sqrt(variance + eps) + bias

    for [batch, num_features, ...], before a nonlinearity for which a gain makes no difference, as in the
    paper's generators. In training the statistics are those of the batch, which `take_whole_batches` of
    `over_ranks` makes that of all processes; in evaluation the running ones, updated by a tenth a batch as in
    `nn.BatchNorm2d`.

    `torch.nn.SyncBatchNorm.convert_sync_batchnorm` makes it a layer that does so on GPUs alone. The gain of
    that layer is a parameter of ones that requires no gradient: no optimizer moves it. Its weights can be
    loaded here again; weights from here can be loaded there with `strict=False`, since they hold no gain.

    Args:
        num_features: channels, or features of a dense layer.
        eps: number added to the variance, above 0.
        running: keep running statistics. Without them evaluation uses the batch's statistics, too.

    Raises:
        ValueError: the inputs have no channel axis.
    """

    # Before the second version the number of batches was not saved, and is not here.
    _version = 1

    unit_gain: Tensor

    def __init__(self, num_features: int, *, eps: float = 1e-5, running: bool = True) -> None:
        super().__init__(num_features, eps=eps, affine=False, track_running_stats=running)
        del self._parameters["weight"]
        self.affine = True
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("unit_gain", torch.ones(num_features), persistent=False)
        self.register_buffer("num_batches_tracked", self.num_batches_tracked, persistent=False)

    @property
    def weight(self) -> nn.Parameter:  # type: ignore[override]
        """A gain of ones, as there is none. An initialization that writes into it has no effect."""
        # Not None: torch's synchronized layer computes the bias's gradient only beside a gain.
        return nn.Parameter(self.unit_gain.clone(), requires_grad=False)

    def forward(
        self, inputs: Float[Tensor, "batch channels *positions"]
    ) -> Float[Tensor, "batch channels *positions"]:
        """The normalized inputs, in their shape."""
        self._check_input_dim(inputs)
        rate = self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if rate is None:
                # The mean of all batches, as `torch.optim.swa_utils.update_bn` wants it.
                rate = 1 / float(self.num_batches_tracked)
        tracked = not self.training or self.track_running_stats
        return nn.functional.batch_norm(
            inputs,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            weight=self.unit_gain,
            bias=self.bias,
            training=self.training or self.running_mean is None,
            momentum=0.0 if rate is None else rate,
            eps=self.eps,
        )

    def _check_input_dim(self, inputs: Tensor) -> None:
        if inputs.ndim < 2:
            raise ValueError(
                f"inputs must be [batch, {self.num_features}, ...], got shape {tuple(inputs.shape)}"
            )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        # Entries of a converted layer.
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        gain = state_dict.get(f"{prefix}weight")
        if gain is not None and bool((gain == 1).all()):
            del state_dict[f"{prefix}weight"]
        # Torch's batch normalization would add the number of batches.
        nn.Module._load_from_state_dict(self, state_dict, prefix, *arguments)


class ImageByImage(nn.Sequential):
    """Layers whose outputs for an image depend on no other image; a CPU takes a large batch in blocks.

    Args:
        layers: layers applied one after the other, as by `nn.Sequential`.
        most_channels: largest number of channels of maps that have the images' size.
    """

    def __init__(self, *layers: nn.Module, most_channels: int) -> None:
        super().__init__(*layers)
        self.most_channels = most_channels

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps map_height map_width"]:
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(images)
        pixels = math.prod(images.shape[2:]) * rows_in_all(images.shape[0])
        maps_bytes = self.most_channels * pixels * images.element_size()
        blocks = blocks_of_rows(images, max(1, math.ceil(maps_bytes / LARGEST_MAPS_BYTES)))
        return torch.cat([super(ImageByImage, self).forward(block) for block in blocks])

    def initialize_from_data(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps map_height map_width"]:
        """Initialize the layers from all images at once, as in `weight_norm`, and return the outputs."""
        return super().forward(images)

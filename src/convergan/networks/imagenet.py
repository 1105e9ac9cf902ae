"""The networks of the paper's ImageNet experiment: 128x128 px there, any multiple of 32 px here.

They use virtual batch normalization (Section 3.5) and minibatch discrimination (Section 3.2).
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.errors import UserError
from convergan.networks.cross_batch_norm import CrossBatchNorm
from convergan.networks.interface import DiscriminatorOutput, Generator
from convergan.networks.minibatch_similarity import ComparingDiscriminator
from convergan.networks.noise import GaussianNoise
from convergan.recipes.networks import ImageNetSettings
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.virtual_batch_norm import ReferenceBatch, VirtualBatchNorm2d
from convergan.whole_batch import rows_in_all, rows_of_halves

LayerT = TypeVar("LayerT", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)

NormT = TypeVar("NormT", nn.BatchNorm1d, nn.BatchNorm2d, VirtualBatchNorm2d)

MULTIPLE_PX = 32
"""Number of pixels of which the images' sides are multiples: they are halved five times."""

_STDEV = 0.02
"""Standard deviation of all initial weights but the generator's output, and of gains around 1, as in the
authors' code."""

_CUT = 2
"""Number of standard deviations at which initial weights of the discriminator's convolutions are cut off."""

_CONVOLUTIONS = ((1, 2), (2, 2), (4, 2), (4, 1), (4, 1), (8, 2), (8, 2))
"""Channels of the discriminator's layers, in multiples of the width, and their strides."""

_GENERATOR_DIVISORS = (1, 2, 4, 8, 8, 8)
"""Divisors of the generator's width at each size of its maps."""


class ImageNetDiscriminator(ComparingDiscriminator):
    """Seven 3x3 convolutions and a dense layer, each with batch normalization and leaky ReLU .2.

    Its activations are the features; minibatch discrimination appends a sample's similarity to the real half
    of the batch and to the generated half. As in the authors' code the first layer has
    batch normalization too, which DCGAN leaves out. Both techniques mix the samples of a batch:

    In training, all groups but the last are the real half, the last is the generated one; the generator's
    step shows real images too (`compares_halves`), so that generated ones are judged beside real ones, as
    the discriminator learnt to. With `settings.normalization` "cross" the features do not depend on the
    numbers of real and generated images, with "batch" they do. A single group, the baseline's or that of the
    data-dependent initialization, has no generated half: it is cut in the middle, for two halves.

    In evaluation an image's logits do not depend on other images of its batch, and it is compared with
    reference images of both halves. The running statistics of batch normalization belong to the weights of
    the last steps, and fit an EMA of weights over many steps (`optimizer.averaging_rate` below 1) badly.
    """

    pixel_range = (-1.0, 1.0)
    compares_halves = True
    most_references = 16
    """Number of images in each half of the authors' batches."""

    def __init__(
        self, settings: ImageNetSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        channels, *first_size = image_shape[0], *_smallest_size(image_shape)
        crosses = settings.normalization == "cross"
        layers: list[nn.Module] = [GaussianNoise(settings.input_noise)]
        for multiple, stride in _CONVOLUTIONS:
            width = multiple * settings.width
            padding = 1
            if stride == 2 and settings.padding == "tensorflow":
                # An even size needs a single row more.
                layers.append(nn.ZeroPad2d((0, 1, 0, 1)))
                padding = 0
            # Batch normalization takes a bias before it away again.
            convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=padding, bias=False)
            _init_truncated(convolution.weight)
            norm = CrossBatchNorm(width) if crosses else _with_gains(nn.BatchNorm2d(width))
            layers += [convolution, norm, nn.LeakyReLU(0.2)]
            channels = width
        features = settings.dense_multiple * settings.width
        inputs = channels * first_size[0] * first_size[1]
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            _initialized(nn.Linear(inputs, features, bias=False)),
            CrossBatchNorm(features) if crosses else _with_gains(nn.BatchNorm1d(features)),
            nn.LeakyReLU(0.2),
        )
        similarities = self.set_minibatch(
            MinibatchDiscrimination(
                features,
                settings.minibatch_kernels,
                settings.minibatch_kernel_size,
                compare="both_halves",
                projection=settings.minibatch_projection,
            )
            if settings.minibatch_kernels
            else None,
            image_shape,
        )
        # The last output is "generated".
        self.output = _initialized(nn.Linear(features + similarities, outputs + 1))

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        real = _halves(len(images), group_sizes)[0] if self.training else 0
        features = self._features(images, real)
        logits = self.output(self.with_similarities(features, images, group_sizes))
        # Subtracting a number from all logits does not change their softmax: this is the softmax over all
        # outputs, with the logit of "generated" fixed at 0.
        return DiscriminatorOutput(logits[:, :-1] - logits[:, -1:], features)

    def compared_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """Compute the features in evaluation, where images do not depend on each other."""
        return self._features(images, 0)

    def compared_groups(self, rows: int, group_sizes: Sequence[int] | None) -> list[int]:
        """Return the sizes of the two halves."""
        return _halves(rows, group_sizes)

    def reference_sets(
        self, images: Tensor, group_sizes: Sequence[int], running: int
    ) -> list[list[Tensor]]:
        """Return the images of the two halves, the real one group by group."""
        if len(group_sizes) == 1:
            return [[half] for half in images.split(_halves(len(images), group_sizes))]
        *real, generated = images.split([*group_sizes])
        return [real, [generated]]

    def _features(self, images: Tensor, real: int) -> Float[Tensor, "batch features"]:
        """Compute the features of images of which the first `real` are the real half."""
        features = images
        for layer in self.layers:
            features = (
                layer(features, real) if isinstance(layer, CrossBatchNorm) else layer(features)
            )
        return features


class ImageNetGenerator(Generator):
    """A dense layer, then 5x5 transposed convolutions that double the size five times, then tanh.

    At each of the six sizes: virtual batch normalization, ReLU, and maps of fresh noise concatenated to the
    maps; a last transposed convolution keeps the size. 128 px start from 4x4 maps as in the paper.

    The noise of all sizes is one latent vector, its first `settings.latent_size` numbers those of the dense
    layer: an image is a function of its latent, and so is the reference, drawn when the generator is built
    and part of `state_dict`. It goes through the network with every batch, in training and after.
    """

    pixel_range = (-1.0, 1.0)

    def __init__(self, settings: ImageNetSettings, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        levels = _Levels(settings, image_shape)
        self.latent_size = sum(levels.noise_sizes)
        self.images = ReferenceBatch(levels, self.latent(settings.reference_size, "cpu"))

    def latent(
        self, count: int, device: torch.device | str, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count latent"]:
        """The noise of all sizes for `count` images, uniform in [-1, 1)."""
        return super().latent(count, device, generator).mul_(2).sub_(1)

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        return self.images(latent)


class _Levels(nn.Module):
    """The generator's layers: latent [reference and batch, latent] to images of the batch."""

    def __init__(self, settings: ImageNetSettings, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        height, width = _smallest_size(image_shape)
        widths = [max(settings.generator_width // divisor, 1) for divisor in _GENERATOR_DIVISORS]
        self.noise_shapes = [
            (maps, height * 2**level, width * 2**level)
            for level, maps in enumerate(settings.noise_maps)
        ]
        self.noise_sizes = [
            settings.latent_size,
            *(maps * tall * wide for maps, tall, wide in self.noise_shapes),
        ]
        self.first_shape = (widths[0], height, width)
        # Normalization takes a bias before it away again.
        self.dense = _initialized(
            nn.Linear(settings.latent_size, widths[0] * height * width, bias=False)
        )
        # The reference's images are not needed: it is left out from the last normalization on.
        self.norms = nn.ModuleList(
            _with_gains(
                VirtualBatchNorm2d(
                    channels, settings.reference_size, keep_reference=level < len(widths) - 1
                )
            )
            for level, channels in enumerate(widths)
        )
        inputs = [
            channels + maps for channels, maps in zip(widths, settings.noise_maps, strict=True)
        ]
        # 2 n + 3 rows, of which TensorFlow leaves out the first and the last two.
        padding, added = (1, 0) if settings.padding == "tensorflow" else (2, 1)
        doublings = [
            _initialized(
                nn.ConvTranspose2d(
                    channels,
                    next_width,
                    5,
                    stride=2,
                    padding=padding,
                    output_padding=added,
                    bias=False,
                )
            )
            for channels, next_width in zip(inputs, widths[1:], strict=False)
        ]
        # The authors' start: darker than grey.
        output = _initialized(
            nn.ConvTranspose2d(inputs[-1], image_shape[0], 5, padding=2), stdev=0.075, bias=-0.45
        )
        self.convolutions = nn.ModuleList([*doublings, output])

    def forward(
        self, latent: Float[Tensor, "reference_and_batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        first, *noise = latent.split(self.noise_sizes, dim=1)
        maps = self.dense(first).unflatten(1, self.first_shape)
        for norm, convolution, fresh, shape in zip(
            self.norms, self.convolutions, noise, self.noise_shapes, strict=True
        ):
            maps = torch.relu(norm(maps))
            maps = torch.cat([maps, fresh[-maps.shape[0] :].unflatten(1, shape)], dim=1)
            # With TensorFlow's padding one row and one column are left to cut off.
            larger: Tensor = convolution(maps)
            height, width = (larger.shape[2] // 2 * 2, larger.shape[3] // 2 * 2)
            maps = larger[:, :, :height, :width]
        return torch.tanh(maps)


def _smallest_size(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the smallest maps."""
    _, height, width = image_shape
    if height % MULTIPLE_PX or width % MULTIPLE_PX:
        raise UserError(
            f"networks.kind imagenet: expected images whose sides are multiples of {MULTIPLE_PX} px, "
            f"got {height}x{width}; --data.size-px resizes them"
        )
    return height // MULTIPLE_PX, width // MULTIPLE_PX


def _halves(rows: int, group_sizes: Sequence[int] | None) -> list[int]:
    """Numbers of real and of generated rows on this rank; see `ImageNetDiscriminator`."""
    if group_sizes is None or len(group_sizes) == 1:
        halves, total_rows = rows_of_halves(rows), rows_in_all(rows)
        compared = [total_rows - total_rows // 2, total_rows // 2]
    else:
        halves = compared = [sum(group_sizes[:-1]), group_sizes[-1]]
    if min(compared) < 2:
        raise UserError(
            "networks.kind imagenet: expected halves of at least 2 images each to compare samples "
            f"with, got {compared[0]} and {compared[1]}; a larger --batch-size has more"
        )
    return halves


@torch.no_grad()
def _init_truncated(weight: Tensor) -> None:
    """Draw weights from a normal distribution, cut off at `_CUT` standard deviations."""
    # torch's own function draws until all weights fit, which cannot be traced without memory.
    probability = math.erf(_CUT / math.sqrt(2))
    weight.uniform_(-probability, probability).erfinv_().mul_(_STDEV * math.sqrt(2))


def _with_gains(layer: NormT) -> NormT:
    assert layer.weight is not None
    nn.init.normal_(layer.weight, mean=1.0, std=_STDEV)
    return layer


def _initialized(layer: LayerT, stdev: float = _STDEV, bias: float = 0.0) -> LayerT:
    nn.init.normal_(layer.weight, std=stdev)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer

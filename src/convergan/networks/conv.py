"""The convolutional networks of the paper's CIFAR-10 and SVHN experiments, for other sizes as well."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput, Generator
from convergan.networks.layers import BatchNormWithoutGain, ImageByImage
from convergan.networks.minibatch_similarity import ComparingDiscriminator
from convergan.networks.noise import GaussianNoise
from convergan.recipes.networks import ConvSettings
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.virtual_batch_norm import (
    ReferenceBatch,
    VirtualBatchNorm1d,
    VirtualBatchNorm2d,
)
from convergan.techniques.weight_norm import (
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
)

SMALLEST_SIZE_PX = 9
"""Smallest side of images: two halvings leave 3 px, which the unpadded 3x3 layer needs."""


class ConvDiscriminator(ComparingDiscriminator):
    """Nine weight-normalized layers with leaky ReLU .2, dropout between its blocks, a global mean.

    The gains of the hidden layers are set from data and then fixed; the output's is trained, its
    logits start with a standard deviation of .1. The features are the global means.
    """

    def __init__(
        self, settings: ConvSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        self.pixel_range = (-settings.pixel_limit, settings.pixel_limit)
        channels, height, width = image_shape
        if min(height, width) < SMALLEST_SIZE_PX:
            raise UserError(
                f"networks.kind conv: expected images of at least {SMALLEST_SIZE_PX} px, "
                f"got {height}x{width}; --data.size-px resizes them"
            )
        narrow, wide = settings.width, 2 * settings.width
        eps = settings.normalization_epsilon or 0.0

        def layer(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
            padding = size // 2
            conv = WeightNormConv2d(
                inputs, outputs, size, stride=stride, padding=padding, train_gain=False, eps=eps
            )
            return [conv, nn.LeakyReLU(0.2, inplace=True)]

        self.layers = ImageByImage(
            GaussianNoise(settings.input_noise),
            nn.Dropout(settings.input_dropout),
            *layer(channels, narrow, 3),
            *layer(narrow, narrow, 3),
            *layer(narrow, narrow, 3, stride=2),
            nn.Dropout(settings.hidden_dropout),
            *layer(narrow, wide, 3),
            *layer(wide, wide, 3),
            *layer(wide, wide, 3, stride=2),
            nn.Dropout(settings.hidden_dropout),
            WeightNormConv2d(wide, wide, 3, padding=0, train_gain=False, eps=eps),
            nn.LeakyReLU(0.2, inplace=True),
            *layer(wide, wide, 1),
            *layer(wide, wide, 1),
            # The maps of the first layers, which have the images' size, are the largest.
            most_channels=narrow,
        )
        similarities = self.set_minibatch(
            MinibatchDiscrimination(
                wide, settings.minibatch_kernels, settings.minibatch_kernel_size
            )
            if settings.minibatch_kernels
            else None,
            image_shape,
        )
        self.output = WeightNormLinear(wide + similarities, outputs, initial_stdev=0.1, eps=eps)
        # Adam's steps turn a direction the more, the shorter it is.
        nn.init.normal_(self.output.weight, std=0.05)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        features = self.compared_features(images)
        activations = self.with_similarities(features, images, group_sizes)
        return DiscriminatorOutput(self.output(activations), features)

    def compared_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """Compute the global means, by which images are compared."""
        features: Tensor = self.layers(images).mean(dim=(2, 3))
        return features


class ConvGenerator(Generator):
    """A dense layer, then transposed convolutions that each double the size, up to a tanh output.

    32 px start from 4x4 maps as in the paper. Other sizes start from maps whose shorter side has at most
    4 px and whose doublings reach them; what goes beyond is cropped evenly.
    """

    def __init__(self, settings: ConvSettings, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.pixel_range = (-settings.pixel_limit, settings.pixel_limit)
        self.image_shape = image_shape
        self.latent_size = settings.latent_size
        if settings.generator_normalization == "batch":
            self.sample_batch = settings.sample_batch
        channels, height, width = image_shape
        doublings = 1
        while min(height, width) > 4 * 2**doublings:
            doublings += 1
        self.first_size = (-(-height // 2**doublings), -(-width // 2**doublings))
        width_now = settings.generator_width
        self.first_width = width_now
        # Normalization takes a bias before it away again.
        first = nn.Linear(
            settings.latent_size, width_now * self.first_size[0] * self.first_size[1], bias=False
        )
        nn.init.normal_(first.weight, std=0.05)
        self.dense = first
        self.dense_norm = _normalization(settings, first.out_features, last=doublings == 1)
        layers: list[nn.Module] = []
        for number in range(1, doublings):
            narrower = max(width_now // 2, 1)
            layer = nn.ConvTranspose2d(
                width_now, narrower, 5, stride=2, padding=2, output_padding=1, bias=False
            )
            nn.init.normal_(layer.weight, std=0.05)
            norm = _normalization(settings, narrower, maps=True, last=number == doublings - 1)
            layers += [layer, norm, nn.ReLU()]
            width_now = narrower
        layers.append(
            WeightNormConvTranspose2d(
                width_now,
                channels,
                5,
                stride=2,
                padding=2,
                output_padding=1,
                initial_stdev=0.1,
                eps=settings.normalization_epsilon or 0.0,
            )
        )
        self.layers = nn.Sequential(*layers)

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "images channels height width"]:
        return self.made_of(latent, self._images)

    def _images(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "images channels height width"]:
        maps = torch.relu(self.dense_norm(self.dense(latent)))
        images = torch.tanh(self.layers(maps.unflatten(1, (self.first_width, *self.first_size))))
        _, height, width = self.image_shape
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        return images[:, :, top : top + height, left : left + width]


class VirtualConvGenerator(Generator):
    """`ConvGenerator` with virtual batch normalization in place of batch normalization (Section 3.5).

    The reference, latents that are drawn when the generator is built, is part of `state_dict`. It goes
    through the network with every batch, in training and after.
    """

    def __init__(self, settings: ConvSettings, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        network = ConvGenerator(settings, image_shape)
        self.pixel_range, self.latent_size = network.pixel_range, network.latent_size
        self.images = ReferenceBatch(network, network.latent(settings.reference_size, "cpu"))

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        return self.images(latent)


def _normalization(
    settings: ConvSettings, features: int, *, maps: bool = False, last: bool = False
) -> nn.Module:
    """A layer that normalizes before a ReLU, with a bias and no gain.

    The reference's images are not needed: it is left out from the last such layer on.
    """
    eps = settings.normalization_epsilon or 1e-5
    if settings.generator_normalization == "batch":
        return BatchNormWithoutGain(features, eps=eps, running=settings.sample_batch is None)
    kind = VirtualBatchNorm2d if maps else VirtualBatchNorm1d
    size = settings.reference_size
    return kind(features, size, eps=eps, gain=False, keep_reference=not last)

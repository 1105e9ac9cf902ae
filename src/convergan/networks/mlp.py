"""The permutation-invariant networks of the paper's MNIST experiments, for images of any size."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.networks.dense import NoisyDense
from convergan.networks.interface import DiscriminatorOutput, Generator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.minibatch_similarity import ComparingDiscriminator
from convergan.networks.noise import GaussianNoise
from convergan.recipes.networks import MLPSettings
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.weight_norm import WeightNormLinear


class MLPDiscriminator(ComparingDiscriminator):
    """Dense ReLU layers with Gaussian noise on the input and after each of them.

    The gains of the hidden layers are set from data and then fixed; the output's is trained. The
    features are the last hidden layer's, before its noise.
    """

    pixel_range = (0.0, 1.0)
    reference_noise: Tensor | None

    def __init__(
        self, settings: MLPSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        widths = [prod(image_shape), *settings.hidden]
        noises = [settings.input_noise] + [settings.hidden_noise] * (len(settings.hidden) - 1)
        self.hidden = nn.Sequential(
            *(
                NoisyDense(inputs, width, stdev=noise, relu=True, train_gain=False)
                for (inputs, width), noise in zip(pairwise(widths), noises, strict=True)
            )
        )
        similarities = self.set_minibatch(
            MinibatchDiscrimination(
                widths[-1], settings.minibatch_kernels, settings.minibatch_kernel_size
            )
            if settings.minibatch_kernels
            else None,
            image_shape,
        )
        self.minibatch_noise = GaussianNoise(settings.hidden_noise)
        # In training both samples of a pair have noise. In evaluation the reference has that of both.
        normal = np.random.default_rng(0).standard_normal((self.references, widths[-1]), np.float32)
        noise = torch.from_numpy(normal) * settings.hidden_noise * 2**0.5 if similarities else None
        self.register_buffer("reference_noise", noise, persistent=False)
        # With minibatch features the noise comes before them.
        stdev = 0.0 if similarities else settings.hidden_noise
        self.output = NoisyDense(
            widths[-1] + similarities, outputs, stdev=stdev, relu=False, train_gain=True
        )

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        features = self.compared_features(images)
        activations = features
        if self.minibatch is not None:
            noisy = self.minibatch_noise(features)
            activations = self.with_similarities(noisy, images, group_sizes)
        return DiscriminatorOutput(self.output(activations), features)

    def compared_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """Compute the features, to which in training `minibatch_noise` is added before they are compared."""
        features: Tensor = self.hidden(images.flatten(1))
        return features

    def features_of_references(self) -> Float[Tensor, "references features"]:
        """Compute the features of the references, with fixed noise: similarities are then as in training."""
        assert self.reference_noise is not None
        return super().features_of_references() + self.reference_noise


class MLPGenerator(Generator):
    """Dense softplus layers with batch normalization, and a weight-normalized sigmoid output."""

    pixel_range = (0.0, 1.0)
    data_dependent_initialization = False

    def __init__(self, settings: MLPSettings, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_size, self.sample_batch = settings.latent_size, settings.sample_batch
        eps = settings.normalization_epsilon
        widths = [settings.latent_size, *settings.generator_hidden]
        layers: list[nn.Module] = []
        for inputs, width in pairwise(widths):
            # Batch normalization takes the layer's own bias away again.
            layer = nn.Linear(inputs, width, bias=False)
            nn.init.xavier_uniform_(layer.weight)
            norm = BatchNormWithoutGain(width, eps=eps or 1e-5, running=self.sample_batch is None)
            layers += [layer, norm, nn.Softplus()]
        output = WeightNormLinear(widths[-1], prod(image_shape), eps=eps or 0.0)
        if settings.generator_output == "glorot":
            nn.init.xavier_uniform_(output.weight)
        self.layers = nn.Sequential(*layers, output)

    def forward(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        return self.made_of(latent, self._images)

    def _images(
        self, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width"]:
        return torch.sigmoid(self.layers(latent)).unflatten(1, self.image_shape)

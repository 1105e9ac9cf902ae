"""The authors' networks for MNIST."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from authors.game import Noise, Output, SemiSupervisedGame
from authors.layers import (
    batch_normed,
    similarity_initialized,
    softplus,
    standardized,
    weight_normed,
    with_similarities,
)

Weights = dict[str, Tensor]


class Mnist(SemiSupervisedGame):
    """Dense networks. The numbers of hidden layers and their widths are those of the weights.

    Args:
        discriminator: `theta0`, `theta1`, ..., the last one of the output; of minibatch discrimination, which
            stands between noise and output and is not in the authors' code for MNIST, `kernels`.
        generator: `W0`, ..., the last one of the output.
        normalization_epsilon, length_epsilon: both 1e-6 in the authors' code.
    """

    def __init__(
        self,
        discriminator: Mapping[str, Tensor],
        generator: Mapping[str, Tensor],
        *,
        normalization_epsilon: float = 1e-6,
        length_epsilon: float = 1e-6,
        **options: Any,
    ) -> None:
        self.epsilons = normalization_epsilon, length_epsilon
        self.thetas = [w.clone() for name, w in discriminator.items() if name != "kernels"]
        self.scales = [torch.ones(theta.shape[1]) for theta in self.thetas]
        self.biases = [torch.zeros(theta.shape[1]) for theta in self.thetas]
        self.kernels = discriminator["kernels"].clone() if "kernels" in discriminator else None
        if self.kernels is not None:
            self.log_scale = torch.zeros(self.kernels.shape[1:])
            self.similarity_bias = torch.full((self.kernels.shape[1],), -1.0)
        self.weights = [weight.clone() for weight in generator.values()]
        self.shifts = [torch.zeros(weight.shape[1]) for weight in self.weights]
        self.output_scale = torch.ones(self.weights[-1].shape[1])
        trained = [*self.thetas, *self.biases, self.scales[-1]]
        if self.kernels is not None:
            trained += [self.kernels, self.log_scale, self.similarity_bias]
        generator_weights = [*self.weights, *self.shifts, self.output_scale]
        for weight in (*trained, *generator_weights):
            weight.requires_grad_()
        super().__init__(trained, generator_weights, **options)

    def judged(self, images: Tensor, noise: Noise) -> Output:
        """Logits and features; `noise` is empty where there is none, as on test images."""
        noise = noise or [torch.zeros(())] * (len(self.thetas) + 1)
        x = images.flatten(1) + 0.3 * noise[0]
        last = len(self.thetas) - 1
        for number, theta in enumerate(self.thetas[:-1]):
            weight = weight_normed(theta, self.scales[number], (0,), 0.0)
            features = torch.clamp(x @ weight + self.biases[number], min=0)
            x = features + 0.5 * noise[number + 1]
        if self.kernels is not None:
            x = with_similarities(x, self.kernels, self.log_scale, self.similarity_bias)
        weight = weight_normed(self.thetas[last], self.scales[last], (0,), 0.0)
        return x @ weight + self.biases[last], features

    @torch.no_grad()
    def judged_by_average(self, images: Tensor) -> Tensor:
        """Logits by the running average of the weights."""
        weights = [weight.data for weight in self.adam.weights]
        for weight, value in zip(self.adam.weights, self.average.values, strict=True):
            weight.data = value
        logits = self.judged(images, [])[0]
        for weight, value in zip(self.adam.weights, weights, strict=True):
            weight.data = value
        return logits

    @torch.no_grad()
    def initialize(self, images: Tensor, noise: Noise, group_size: int | None = None) -> None:
        """Sets scales and biases from images; minibatch discrimination compares `group_size` or all."""
        x = images.flatten(1) + 0.3 * noise[0]
        last = len(self.thetas) - 1
        for number, theta in enumerate(self.thetas):
            if number == last and self.kernels is not None:
                x, log_scale, bias = similarity_initialized(
                    x, self.kernels, self.log_scale, group_size or len(x)
                )
                self.log_scale.copy_(log_scale)
                self.similarity_bias.copy_(bias)
            t, scale, bias = standardized(x @ weight_normed(theta, self.scales[number], (0,), 0.0))
            self.scales[number].copy_(scale)
            self.biases[number].copy_(bias)
            if number < last:
                x = torch.clamp(t, min=0) + 0.5 * noise[number + 1]

    def generated(self, latent: Tensor) -> Tensor:
        x = latent
        normalization, length = self.epsilons
        for weight, shift in zip(self.weights[:-1], self.shifts[:-1], strict=True):
            x = softplus(batch_normed(x @ weight, shift, normalization))
        weight = weight_normed(self.weights[-1], self.output_scale, (0,), length)
        return torch.sigmoid(x @ weight + self.shifts[-1])

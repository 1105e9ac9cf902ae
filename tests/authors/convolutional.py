"""The authors' networks for CIFAR-10 and SVHN, and the generator of Section 3.5 for the same."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from authors.game import Noise, Output, SemiSupervisedGame
from authors.layers import (
    batch_normed,
    convolved,
    deconvolved,
    leaky_relu,
    similarity_initialized,
    standardized,
    weight_normed,
    with_similarities,
)
from authors.virtual import virtually_normed

_STRIDES = (1, 1, 2, 1, 1, 2, 1, 1, 1)
_PADDINGS = (1, 1, 1, 1, 1, 1, 0, 0, 0)
_DROPOUT_BEFORE = {3: 0.5, 6: 0.5}


class Convolutional(SemiSupervisedGame):
    """The networks of both players, as wide as the weights that they are given.

    Args:
        discriminator: `W0` to `W8` of the convolutions, `theta` [features, classes] of the output, and of
            minibatch discrimination, if any, `kernels`.
        generator: `dense` [latent, maps], `W0`, `W1`, `W2` of the transposed convolutions.
        noise: standard deviation of the noise on the input; None: a fifth of the input is dropped instead.
        reference: latents of virtual batch normalization; None: batch normalization, as in the authors' code.
    """

    def __init__(
        self,
        discriminator: Mapping[str, Tensor],
        generator: Mapping[str, Tensor],
        *,
        noise: float | None = None,
        reference: Tensor | None = None,
        **options: Any,
    ) -> None:
        self.noise, self.reference = noise, reference
        self.convolutions = [discriminator[f"W{k}"].clone() for k in range(9)]
        self.scales = [torch.ones(len(weight)) for weight in self.convolutions]
        self.biases = [torch.zeros(len(weight)) for weight in self.convolutions]
        self.theta = discriminator["theta"].clone()
        self.output_scale, self.output_bias = (
            torch.ones(self.theta.shape[1]),
            torch.zeros(self.theta.shape[1]),
        )
        self.kernels = discriminator["kernels"].clone() if "kernels" in discriminator else None
        trained = [
            *self.convolutions,
            *self.biases,
            self.theta,
            self.output_scale,
            self.output_bias,
        ]
        if self.kernels is not None:
            self.log_scale = torch.zeros(self.kernels.shape[1:])
            self.similarity_bias = torch.full((self.kernels.shape[1],), -1.0)
            trained += [self.kernels, self.log_scale, self.similarity_bias]
        self.dense = generator["dense"].clone()
        self.deconvolutions = [generator[f"W{k}"].clone() for k in range(3)]
        self.dense_shift = torch.zeros(self.dense.shape[1])
        self.shifts = [torch.zeros(weight.shape[1]) for weight in self.deconvolutions]
        self.image_scale = torch.ones(self.deconvolutions[-1].shape[1])
        generator_weights = [
            *(self.dense, self.dense_shift),
            *(*self.deconvolutions, *self.shifts),
            self.image_scale,
        ]
        for weight in (*trained, *generator_weights):
            weight.requires_grad_()
        super().__init__(trained, generator_weights, **options)

    def _disturbed(self, images: Tensor, noise: list[Tensor]) -> Tensor:
        if self.noise is not None:
            return images + self.noise * noise.pop(0)
        return images * noise.pop(0) / 0.8

    def judged(self, images: Tensor, noise: Noise) -> Output:
        noises = list(noise)
        x = self._disturbed(images, noises)
        for number, weight in enumerate(self.convolutions):
            if number in _DROPOUT_BEFORE:
                x = x * noises.pop(0) / (1 - _DROPOUT_BEFORE[number])
            weight = weight_normed(weight, self.scales[number], (1, 2, 3), 1e-6)
            x = convolved(x, weight, _STRIDES[number], _PADDINGS[number])
            x = leaky_relu(x + self.biases[number][None, :, None, None])
        features = torch.mean(x, dim=(2, 3))
        x = features
        if self.kernels is not None:
            x = with_similarities(x, self.kernels, self.log_scale, self.similarity_bias)
        weight = weight_normed(self.theta, self.output_scale, (0,), 1e-6)
        return x @ weight + self.output_bias, features

    @torch.no_grad()
    def initialize(self, images: Tensor, latent: Tensor, noise: Noise) -> None:
        """Scales and biases from images and, of the generator's output, from latents."""
        noises = list(noise)
        x = self._disturbed(images, noises)
        for number, weight in enumerate(self.convolutions):
            if number in _DROPOUT_BEFORE:
                x = x * noises.pop(0) / (1 - _DROPOUT_BEFORE[number])
            weight = weight_normed(weight, self.scales[number], (1, 2, 3), 1e-6)
            t = convolved(x, weight, _STRIDES[number], _PADDINGS[number])
            x, scale, bias = standardized(t)
            x = leaky_relu(x)
            self.scales[number].copy_(scale)
            self.biases[number].copy_(bias)
        x = torch.mean(x, dim=(2, 3))
        if self.kernels is not None:
            x, log_scale, bias = similarity_initialized(x, self.kernels, self.log_scale, len(x))
            self.log_scale.copy_(log_scale)
            self.similarity_bias.copy_(bias)
        t = x @ weight_normed(self.theta, self.output_scale, (0,), 1e-6)
        _, scale, bias = standardized(t, 0.1)
        self.output_scale.copy_(scale)
        self.output_bias.copy_(bias)
        _, scale, bias = standardized(self._last_maps(latent), 0.1)
        self.image_scale.copy_(scale)
        self.shifts[-1].copy_(bias)

    def generated(self, latent: Tensor) -> Tensor:
        return torch.tanh(self._last_maps(latent) + self.shifts[-1][None, :, None, None])

    def _last_maps(self, latent: Tensor) -> Tensor:
        """The generator's output before the last bias and tanh."""
        reference = None if self.reference is None else self.reference @ self.dense
        x, reference = _normed(latent @ self.dense, reference, self.dense_shift)
        maps = (-1, self.deconvolutions[0].shape[0], 4, 4)
        x = torch.clamp(x, min=0).reshape(maps)
        if reference is not None:
            reference = torch.clamp(reference, min=0).reshape(maps)
        for number, side in ((0, 8), (1, 16)):
            weight, shift = self.deconvolutions[number], self.shifts[number]
            reference_maps = None if reference is None else deconvolved(reference, weight, side)
            x, reference = _normed(deconvolved(x, weight, side), reference_maps, shift)
            x = torch.clamp(x, min=0)
            reference = None if reference is None else torch.clamp(reference, min=0)
        weight = weight_normed(self.deconvolutions[2], self.image_scale, (0, 2, 3), 1e-6)
        return deconvolved(x, weight, 32)


def _normed(x: Tensor, reference: Tensor | None, shift: Tensor) -> tuple[Tensor, Tensor | None]:
    """The batch and the reference, if there is one, after normalization with a bias alone."""
    if reference is None:
        return batch_normed(x, shift), None
    return virtually_normed(x, reference, torch.ones_like(shift), shift, 1e-6)

"""Several networks of one architecture that compute together, each with its own weights and inputs.

A tensor of each network becomes a view of a stack [networks, ...]: a change of one is a change of the other.
So optimizers, EMA, checkpoints and tests still work with each network by itself.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convergan.networks.dense import NoisyDense, noisy_dense
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.mlp import MLPDiscriminator, MLPGenerator
from convergan.techniques.weight_norm import WeightNormLinear


class _Stack:
    """A tensor of a layer, stacked over all networks: `value` [networks, ...].

    Args:
        layers: the layer of each network.
        name: name of the parameter or buffer.
    """

    def __init__(self, layers: Sequence[nn.Module], name: str) -> None:
        self._tensors: list[Tensor] = [getattr(layer, name) for layer in layers]
        self.value = torch.stack([tensor.detach() for tensor in self._tensors])
        for tensor, part in zip(self._tensors, self.value, strict=True):
            tensor.data = part
        self.is_trained = self._tensors[0].requires_grad
        self.value.requires_grad_(self.is_trained)

    def hand_on_gradient(self) -> None:
        """Pass each network its part of the gradient."""
        gradient = self.value.grad
        for index, tensor in enumerate(self._tensors):
            tensor.grad = None if gradient is None else gradient[index]
        self.value.grad = None


class _Stacked:
    """Base of stacked networks."""

    def __init__(self) -> None:
        self._stacks: list[_Stack] = []

    def hand_on_gradients(self) -> None:
        """Move the gradients of the stacks to the weights of each network."""
        for stack in self._stacks:
            if stack.is_trained:
                stack.hand_on_gradient()

    def requires_grad(self, required: bool) -> None:
        """Set whether the trained weights require gradients."""
        for stack in self._stacks:
            if stack.is_trained:
                stack.value.requires_grad_(required)

    def _stack(self, layers: Sequence[nn.Module], name: str) -> Tensor:
        stack = _Stack(layers, name)
        self._stacks.append(stack)
        return stack.value


_Layer = Callable[[Tensor], Tensor]

Noises = list[Tensor | None]
"""Standard normal numbers for each layer of a discriminator; None where it adds no noise."""


def layers_of(network: MLPDiscriminator) -> list[NoisyDense]:
    """The layers of a discriminator without minibatch discrimination, in their order."""
    return [*network.hidden, network.output]


def draw_noises(network: MLPDiscriminator, images: int) -> Noises:
    """Draw the noise of all layers of a discriminator, in their order, for `images` images."""
    dtype = network.output.weight.dtype
    noises: Noises = []
    for layer in layers_of(network):
        noises.append(
            layer.noise.draw(layer.weight.new_empty(images, layer.weight.shape[1], dtype=dtype))
        )
        if torch.is_autocast_enabled(layer.weight.device.type):
            dtype = torch.get_autocast_dtype(layer.weight.device.type)
    return noises


class StackedDiscriminator(_Stacked):
    """Discriminators of one architecture, without minibatch discrimination."""

    def __init__(self, networks: Sequence[MLPDiscriminator]) -> None:
        super().__init__()
        self._layers = [
            (layers[0], *(self._stack(layers, name) for name in ("weight", "gain", "bias")))
            for layers in zip(*map(layers_of, networks), strict=True)
        ]

    def __call__(
        self, images: Float[Tensor, "networks batch pixels"], noises: Sequence[Noises]
    ) -> tuple[Float[Tensor, "networks batch classes"], Float[Tensor, "networks batch features"]]:
        """Compute logits and features.

        Args:
            images: inputs of each network.
            noises: results of `draw_noises` for each network.
        """
        x = features = images
        for (layer, weight, gain, bias), layer_noises in zip(
            self._layers, zip(*noises, strict=True), strict=True
        ):
            features = x
            numbers = [noise for noise in layer_noises if noise is not None]
            stack = torch.stack(numbers) if numbers else None
            x = noisy_dense(x, stack, layer.noise.stdev, weight, gain, bias, relu=layer.relu)
        return x, features


class _BatchNorms:
    """Batch normalization of each network by the statistics of its own batch, all in one."""

    def __init__(
        self, layers: Sequence[nn.Module], mean: Tensor, variance: Tensor, bias: Tensor
    ) -> None:
        self._layers: list[BatchNormWithoutGain] = [*layers]  # type: ignore[list-item]
        self._mean, self._variance, self._bias = mean, variance, bias
        self._unit_gain = torch.ones_like(bias, requires_grad=False).view(-1)

    def __call__(
        self, x: Float[Tensor, "networks batch features"]
    ) -> Float[Tensor, "networks batch features"]:
        networks, batch, features = x.shape
        for layer in self._layers:
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.add_(1)
        first = self._layers[0]
        assert first.momentum is not None
        # As channels of one batch.
        y = F.batch_norm(
            x.transpose(0, 1).reshape(batch, networks * features),
            self._mean.view(-1),
            self._variance.view(-1),
            weight=self._unit_gain,
            bias=self._bias.view(-1),
            training=True,
            momentum=first.momentum,
            eps=first.eps,
        )
        return y.view(batch, networks, features).transpose(0, 1)


class StackedGenerator(_Stacked):
    """Generators of one architecture, in training."""

    def __init__(self, networks: Sequence[MLPGenerator]) -> None:
        super().__init__()
        self._layers = [
            self._stacked(layers)
            for layers in zip(*(network.layers for network in networks), strict=True)
        ]

    def __call__(
        self, latents: Float[Tensor, "networks batch latent"]
    ) -> Float[Tensor, "networks batch pixels"]:
        """Generate images whose pixels lie in one row."""
        x = latents
        for layer in self._layers:
            x = layer(x)
        return torch.sigmoid(x)

    def _stacked(self, layers: Sequence[nn.Module]) -> _Layer:
        """The layer of all networks at once."""
        first = layers[0]
        if isinstance(first, BatchNormWithoutGain):
            names = ("running_mean", "running_var", "bias")
            return _BatchNorms(layers, *(self._stack(layers, name) for name in names))
        if isinstance(first, WeightNormLinear):
            weight, gain, bias = (self._stack(layers, name) for name in ("weight", "gain", "bias"))
            return lambda x: noisy_dense(x, None, 0.0, weight, gain, bias, relu=False)
        if isinstance(first, nn.Linear):
            matrix = self._stack(layers, "weight")
            return lambda x: torch.matmul(x, matrix.mT)
        return first

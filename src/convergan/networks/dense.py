"""The dense layer of the paper's MNIST discriminator, as one node of autograd's graph."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.networks.noise import GaussianNoise
from convergan.techniques.weight_norm import WeightNormLinear, under_transform, unit_norm


class NoisyDense(WeightNormLinear):
    """Gaussian noise on the input, a weight-normalized linear map, and a ReLU if wished.

        y = relu(g / || v || (v . (x + stdev * noise)) + b)

    The parameters are those of `WeightNormLinear`, and so are the gradients; but they take the fewest passes
    over memory. Second derivatives, as of a gradient penalty, and `torch.func` take plain operations.

    Args:
        in_features: features of the input.
        out_features: features of the output.
        stdev: the noise's standard deviation while training, 0 or more.
        relu: whether there is one.
        train_gain: as `WeightNormLinear`.
    """

    def __init__(
        self, in_features: int, out_features: int, *, stdev: float, relu: bool, train_gain: bool
    ) -> None:
        super().__init__(in_features, out_features, train_gain=train_gain)
        self.noise = GaussianNoise(stdev)
        self.relu = relu

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        if under_transform():
            y = super().forward(self.noise(x))
            return torch.relu(y) if self.relu else y
        assert self.bias is not None
        return noisy_dense(
            x,
            self.noise.draw(x),
            self.noise.stdev,
            self.weight,
            self.gain,
            self.bias,
            relu=self.relu,
        )

    @torch.no_grad()
    def initialize_from_data(
        self, x: Float[Tensor, "batch in_features"]
    ) -> Float[Tensor, "batch out_features"]:
        """Sets gain and bias as `WeightNormLinear` does, from noisy inputs; the outputs."""
        y = super().initialize_from_data(self.noise(x))
        return torch.relu(y) if self.relu else y


def noisy_dense(
    x: Float[Tensor, "*networks batch in_features"],
    noise: Float[Tensor, "*networks batch in_features"] | None,
    stdev: float,
    weight: Float[Tensor, "*networks out_features in_features"],
    gain: Float[Tensor, "*networks out_features"],
    bias: Float[Tensor, "*networks out_features"],
    *,
    relu: bool,
) -> Float[Tensor, "*networks batch out_features"]:
    """What `NoisyDense` computes, of one network or of several at once, each with its own inputs and weights.

    Of several there are no second derivatives.

    Args:
        x: the inputs.
        noise: standard normal numbers; None: no noise is added.
        stdev: what they are multiplied by.
        weight, gain, bias: of the layer.
        relu: whether there is one.
    """
    y: Tensor = _NoisyDense.apply(x, noise, stdev, weight, gain, bias, relu)
    return y


class _NoisyDense(torch.autograd.Function):
    # With a separate `setup_context`, torch would inspect the signature at every call.
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        noise: Tensor | None,
        stdev: float,
        weight: Tensor,
        gain: Tensor,
        bias: Tensor,
        relu: bool,
    ) -> Tensor:
        # Autograd differentiates what this file says, so autocast's part is done by hand as well.
        dtype = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        clean = x
        if noise is not None:
            x = torch.add(x, noise, alpha=stdev, out=torch.empty_like(x, dtype=dtype))
        else:
            x = x.to(dtype)
        norm = torch.threshold_(torch.linalg.vector_norm(weight, dim=-1), 0, 1)
        scale = gain / norm
        projected = torch.matmul(x, weight.to(dtype).mT)
        y = torch.addcmul(bias.to(dtype).unsqueeze(-2), projected, scale.to(dtype).unsqueeze(-2))
        if relu:
            y.relu_()
        ctx.relu = relu
        ctx.save_for_backward(
            x, weight, projected, norm, scale, y if relu else None, clean, gain, bias
        )
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return _differentiable_backward(ctx, gradient)
        x, weight, projected, norm, scale, y = ctx.saved_tensors[:6]
        needs_x, _, _, needs_weight, needs_gain, needs_bias, _ = ctx.needs_input_grad
        of_x = of_weight = of_gain = of_bias = None
        if y is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        if needs_bias:
            of_bias = gradient.sum(-2, dtype=scale.dtype)
        if needs_weight or needs_gain:
            of_scale = torch.mul(gradient, projected).sum(-2, dtype=scale.dtype)
        if needs_gain:
            of_gain = of_scale / norm
        if needs_x or needs_weight:
            gradient = gradient * scale.to(gradient.dtype).unsqueeze(-2)
        if needs_weight:
            # v enters by v . x and by || v ||; the latter's share is a multiple of v.
            of_weight = torch.matmul(gradient.mT, x).to(weight.dtype)
            share = -(of_scale * scale).div_(norm.square())
            of_weight.addcmul_(weight, share.unsqueeze(-1))
        if needs_x:
            of_x = torch.matmul(gradient, weight.to(gradient.dtype))
        return of_x, None, None, of_weight, of_gain, of_bias, None


def _differentiable_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of `_NoisyDense` as functions of its inputs, through the plain operations once more."""
    noisy, weight, *_, clean, gain, bias = ctx.saved_tensors
    # What was multiplied, as a function of the layer's input.
    x = noisy.detach() + (clean - clean.detach())
    scale = gain / unit_norm(weight, [1]).flatten()
    projected = torch.mm(x.to(noisy.dtype), weight.to(noisy.dtype).t())
    y = torch.addcmul(bias.to(noisy.dtype), projected, scale.to(noisy.dtype))
    if ctx.relu:
        y = torch.relu(y)
    inputs = (clean, None, None, weight, gain, bias, None)
    needed = [tensor for tensor, needs in zip(inputs, ctx.needs_input_grad, strict=True) if needs]
    gradients = iter(torch.autograd.grad(y, needed, gradient, create_graph=True))
    return tuple(next(gradients) if needs else None for needs in ctx.needs_input_grad)

"""The dense layer of the paper's MNIST discriminator, as one node of autograd's graph."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.networks.noise import GaussianNoise
from convergan.techniques.weight_norm import WeightNormLinear, under_transform, unit_norm


class NoisyDense(WeightNormLinear):
    """Gaussian noise on the input, a weight-normalized linear map, and an optional ReLU.

        y = relu(g / || v || (v . (x + stdev * noise)) + b)

    The parameters are those of `WeightNormLinear`, and so are the gradients; but they take the fewest passes
    over memory. Second derivatives, as of a gradient penalty, and `torch.func` take plain operations.

    Args:
        in_features: features of the input.
        out_features: features of the output.
        stdev: the noise's standard deviation while training, 0 or more.
        relu: apply a ReLU.
        train_gain: as in `WeightNormLinear`.
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
        """Set gain and bias as `WeightNormLinear` does, from noisy inputs, and return the outputs."""
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
    """Compute `NoisyDense` for one network or for several at once, each with its own inputs and weights.

    Several networks at once have no second derivatives.

    Args:
        x: the inputs.
        noise: standard normal numbers; None: no noise is added.
        stdev: the noise's standard deviation, by which the numbers are multiplied.
        weight, gain, bias: the layer's parameters.
        relu: apply a ReLU.
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
        # The gradients are hand-written, so autocast's conversions are, too.
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
        grad_x = grad_weight = grad_gain = grad_bias = None
        if y is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        if needs_bias:
            grad_bias = gradient.sum(-2, dtype=scale.dtype)
        if needs_weight or needs_gain:
            grad_scale = torch.mul(gradient, projected).sum(-2, dtype=scale.dtype)
        if needs_gain:
            grad_gain = grad_scale / norm
        if needs_x or needs_weight:
            gradient = gradient * scale.to(gradient.dtype).unsqueeze(-2)
        if needs_weight:
            # v enters by v . x and by || v ||; the latter's share is a multiple of v.
            grad_weight = torch.matmul(gradient.mT, x).to(weight.dtype)
            share = -(grad_scale * scale).div_(norm.square())
            grad_weight.addcmul_(weight, share.unsqueeze(-1))
        if needs_x:
            grad_x = torch.matmul(gradient, weight.to(gradient.dtype))
        return grad_x, None, None, grad_weight, grad_gain, grad_bias, None


def _differentiable_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of `_NoisyDense` as functions of its inputs, through the plain operations once more."""
    noisy, weight, *_, clean, gain, bias = ctx.saved_tensors
    # The noisy input, as a function of the layer's input.
    x = noisy.detach() + (clean - clean.detach())
    scale = gain / unit_norm(weight, [1]).flatten()
    projected = torch.mm(x.to(noisy.dtype), weight.to(noisy.dtype).t())
    y = torch.addcmul(bias.to(noisy.dtype), projected, scale.to(noisy.dtype))
    if ctx.relu:
        y = torch.relu(y)
    inputs = (clean, None, None, weight, gain, bias, None)
    differentiated = [
        tensor for tensor, needs in zip(inputs, ctx.needs_input_grad, strict=True) if needs
    ]
    gradients = iter(torch.autograd.grad(y, differentiated, gradient, create_graph=True))
    return tuple(next(gradients) if needs else None for needs in ctx.needs_input_grad)

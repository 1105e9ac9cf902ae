"""Weight normalization with data-dependent initialization, as the paper's networks use it.

Salimans & Kingma (2016, arXiv 1602.07868): each output unit k has a direction v_k and a gain g_k,

    y_k = (g_k / || v_k ||) (v_k . x) + b_k

The norm is one number per output unit, so the factor g / || v || can be applied to the outputs or to
the weight: to whichever is smaller. A dense layer has fewer outputs on a minibatch of 100 than
weights; a convolution has far fewer weights than outputs.

A direction of length 0 counts as one of length 1: its unit outputs its bias, and can be trained. With `eps`
the length is sqrt(|| v ||^2 + eps), as in the authors' convolutional networks, with 1e-6.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

Size2d = int | tuple[int, int]

# Neither is public; without them the plain operations run, which work everywhere.
_transforms_active: Callable[[], bool] = getattr(
    torch._C, "_are_functorch_transforms_active", lambda: True
)


def under_transform() -> bool:
    """True within a transform of `torch.func` or forward-mode differentiation, which hand-written backwards
    do not support.
    """
    return _transforms_active() or getattr(forward_ad, "_current_level", 0) >= 0


class _WeightNorm(nn.Module):
    """Base of the layers, which differ in the shape of the weight and in `_project`."""

    gain: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        *,
        unit_axis: int,
        bias: bool,
        train_gain: bool,
        initial_stdev: float,
        eps: float,
    ) -> None:
        super().__init__()
        if weight.numel() == 0:
            raise ValueError(f"sizes must be at least 1, got a weight of {tuple(weight.shape)}")
        if not initial_stdev > 0:
            raise ValueError(f"initial_stdev must be > 0, got {initial_stdev}")
        if not eps >= 0:
            raise ValueError(f"eps must be >= 0, got {eps}")
        self.initial_stdev, self.eps = initial_stdev, eps
        units = weight.shape[unit_axis]
        self._input_axes = [axis for axis in range(weight.ndim) if axis != unit_axis]
        self._unit_shape = (units,) + (1,) * (weight.ndim - 2)
        self._weight_shape = [units if axis == unit_axis else 1 for axis in range(weight.ndim)]
        self.weight = nn.Parameter(nn.init.normal_(weight, std=0.1 if weight.ndim == 2 else 0.05))
        if train_gain:
            self.gain = nn.Parameter(torch.ones(units))
        else:
            self.register_buffer("gain", torch.ones(units))
        self.register_parameter("bias", nn.Parameter(torch.zeros(units)) if bias else None)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Compute (g / || v ||) (v . x) + b."""
        scale = self.gain / self._norm()
        return self._project(x, self.weight * scale.view(self._weight_shape), self.bias)

    @torch.no_grad()
    def initialize_from_data(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Set gain and bias so that the outputs for `x` have mean 0 and standard deviation
        `initial_stdev` per unit, over batch and space, and return these outputs.

            t_k = (v_k . x) / || v_k ||,   g_k = initial_stdev / std(t_k),   b_k = -g_k mean(t_k)

        std is biased, and taken in at least float32. Without a bias only the gain is set. A unit that
        is constant to within rounding keeps its gain, so that nothing becomes infinite; its bias
        still centres it. Where `torch.distributed` is initialized, mean and std are over the samples
        of all ranks of the default group, and all must call.

        Raises:
            ValueError: `x` is a single sample without a batch axis, or `x` or the weights are not
                finite. The layer is then as it was.
        """
        t = self._project(x, self.weight, None) / self._norm().view(self._unit_shape)
        dtype = t.dtype
        t = t.to(torch.promote_types(dtype, torch.float32))
        unit_axis = t.ndim - len(self._unit_shape)
        axes = [axis for axis in range(t.ndim) if axis != unit_axis]
        if not axes:
            raise ValueError(f"x must be a batch, got one sample of shape {tuple(x.shape)}")
        local_variance, local_mean = torch.var_mean(t, dim=axes, correction=0)
        mean = _mean_over_ranks(local_mean, t)
        variance = _mean_over_ranks(local_variance + (local_mean - mean).square(), t)
        finite = torch.isfinite(variance)
        if not bool(finite.all()):
            raise ValueError(
                "x and the weights must be finite to initialize from, got outputs that are not in"
                f" {int((~finite).sum())} of {len(finite)} units"
            )
        stdev = variance.sqrt()
        alive = stdev > 16 * torch.finfo(dtype).eps * _mean_over_ranks(t.abs().mean(), t)
        self.gain.copy_(torch.where(alive, self.initial_stdev / stdev, self.gain))
        if self.bias is not None:
            self.bias.copy_(-self.gain * mean)
        outputs = t * self.gain.view(self._unit_shape)
        if self.bias is not None:
            outputs = outputs + self.bias.view(self._unit_shape)
        return outputs.to(dtype)

    def _norm(self) -> Float[Tensor, "units"]:
        return unit_norm(self.weight, self._input_axes, self.eps).flatten()

    def _project(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"weight={tuple(self.weight.shape)}, bias={self.bias is not None},"
            f" train_gain={isinstance(self.gain, nn.Parameter)},"
            f" initial_stdev={self.initial_stdev}, eps={self.eps:g}"
        )


class WeightNormLinear(_WeightNorm):
    """A weight-normalized `nn.Linear`: [..., in_features] -> [..., out_features].

    Parameters: `weight`, v [out_features, in_features], initialized Normal(0, .1); `gain`, g
    [out_features], 1; `bias`, b [out_features], 0.

    Args:
        in_features: features of the input, at least 1.
        out_features: features of the output, at least 1.
        bias: learn a bias.
        train_gain: train the gain; otherwise it is a buffer: set by
            `initialize_from_data`, saved in `state_dict`, and constant.
        initial_stdev: standard deviation of the outputs after `initialize_from_data`, > 0.
        eps: number added to || v ||^2, >= 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        train_gain: bool = True,
        initial_stdev: float = 1.0,
        eps: float = 0.0,
    ) -> None:
        super().__init__(
            torch.empty(out_features, in_features),
            unit_axis=0,
            bias=bias,
            train_gain=train_gain,
            initial_stdev=initial_stdev,
            eps=eps,
        )

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Compute (g / || v ||) (v . x) + b, the factor applied to the outputs."""
        projected = F.linear(x, self.weight)
        # In the outputs' precision, so that under autocast they stay in it.
        scale = (self.gain / self._norm()).to(projected.dtype)
        if self.bias is None:
            return projected * scale
        return torch.addcmul(self.bias.to(projected.dtype), projected, scale)

    def _project(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)


class WeightNormConv2d(_WeightNorm):
    """A weight-normalized `nn.Conv2d`: [batch, in_channels, height, width] -> [batch, out_channels,
    ...].

    Parameters: `weight`, v [out_channels, in_channels / groups, *kernel_size], initialized Normal(0, .05);
    `gain`, g [out_channels], 1; `bias`, b [out_channels], 0.

    Args:
        in_channels: channels of the input, at least 1.
        out_channels: channels of the output, at least 1.
        kernel_size: size in pixels, one number or (height, width).
        stride: step in pixels, likewise.
        padding: zeros added on each side, likewise.
        dilation: pixels from one weight to the next, likewise.
        groups: number of groups of channels that are convolved separately; divides both channel counts.
        bias, train_gain, initial_stdev, eps: as in `WeightNormLinear`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2d,
        *,
        stride: Size2d = 1,
        padding: Size2d = 0,
        dilation: Size2d = 1,
        groups: int = 1,
        bias: bool = True,
        train_gain: bool = True,
        initial_stdev: float = 1.0,
        eps: float = 0.0,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide in_channels, {in_channels}, and out_channels, {out_channels},"
                f" got {groups}"
            )
        super().__init__(
            torch.empty(out_channels, in_channels // groups, *_pair(kernel_size)),
            unit_axis=0,
            bias=bias,
            train_gain=train_gain,
            initial_stdev=initial_stdev,
            eps=eps,
        )
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups

    def _project(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(
            x, weight, bias, self.stride, self.padding, dilation=self.dilation, groups=self.groups
        )


class WeightNormConvTranspose2d(_WeightNorm):
    """A weight-normalized `nn.ConvTranspose2d`: [batch, in_channels, height, width] -> [batch,
    out_channels, ...].

    Parameters: `weight`, v [in_channels, out_channels, *kernel_size], initialized Normal(0, .05);
    `gain`, g [out_channels], 1; `bias`, b [out_channels], 0. The norm is per *output* channel.

    Args:
        in_channels: channels of the input, at least 1.
        out_channels: channels of the output, at least 1.
        kernel_size: size in pixels, one number or (height, width).
        stride: step in pixels, likewise.
        padding: likewise, as `nn.ConvTranspose2d` understands it.
        output_padding: likewise, as `nn.ConvTranspose2d` understands it.
        bias, train_gain, initial_stdev, eps: as in `WeightNormLinear`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2d,
        *,
        stride: Size2d = 1,
        padding: Size2d = 0,
        output_padding: Size2d = 0,
        bias: bool = True,
        train_gain: bool = True,
        initial_stdev: float = 1.0,
        eps: float = 0.0,
    ) -> None:
        super().__init__(
            torch.empty(in_channels, out_channels, *_pair(kernel_size)),
            unit_axis=1,
            bias=bias,
            train_gain=train_gain,
            initial_stdev=initial_stdev,
            eps=eps,
        )
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.output_padding = _pair(output_padding)

    def _project(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv_transpose2d(
            x,
            weight,
            bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
        )


@torch.no_grad()
def initialize_from_data(network: nn.Module, *inputs: object, **keywords: object) -> object:
    """Initialize all layers of a network from data, in one forward pass, and return its output.

    Every layer that has a method `initialize_from_data(*args) -> output` runs it in place of `forward` when
    the pass reaches it. So each layer sees the outputs of layers that are initialized already.

    Call it once before training, before `torch.compile`, on some hundred samples (the authors take
    500), in the mode in which the network will train. If a layer raises, layers before it stay
    initialized; in any case every `forward` is restored.

    Under data parallelism, that is where `torch.distributed` is initialized, call it on every rank,
    each with as many samples of its own as you like: the statistics are over those of all ranks, and
    every rank ends with the same gains and biases. Called on one rank alone it waits for the others.

    Args:
        network: holds the layers, such as those of this file.
        inputs: passed to the network.
        keywords: passed to the network.

    Raises:
        ValueError: `network` holds no layer with the method, or a layer cannot be initialized from
            its inputs, such as from data that is not finite.
    """
    layers = [layer for layer in network.modules() if hasattr(layer, "initialize_from_data")]
    if not layers:
        raise ValueError(
            "network must hold a layer with a method initialize_from_data, such as"
            f" WeightNormLinear, got a {type(network).__name__} without any"
        )
    previous = [vars(layer).get("forward") for layer in layers]
    try:
        for layer in layers:
            # An attribute of the instance hides the method of its class.
            vars(layer)["forward"] = layer.initialize_from_data
        return network(*inputs, **keywords)
    finally:
        for layer, forward in zip(layers, previous, strict=True):
            if forward is None:
                del vars(layer)["forward"]
            else:
                vars(layer)["forward"] = forward


def unit_norm(
    weight: Float[Tensor, "..."], axes: list[int], eps: float = 0.0
) -> Float[Tensor, "..."]:
    """sqrt(|| v ||^2 + eps) over the axes of each unit's inputs, kept with size 1; 1 where it is 0."""
    if not under_transform():
        return _UnitNorm.apply(weight, axes, eps)
    if eps:
        return (weight.square().sum(dim=axes, keepdim=True) + eps).sqrt()
    is_zero = torch.linalg.vector_norm(weight.detach(), dim=axes, keepdim=True) == 0
    # Behind a `where` alone, the gradient of a norm of 0 would still become NaN.
    safe = torch.where(is_zero, 1.0, weight)
    return torch.where(is_zero, 1.0, torch.linalg.vector_norm(safe, dim=axes, keepdim=True))


class _UnitNorm(torch.autograd.Function):
    """Computes `unit_norm` with a gradient that takes one pass over the weight.

    The gradient of `torch.linalg.vector_norm` takes four, which guard against a norm of 0. With a separate
    `setup_context`, torch would inspect the signature at every call: a tenth of a small network's step.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, axes: list[int], eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        if eps:
            norm.square_().add_(eps).sqrt_()
        torch.threshold_(norm, 0, 1)
        ctx.save_for_backward(weight, norm)
        return norm

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weight, norm = ctx.saved_tensors
        return weight * (gradient / norm), None, None


def _mean_over_ranks(
    local: Float[Tensor, "..."], samples: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """The mean over the samples of all ranks, from the mean `local` over those of this rank."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return local
    ranks = torch.distributed.get_world_size()
    count = torch.tensor(samples.numel(), dtype=torch.float64, device=local.device)
    total = count.clone()
    torch.distributed.all_reduce(total)
    # The share is exactly 1 where all have equally many: equal means then keep their digits.
    mean = local * (count * ranks / total).to(local.dtype)
    torch.distributed.all_reduce(mean)
    return mean / ranks


def _pair(size: Size2d) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)

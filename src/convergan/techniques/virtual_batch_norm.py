"""Virtual batch normalization: each sample is normalized by a fixed reference batch and itself
(Section 3.5).

Batch normalization makes a sample's output depend on the others of its minibatch. Here it depends
on the sample and on a reference batch, chosen once at the start of training. The reference passes
through the same network in the same forward pass, because its activations change with the weights.

Per channel, with mean m_r and variance v_r of the n reference samples and mean m_i and variance v_i
of sample i (over space; a plain feature has m_i = x_i, v_i = 0):

    reference:  mean = m_r,  variance = v_r
    sample i:   w = 1 / (n + 1)
                mean     = (1 - w) m_r + w m_i
                variance = (1 - w) v_r + w v_i + w (1 - w) (m_i - m_r)^2
    y = gain (x - mean) / sqrt(variance + eps) + bias

which is batch normalization over {reference, sample i}, and equals the authors' mixture of means
and mean squares, but does not cancel when the mean is large. Variances are biased (divided by n).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class _VirtualBatchNorm(nn.Module):
    gain: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_features: int,
        reference_size: int,
        *,
        eps: float = 1e-5,
        gain: bool = True,
        bias: bool = True,
        keep_reference: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, got {num_features}")
        if reference_size < 2:
            raise ValueError(f"reference_size must be at least 2, got {reference_size}")
        if not eps >= 0:
            raise ValueError(f"eps must be >= 0, got {eps}")
        self.num_features = num_features
        self.reference_size = reference_size
        self.eps = eps
        self.keep_reference = keep_reference
        self.register_parameter("gain", nn.Parameter(torch.ones(num_features)) if gain else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(num_features)) if bias else None)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, reference_size={self.reference_size}, eps={self.eps},"
            f" gain={self.gain is not None}, bias={self.bias is not None},"
            f" keep_reference={self.keep_reference}"
        )

    def _check(self, joint: Tensor) -> None:
        if joint.shape[0] <= self.reference_size:
            raise ValueError(
                f"joint must have more rows than the reference's {self.reference_size}: the"
                f" reference, then at least one sample, got {joint.shape[0]}"
            )
        if joint.shape[1] != self.num_features:
            raise ValueError(f"joint must have {self.num_features} channels, got {joint.shape[1]}")


class VirtualBatchNorm1d(_VirtualBatchNorm):
    """Virtual batch normalization of features [reference + batch, num_features].

    The first `reference_size` rows are the reference, which `ReferenceBatch` puts there. Trains and
    evaluates alike, and keeps no running statistics.

    Args:
        num_features: number of features.
        reference_size: n, number of reference rows, at least 2.
        eps: added to the variance, >= 0.
        gain: learn a gain per feature, initialized 1.
        bias: learn a bias per feature, initialized 0.
        keep_reference: return the reference's rows too. False in a network's last such layer: the layers
            after it then do no work for the reference.

    Raises:
        ValueError: an argument is out of its range; in `forward`, when there is no row beyond the
            reference, or the number of features differs.
    """

    def forward(
        self, joint: Float[Tensor, "reference_and_batch num_features"]
    ) -> Float[Tensor, "rows num_features"]:
        """Normalize all rows: the reference by itself, each other by the reference and itself."""
        if joint.ndim != 2:
            raise ValueError(f"joint must be [rows, features], got shape {tuple(joint.shape)}")
        self._check(joint)
        x = _in_single_precision(joint)
        n = self.reference_size
        shift = x - x[:n].mean(0)
        reference, batch = shift.split([n, len(x) - n])
        reference_variance = reference.square().mean(0)
        # With v_i = 0 a sample's y = (1 - w) shift / sqrt((1 - w) v_r + w (1 - w) shift^2 + eps);
        # here (1 - w) is taken out of the fraction.
        share = n / (n + 1)
        of_reference = (reference_variance + self.eps / share) / share
        y = batch * torch.rsqrt(torch.addcmul(of_reference, batch, batch, value=1 / n))
        if self.keep_reference:
            y = torch.cat([reference * torch.rsqrt(reference_variance + self.eps), y])
        if self.gain is not None:
            y = y * self.gain
        if self.bias is not None:
            y = y + self.bias
        return y.to(joint.dtype)


class VirtualBatchNorm2d(_VirtualBatchNorm):
    """Virtual batch normalization of images [reference + batch, num_features, height, width].

    As `VirtualBatchNorm1d`, with each channel's statistics taken over space as well.

    Args:
        num_features: number of channels.
        reference_size: n, number of reference rows, at least 2.
        eps: added to the variance, >= 0.
        gain: learn a gain per channel, initialized 1.
        bias: learn a bias per channel, initialized 0.
        keep_reference: return the reference's rows too. False in a network's last such layer: the layers
            after it then do no work for the reference.

    Raises:
        ValueError: an argument is out of its range; in `forward`, when there is no row beyond the
            reference, or the number of channels differs.
    """

    def forward(
        self, joint: Float[Tensor, "reference_and_batch num_features height width"]
    ) -> Float[Tensor, "rows num_features height width"]:
        """Normalize all rows: the reference by itself, each other by the reference and itself."""
        if joint.ndim != 4:
            raise ValueError(
                f"joint must be [rows, channels, height, width], got shape {tuple(joint.shape)}"
            )
        self._check(joint)
        n = self.reference_size
        centred, means, variances = _Centred.apply(_in_single_precision(joint).flatten(2))
        reference_mean = means[:n].mean(0)
        shift = means - reference_mean
        reference_variance = (variances[:n] + shift[:n].square()).mean(0)
        # No weight of its own for a sample of the reference, which is in its mean already.
        weight = centred.new_full((len(joint), 1, 1), 1 / (n + 1))
        weight[:n] = 0
        mean_shift = (1 - weight) * shift
        variance = (1 - weight) * reference_variance + weight * (variances + mean_shift * shift)
        if not self.keep_reference:
            centred, mean_shift, variance = centred[n:], mean_shift[n:], variance[n:]
        scale = torch.rsqrt(variance + self.eps)
        if self.gain is not None:
            scale = scale * self.gain.unsqueeze(1)
        offset = mean_shift * scale
        if self.bias is not None:
            offset = offset + self.bias.unsqueeze(1)
        y = (centred * scale).add_(offset)
        return y.view(-1, *joint.shape[1:]).to(joint.dtype)


class _Centred(torch.autograd.Function):
    """Samples [rows, channels, space] less their means, these means, and their biased variances.

    Autograd's own would pass over the samples twice as often; `torch.var_mean` is many times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        means = x.mean(2, keepdim=True)
        centred = x - means
        norms = torch.linalg.vector_norm(centred, dim=2, keepdim=True)
        ctx.save_for_backward(centred)
        return centred, means, norms.square() / x.shape[2]

    @staticmethod
    def backward(ctx: Any, of_centred: Tensor, of_means: Tensor, of_variances: Tensor) -> Tensor:
        (centred,) = ctx.saved_tensors
        space = centred.shape[2]
        constant = of_means / space - of_centred.mean(2, keepdim=True)
        return (centred * (of_variances * (2 / space))).add_(of_centred).add_(constant)


def _in_single_precision(x: Tensor) -> Tensor:
    """Statistics of half precision are taken in single precision, as batch normalization does."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ReferenceBatch(nn.Module):
    """A network with virtual batch normalization, and the reference batch that it needs.

        generator = ReferenceBatch(network, reference_noise)
        images = generator(noise)        # network(cat([reference, noise]))[n:], in one pass

    The reference is a buffer: it moves with the module and is in `state_dict`, so that a restored
    network computes the same. Gradients flow through the reference's pass too, as the authors do.
    `keep_reference=False` in the network's last normalization layer spares the layers after it the
    reference.

    Args:
        network: takes and returns one tensor, row for row; holds the normalization layers, in the
            order in which they are run.
        reference: n inputs of the network, chosen once.

    Raises:
        ValueError: a normalization layer of `network` was made for another number of reference
            rows, or one before the last leaves the reference out; in `forward`, when `batch` has
            other dimensions than the reference, or the network does not return a row for each of
            its inputs.
        TypeError: in `forward`, when the network does not return a tensor.
    """

    reference: Tensor

    def __init__(self, network: nn.Module, reference: Float[Tensor, "reference ..."]) -> None:
        super().__init__()
        self._keeps_reference = True
        for name, layer in network.named_modules():
            if not isinstance(layer, _VirtualBatchNorm):
                continue
            if layer.reference_size != len(reference):
                raise ValueError(
                    f"reference must have the {layer.reference_size} rows that layer {name!r} of"
                    f" the network was made for, got {len(reference)}"
                )
            if not self._keeps_reference:
                raise ValueError(
                    f"keep_reference must be True in all such layers before the last, {name!r} here"
                )
            self._keeps_reference = layer.keep_reference
        self.network = network
        self.register_buffer("reference", reference.detach().clone())

    def forward(self, batch: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The network's output for `batch` alone."""
        if batch.shape[1:] != self.reference.shape[1:]:
            raise ValueError(
                f"batch must be [batch, {', '.join(map(str, self.reference.shape[1:]))}] like the"
                f" reference, got shape {tuple(batch.shape)}"
            )
        joint = torch.cat([self.reference, batch])
        output = self.network(joint)
        if not isinstance(output, Tensor):
            raise TypeError(f"network must return a tensor, got {type(output).__name__}")
        rows = len(joint) if self._keeps_reference else len(batch)
        if len(output) != rows:
            inputs = "inputs" if self._keeps_reference else "samples beside the reference"
            raise ValueError(
                f"network must return a row for each of its {rows} {inputs}, got {len(output)}"
            )
        return output[rows - len(batch) :]

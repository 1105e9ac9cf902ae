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
        self.register_parameter("gain", nn.Parameter(torch.ones(num_features)) if gain else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(num_features)) if bias else None)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, reference_size={self.reference_size}, eps={self.eps},"
            f" gain={self.gain is not None}, bias={self.bias is not None}"
        )

    def _normalize(self, joint: Float[Tensor, "rows channels space"]) -> Tensor:
        if joint.shape[0] <= self.reference_size:
            raise ValueError(
                f"joint must have more rows than the reference's {self.reference_size}: the"
                f" reference, then at least one sample, got {joint.shape[0]}"
            )
        if joint.shape[1] != self.num_features:
            raise ValueError(f"joint must have {self.num_features} channels, got {joint.shape[1]}")
        # Statistics of half precision are taken in single precision, as batch normalization does.
        x = joint.to(torch.promote_types(joint.dtype, torch.float32))
        # torch.var_mean is several times slower on a CPU.
        means = x.mean(2)
        variances = torch.square(x - means.unsqueeze(2)).mean(2)

        reference_means = means[: self.reference_size]
        reference_mean = reference_means.mean(0)
        reference_variance = variances[: self.reference_size].mean(0) + reference_means.var(
            0, correction=0
        )

        weight = 1 / (self.reference_size + 1)
        shift = means[self.reference_size :] - reference_mean
        sample_means = reference_mean + weight * shift
        sample_variances = torch.lerp(
            reference_variance.expand_as(shift), variances[self.reference_size :], weight
        ) + weight * (1 - weight) * torch.square(shift)

        as_reference = (self.reference_size, -1)
        mean = torch.cat([reference_mean.expand(as_reference), sample_means])
        variance = torch.cat([reference_variance.expand(as_reference), sample_variances])
        scale = torch.rsqrt(variance + self.eps)
        if self.gain is not None:
            scale = scale * self.gain
        y = (x - mean.unsqueeze(2)) * scale.unsqueeze(2)
        if self.bias is not None:
            y = y + self.bias.unsqueeze(1)
        return y.to(joint.dtype)


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

    Raises:
        ValueError: an argument is out of its range; in `forward`, when there is no row beyond the
            reference, or the number of features differs.
    """

    def forward(
        self, joint: Float[Tensor, "reference_and_batch num_features"]
    ) -> Float[Tensor, "reference_and_batch num_features"]:
        """Normalize all rows: the reference by itself, each other by the reference and itself."""
        if joint.ndim != 2:
            raise ValueError(f"joint must be [rows, features], got shape {tuple(joint.shape)}")
        return self._normalize(joint.unsqueeze(2)).squeeze(2)


class VirtualBatchNorm2d(_VirtualBatchNorm):
    """Virtual batch normalization of images [reference + batch, num_features, height, width].

    As `VirtualBatchNorm1d`, with each channel's statistics taken over space as well.

    Args:
        num_features: number of channels.
        reference_size: n, number of reference rows, at least 2.
        eps: added to the variance, >= 0.
        gain: learn a gain per channel, initialized 1.
        bias: learn a bias per channel, initialized 0.

    Raises:
        ValueError: an argument is out of its range; in `forward`, when there is no row beyond the
            reference, or the number of channels differs.
    """

    def forward(
        self, joint: Float[Tensor, "reference_and_batch num_features height width"]
    ) -> Float[Tensor, "reference_and_batch num_features height width"]:
        """Normalize all rows: the reference by itself, each other by the reference and itself."""
        if joint.ndim != 4:
            raise ValueError(
                f"joint must be [rows, channels, height, width], got shape {tuple(joint.shape)}"
            )
        return self._normalize(joint.flatten(2)).view_as(joint)


class ReferenceBatch(nn.Module):
    """A network with virtual batch normalization, and the reference batch that it needs.

        generator = ReferenceBatch(network, reference_noise)
        images = generator(noise)        # network(cat([reference, noise]))[n:], in one pass

    The reference is a buffer: it moves with the module and is in `state_dict`, so that a restored
    network computes the same. Gradients flow through the reference's pass too, as the authors do.

    Args:
        network: takes and returns one tensor, row for row; holds the normalization layers.
        reference: n inputs of the network, chosen once.

    Raises:
        ValueError: a normalization layer of `network` was made for another number of reference
            rows; in `forward`, when `batch` has other dimensions than the reference, or the network
            does not return a row for each of its inputs.
        TypeError: in `forward`, when the network does not return a tensor.
    """

    reference: Tensor

    def __init__(self, network: nn.Module, reference: Float[Tensor, "reference ..."]) -> None:
        super().__init__()
        for name, layer in network.named_modules():
            if isinstance(layer, _VirtualBatchNorm) and layer.reference_size != len(reference):
                raise ValueError(
                    f"reference must have the {layer.reference_size} rows that layer {name!r} of"
                    f" the network was made for, got {len(reference)}"
                )
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
        if len(output) != len(joint):
            raise ValueError(
                f"network must return a row for each of its {len(joint)} inputs, got {len(output)}"
            )
        return output[len(self.reference) :]

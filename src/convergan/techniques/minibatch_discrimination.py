"""Minibatch discrimination: the discriminator sees how close samples are (Section 3.2).

    M_i = T f(x_i),  a matrix of B kernels x C dimensions per sample
    c_b(x_i, x_j) = exp(-|| M_{i,b} - M_{j,b} ||_1)
    o_b(x_i) = sum_{j != i} c_b(x_i, x_j) + bias_b

and o(x_i) is concatenated to f(x_i). A generator that collapses to one point gives itself away.

The paper's sum (Eq. 2) includes j = i, the constant 1, which the authors' code leaves out, as is
done here. As in their code each of the B C columns of T is normalized and has a learned log scale:

    T = theta exp(log_scale) / || theta ||_2
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MinibatchDiscrimination(nn.Module):
    """Concatenates to each sample's features its closeness to the other samples of the minibatch.

    Groups are contiguous rows of one joint forward pass: labelled, unlabelled and generated, say.
    With compare="own_group" samples see only their own group ("separately for samples from the
    generator and from the training data"):

        o_b(x_i) = sum over j != i of i's group of c_b(x_i, x_j) + bias_b

    With compare="both_halves", the authors' variant for ImageNet, there are exactly two groups,
    real and generated, and each sample is compared with both: twice the outputs, and means over the
    other samples rather than sums:

        o_{b,h}(x_i) = mean over j != i of half h of c_b(x_i, x_j) + bias_{b,h}

    The outputs are then ordered [all kernels against real, all kernels against generated].

    Memory grows with n B C + n n B for a minibatch of n, never with n n B C.

    Args:
        in_features: number of features of f(x).
        kernels: B, the number of closenesses computed.
        kernel_size: C, the dimensions in which each is computed.
        compare: "own_group" or "both_halves".

    Parameters: `theta` [in_features, B, C], initialized Normal(0, .05); `log_scale` [B, C],
    initialized 0; `bias` [outputs], initialized -1. See also `initialize_from_data`.

    Raises:
        ValueError: a size is not positive, or `compare` is neither of its values.
    """

    def __init__(
        self,
        in_features: int,
        kernels: int = 100,
        kernel_size: int = 5,
        *,
        compare: Literal["own_group", "both_halves"] = "own_group",
    ) -> None:
        super().__init__()
        for name, size in (
            ("in_features", in_features),
            ("kernels", kernels),
            ("kernel_size", kernel_size),
        ):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if compare not in ("own_group", "both_halves"):
            raise ValueError(f"compare must be 'own_group' or 'both_halves', got {compare!r}")
        self.in_features = in_features
        self.kernels = kernels
        self.kernel_size = kernel_size
        self.compare = compare
        self.theta = nn.Parameter(torch.empty(in_features, kernels, kernel_size))
        self.log_scale = nn.Parameter(torch.zeros(kernels, kernel_size))
        outputs = kernels if compare == "own_group" else 2 * kernels
        self.bias = nn.Parameter(torch.full((outputs,), -1.0))
        nn.init.normal_(self.theta, std=0.05)

    @property
    def out_features(self) -> int:
        """Number of features that `forward` returns."""
        return self.in_features + len(self.bias)

    def forward(
        self,
        features: Float[Tensor, "batch in_features"],
        group_sizes: Sequence[int] | None = None,
    ) -> Float[Tensor, "batch out_features"]:
        """The features with the samples' closenesses appended.

        Args:
            features: f(x), any range.
            group_sizes: number of rows of each group, in the order of the rows. None is one group
                of all rows. "both_halves" needs two of at least 2 rows each.

        Raises:
            ValueError: `features` are not [batch, in_features], or `group_sizes` do not add up to
                the batch, hold a negative number, or are not two where two are needed.
        """
        sizes = self._checked_sizes(features, group_sizes)
        return self._append(features, self._closeness(self._project(features), sizes))

    @torch.no_grad()
    def initialize_from_data(
        self,
        features: Float[Tensor, "batch in_features"],
        group_sizes: Sequence[int] | None = None,
    ) -> Float[Tensor, "batch out_features"]:
        """Set `log_scale` and `bias` from a minibatch, and return `forward` of it.

        Per kernel b, as the authors do:

            m_b = 0.5 mean_i min_{j != i} || M_{i,b} - M_{j,b} ||_1
            log_scale_b -= log m_b       half the mean distance to the nearest other sample is 1
            bias = -mean_i (o(x_i) - bias)      the new features have mean zero

        Others are those of the same group, or, with "both_halves", all.

        Raises:
            ValueError: as `forward`; a group has fewer than 2 rows; or in some kernel all samples
                are equal to within rounding, so that no scale exists.
        """
        sizes = self._checked_sizes(features, group_sizes)
        if min(sizes) < 2:
            raise ValueError(f"group_sizes must be at least 2 each to initialize, got {sizes}")
        projected = self._project(features)
        groups = projected.split(sizes) if self.compare == "own_group" else (projected,)
        nearest = torch.cat([_nearest_distances(group) for group in groups], dim=1)
        scale = 0.5 * nearest.mean(1)
        # Equal rows of a matrix product may differ in their last bits.
        rounding = 16 * torch.finfo(projected.dtype).eps * projected.abs().sum(2).mean(0)
        if not bool((scale > rounding).all()):
            raise ValueError(
                "features must differ between samples to initialize from them, got equal ones in"
                f" {int((~(scale > rounding)).sum())} of {self.kernels} kernels"
            )
        self.log_scale.sub_(scale.log().unsqueeze(1))
        closeness = self._closeness(self._project(features), sizes)
        self.bias.copy_(-closeness.mean(0))
        return self._append(features, closeness)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, kernels={self.kernels},"
            f" kernel_size={self.kernel_size}, compare={self.compare!r}"
        )

    def _checked_sizes(self, features: Tensor, group_sizes: Sequence[int] | None) -> list[int]:
        if features.ndim != 2 or features.shape[1] != self.in_features:
            raise ValueError(
                f"features must be [batch, {self.in_features}], got shape {tuple(features.shape)}"
            )
        batch = features.shape[0]
        sizes = [batch] if group_sizes is None else list(group_sizes)
        if sum(sizes) != batch or any(size < 0 for size in sizes):
            raise ValueError(
                f"group_sizes must be >= 0 and add up to the batch of {batch}, got {sizes}"
            )
        if self.compare == "both_halves" and (len(sizes) != 2 or min(sizes) < 2):
            raise ValueError(
                "group_sizes must be two of at least 2 rows each, real and generated, for"
                f" compare='both_halves', got {sizes}"
            )
        return sizes

    def _project(self, features: Tensor) -> Float[Tensor, "batch kernels kernel_size"]:
        # The scale belongs to the column of theta, so it can be applied to the smaller product.
        scale = self.log_scale.exp() / torch.linalg.vector_norm(self.theta, dim=0)
        product = features @ self.theta.flatten(1)
        return product.unflatten(1, scale.shape) * scale

    def _closeness(
        self, projected: Float[Tensor, "batch kernels kernel_size"], sizes: list[int]
    ) -> Float[Tensor, "batch outputs"]:
        if self.compare == "own_group":
            # c(x_i, x_i) is exactly 1: subtracting it leaves the sum over the others.
            sums = [_similarities(group).sum(2) - 1 for group in projected.split(sizes)]
            return torch.cat(sums, dim=1).T
        halves = _similarities(projected).split(sizes, dim=2)
        rows = torch.arange(len(projected), device=projected.device)
        in_real = rows < sizes[0]
        means = [
            (half.sum(2) - own.to(half.dtype)) / (size - own.to(half.dtype))
            for half, own, size in zip(halves, (in_real, ~in_real), sizes, strict=True)
        ]
        return torch.cat(means).T

    def _append(self, features: Tensor, closeness: Tensor) -> Tensor:
        return torch.cat([features, (closeness + self.bias).to(features.dtype)], dim=1)


def _similarities(
    projected: Float[Tensor, "n kernels kernel_size"],
) -> Float[Tensor, "kernels n n"]:
    return torch.exp(-_pairwise_distances(projected))


def _nearest_distances(
    projected: Float[Tensor, "n kernels kernel_size"],
) -> Float[Tensor, "kernels n"]:
    """Each sample's distance to its nearest other sample."""
    distances = _pairwise_distances(projected)
    itself = torch.eye(len(projected), dtype=torch.bool, device=projected.device)
    return distances.masked_fill(itself, torch.inf).amin(2)


def _pairwise_distances(
    projected: Float[Tensor, "n kernels kernel_size"],
) -> Float[Tensor, "kernels n n"]:
    """L1 distances between all samples, per kernel. The gradient at distance 0 is 0."""
    # cdist knows no half precision, and near samples need the digits.
    dtype = torch.promote_types(projected.dtype, torch.float32)
    by_kernel = projected.to(dtype).transpose(0, 1)
    # On a GPU cdist's backward fills a buffer of n n C per kernel: a part of the kernels at a time
    # keeps that to about n n B.
    part_size = max(1, by_kernel.shape[0] // by_kernel.shape[2])
    return torch.cat([torch.cdist(part, part, p=1) for part in by_kernel.split(part_size)])

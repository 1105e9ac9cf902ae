"""The layer, with its parameters and their initialization from data."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor, nn

from .sums import membership_of, nearest_distances, sums_over_all, sums_over_others


class MinibatchDiscrimination(nn.Module):
    """Append to each sample's features its similarity to the other samples of the minibatch.

    Groups are contiguous rows of one joint forward pass: labelled, unlabelled and generated, say.
    With compare="own_group" samples see only their own group ("separately for samples from the
    generator and from the training data"):

        o_b(x_i) = sum over j != i of i's group of c_b(x_i, x_j) + bias_b

    With compare="both_halves", the authors' variant for ImageNet, there are exactly two groups,
    real and generated, and each sample is compared with both: twice the outputs, and means over the
    other samples rather than sums:

        o_{b,h}(x_i) = mean over j != i of half h of c_b(x_i, x_j) + bias_{b,h}

    The outputs are then ordered [all kernels against real, all kernels against generated].

    With projection="plain" T is a linear map as it is, initialized Normal(0, .02), without scale and bias,
    and the sums of "both_halves" are divided by the number of all pairs of a sample of the batch with another
    of the half, n n_h - n_h, in place of a sample's own pairs, as in the authors' code for ImageNet.

    Memory grows with n B C + n n B for a minibatch of n, never with n n B C, but for second gradients
    (`create_graph=True`, as gradient penalties need them), under `torch.func` and in forward-mode
    differentiation: these take ordinary operations, and n n B C.

    The gradient at coinciding samples is 0, and in each component in which two samples are equal. A
    column of theta of length 0 counts as one of length 1: its component of M is 0.

    Args:
        in_features: number of features of f(x).
        kernels: B, the number of similarities computed.
        kernel_size: C, the dimensions in which each is computed.
        compare: "own_group" or "both_halves".
        projection: "normalized" or "plain".
        gather: for a batch spread over processes, a function from this process's rows of a tensor to those
            of all processes, through which gradients flow, such as `convergan.gather_rows`: samples are
            then compared with those of the whole batch. Each process has the same number of groups;
            some may be empty. None: samples are compared with those that lie in the same process.

    Parameters: `theta` [in_features, B, C], initialized Normal(0, .05); `log_scale` [B, C],
    initialized 0; `bias` [outputs], initialized -1. The plain projection has `theta` alone. See also
    `initialize_from_data`.

    Raises:
        ValueError: a size is not positive, or `compare` or `projection` is neither of its values.
    """

    log_scale: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        kernels: int = 100,
        kernel_size: int = 5,
        *,
        compare: Literal["own_group", "both_halves"] = "own_group",
        projection: Literal["normalized", "plain"] = "normalized",
        gather: Callable[[Tensor], Tensor] | None = None,
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
        if projection not in ("normalized", "plain"):
            raise ValueError(f"projection must be 'normalized' or 'plain', got {projection!r}")
        self.in_features = in_features
        self.kernels = kernels
        self.kernel_size = kernel_size
        self.compare = compare
        self.projection = projection
        self.gather = gather
        self._similarities = kernels if compare == "own_group" else 2 * kernels
        plain = projection == "plain"
        self.theta = nn.Parameter(torch.empty(in_features, kernels, kernel_size))
        scale = None if plain else nn.Parameter(torch.zeros(kernels, kernel_size))
        self.register_parameter("log_scale", scale)
        bias = None if plain else nn.Parameter(torch.full((self._similarities,), -1.0))
        self.register_parameter("bias", bias)
        nn.init.normal_(self.theta, std=0.02 if plain else 0.05)

    @property
    def out_features(self) -> int:
        """Number of features that `forward` returns."""
        return self.in_features + self._similarities

    def forward(
        self,
        features: Float[Tensor, "batch in_features"],
        group_sizes: Sequence[int] | None = None,
    ) -> Float[Tensor, "batch out_features"]:
        """The features with the samples' similarities appended.

        Args:
            features: f(x), any range.
            group_sizes: number of rows of each group, in the order of the rows. None is one group
                of all rows. "both_halves" needs two of at least 2 rows each.

        Raises:
            ValueError: `features` are not [batch, in_features], or `group_sizes` do not add up to
                the batch, hold a negative number, or are not two where two are needed; with `gather`,
                those of all processes together.
        """
        sizes = self._checked_sizes(features, group_sizes)
        return self._append(features, self._similarity(self._project(features), sizes))

    def compare_with(
        self,
        features: Float[Tensor, "batch in_features"],
        references: Sequence[Float[Tensor, "_ in_features"]],
        group_sizes: Float[Tensor, "sets"],
    ) -> Float[Tensor, "batch out_features"]:
        """The features with similarities to fixed samples appended: rows do not depend on each other.

        For a row they are what `forward` would give on average if the row took the place of a member of the
        first of groups that are drawn from the references. With n_h the `group_sizes`, and n their sum:

            own_group:             (n_1 - 1) mean_j c_b(x_i, r_j) + bias_b
            both_halves:           mean_j c_b(x_i, r_{h,j}) + bias_{b,h}
            both_halves, plain:    mean_j c_b(x_i, r_{h,j}) / (n - 1), times (n_1 - 1) / n_1 in the first half

        Args:
            features: f(x), any range.
            references: f(r) of the fixed samples: with "own_group" one set, else the real and the generated.
            group_sizes: number of samples in a group of each set, at least 1; not differentiated.

        Raises:
            ValueError: `features` or `references` are not [rows, in_features], a set is empty, or the number
                of sets is wrong.
        """
        sets = 1 if self.compare == "own_group" else 2
        if len(references) != sets or tuple(group_sizes.shape) != (sets,):
            raise ValueError(
                f"references and group_sizes must be of {sets} set(s) for compare={self.compare!r}, got"
                f" {len(references)} and {tuple(group_sizes.shape)}"
            )
        for samples in (features, *references):
            self._check(samples)
        if not all(len(samples) for samples in references):
            raise ValueError("references must have at least one sample in each set, got none")
        projected = self._project(features)
        means = torch.stack(
            [
                sums_over_all(projected, self._project(samples)) / len(samples)
                for samples in references
            ]
        )
        counts = group_sizes.to(means)
        compared = torch.cat([counts[:1] - 1, counts[1:]])
        if self.compare == "own_group":
            means = means * compared[:, None, None]
        elif self.projection == "plain":
            means = means * (compared / counts / (counts.sum() - 1))[:, None, None]
        return self._append(features, torch.cat(list(means), dim=1))

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

        The plain projection has nothing to set. The other samples j are those of the same group, or, with
        "both_halves", all. Where `torch.distributed` is initialized all ranks of the default group must call:
        the samples j are those of the same rank, or, with `gather`, of all ranks; the means over i are over
        the samples of all ranks, and every rank sets the same values.

        Raises:
            ValueError: as in `forward`; a group has fewer than 2 rows; `features` or the weights are not
                finite; or in some kernel all samples are equal to within rounding, so that no scale
                exists. Nothing is set then.
        """
        sizes = self._checked_sizes(features, group_sizes)
        if min(sizes) < 2:
            raise ValueError(f"group_sizes must be at least 2 each to initialize, got {sizes}")
        projected = self._project(features)
        if self.log_scale is None or self.bias is None:
            return self._append(features, self._similarity(projected, sizes))
        groups = projected.split(sizes) if self.compare == "own_group" else (projected,)
        gathered = groups if self.gather is None else map(self.gather, groups)
        nearest = torch.cat(list(map(nearest_distances, groups, gathered)), dim=1)
        rows = features.shape[0]
        scale = _mean_over_ranks(0.5 * nearest.mean(1), rows)
        # Equal rows of a matrix product may differ in their last bits.
        rounding = 16 * torch.finfo(projected.dtype).eps * projected.abs().sum(2).mean(0)
        rounding = _mean_over_ranks(rounding, rows)
        if not bool(torch.isfinite(scale + rounding).all()):
            raise ValueError(
                "features and the layer's weights must be finite to initialize from them, got"
                f" distances that are not in {int((~torch.isfinite(scale + rounding)).sum())} of"
                f" {self.kernels} kernels"
            )
        if not bool((scale > rounding).all()):
            raise ValueError(
                "features must differ between samples to initialize from them, got equal ones in"
                f" {int((~(scale > rounding)).sum())} of {self.kernels} kernels"
            )
        self.log_scale.sub_(scale.log().unsqueeze(1))
        similarity = self._similarity(self._project(features), sizes)
        self.bias.copy_(-_mean_over_ranks(similarity.mean(0), rows))
        return self._append(features, similarity)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, kernels={self.kernels},"
            f" kernel_size={self.kernel_size}, compare={self.compare!r},"
            f" projection={self.projection!r}"
        )

    def _check(self, features: Tensor) -> None:
        if features.ndim != 2 or features.shape[1] != self.in_features:
            raise ValueError(
                f"features must be [batch, {self.in_features}], got shape {tuple(features.shape)}"
            )

    def _checked_sizes(self, features: Tensor, group_sizes: Sequence[int] | None) -> list[int]:
        self._check(features)
        batch = features.shape[0]
        if group_sizes is None and self.compare == "own_group":
            return [batch]
        sizes = [batch] if group_sizes is None else list(group_sizes)
        if sum(sizes) != batch or any(size < 0 for size in sizes):
            raise ValueError(
                f"group_sizes must be >= 0 and add up to the batch of {batch}, got {sizes}"
            )
        # A half that other processes share may have fewer rows in this one.
        minimum = 2 if self.gather is None else 0
        if self.compare == "both_halves" and (len(sizes) != 2 or min(sizes) < minimum):
            raise ValueError(
                "group_sizes must be two of at least 2 rows each, real and generated, for"
                f" compare='both_halves', got {sizes}"
            )
        return sizes

    def _project(self, features: Tensor) -> Float[Tensor, "batch kernels kernel_size"]:
        product = features @ self.theta.flatten(1)
        if self.log_scale is None:
            return product.unflatten(1, self.theta.shape[1:])
        # The scale belongs to the column of theta, so it can be applied to the smaller product.
        norm = torch.linalg.vector_norm(self.theta, dim=0)
        scale = self.log_scale.exp() / (norm + (norm == 0))
        return product.unflatten(1, scale.shape) * scale

    def _similarity(
        self, projected: Float[Tensor, "batch kernels kernel_size"], sizes: list[int]
    ) -> Float[Tensor, "batch outputs"]:
        if self.gather is not None:
            return self._similarity_to_all(projected, sizes, self.gather)
        if self.compare == "own_group":
            if len(sizes) == 1:
                return sums_over_others(projected, sizes)[0]
            groups = zip(projected.split(sizes), sizes, strict=True)
            return torch.cat([sums_over_others(group, [size])[0] for group, size in groups])
        sums = sums_over_others(projected, sizes)
        membership = membership_of(sums, sizes)
        counts = membership.sum(1, keepdim=True) - membership
        return torch.cat(list(sums / self._divisors(counts).unsqueeze(2)), dim=1)

    def _similarity_to_all(
        self,
        projected: Float[Tensor, "batch kernels kernel_size"],
        sizes: list[int],
        gather: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "batch outputs"]:
        """Compute `_similarity` to the samples of all processes."""
        groups = projected.split(sizes)
        gathered = [gather(group) for group in groups]
        if self.compare == "own_group":
            # c(x_i, x_i) is exactly 1.
            return torch.cat(
                [sums_over_all(*pair) - 1 for pair in zip(groups, gathered, strict=True)]
            )
        if min(map(len, gathered)) < 2:
            raise ValueError(
                "group_sizes must come to at least 2 rows each over all processes, for"
                f" compare='both_halves', got {[len(half) for half in gathered]}"
            )
        sums = torch.stack([sums_over_all(projected, half) for half in gathered])
        membership = membership_of(sums, sizes)
        counts = torch.tensor([[len(half)] for half in gathered], device=sums.device)
        divisors = counts - membership
        if self.projection == "plain":
            total = counts.sum()
            divisors = (counts * (total - 1)).expand_as(divisors)
        return torch.cat(list((sums - membership.unsqueeze(2)) / divisors.unsqueeze(2)), dim=1)

    def _divisors(self, counts: Float[Tensor, "halves n"]) -> Float[Tensor, "halves #n"]:
        """Divisors of sums over `counts` samples of each half."""
        return counts.sum(1, keepdim=True) if self.projection == "plain" else counts

    def _append(self, features: Tensor, similarity: Tensor) -> Tensor:
        if self.bias is not None:
            similarity = similarity + self.bias
        return torch.cat([features, similarity.to(features.dtype)], dim=1)


def _mean_over_ranks(local: Float[Tensor, "..."], rows: int) -> Float[Tensor, "..."]:
    """The mean over the samples of all ranks, from the mean `local` over the `rows` samples of this rank."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return local
    ranks = torch.distributed.get_world_size()
    total = torch.tensor(rows, dtype=torch.float64, device=local.device)
    torch.distributed.all_reduce(total)
    # The share is exactly 1 where all have equally many: equal means then keep their digits.
    mean = local * (rows * ranks / total).to(local.dtype)
    torch.distributed.all_reduce(mean)
    return mean / ranks

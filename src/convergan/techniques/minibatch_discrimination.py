"""Minibatch discrimination: the discriminator sees how close samples are (Section 3.2).

    M_i = T f(x_i),  a matrix of B kernels x C dimensions per sample
    c_b(x_i, x_j) = exp(-|| M_{i,b} - M_{j,b} ||_1)
    o_b(x_i) = sum_{j != i} c_b(x_i, x_j) + bias_b

and o(x_i) is concatenated to f(x_i). A generator that collapses to one point gives itself away.

The paper's sum (Eq. 2) includes j = i, the constant 1, which the authors' code leaves out, as is
done here. As in their code each of the B C columns of T is normalized and has a learned log scale:

    T = theta exp(log_scale) / || theta ||_2
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Literal

import torch
import torch.distributed
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

# On a CPU: how many numbers of M are taken together, and how many differences one operation writes.
# Larger ones leave the caches, smaller ones do not outweigh the calls.
_TOGETHER = 2**18
_AT_ONCE = 2**19
# What torch.pdist adds up in one instruction. It is slow where a row ends within one.
_VECTOR_BYTES = 32

_Samples = Float[Tensor, "kernel_size n kernels"]
_PerPair = Float[Tensor, "pairs kernels"]


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

    Memory grows with n B C + n n B for a minibatch of n, never with n n B C, but for second gradients
    (`create_graph=True`, as gradient penalties need them), under `torch.func` and in forward-mode
    differentiation: these take ordinary operations, and n n B C.

    The gradient at coinciding samples is 0, and in each component in which two samples are equal. A
    column of theta of length 0 counts as one of length 1: its component of M is 0.

    Args:
        in_features: number of features of f(x).
        kernels: B, the number of closenesses computed.
        kernel_size: C, the dimensions in which each is computed.
        compare: "own_group" or "both_halves".
        gather: where a batch is spread over processes, a function from this process's rows of a tensor to
            those of all processes, through which gradients flow, such as `convergan.gather_rows`: samples
            are then compared with those of the whole batch. Each process has as many groups. None: samples
            are compared with those that lie in the same process.

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
        self.in_features = in_features
        self.kernels = kernels
        self.kernel_size = kernel_size
        self.compare = compare
        self.gather = gather
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

        Others are those of the same group, or, with "both_halves", all. Where `torch.distributed` is
        initialized all ranks of the default group must call: others are those of a rank, unless there
        is `gather`, the means over i are over the samples of all ranks, and every rank is set to the same.

        Raises:
            ValueError: as `forward`; a group has fewer than 2 rows; `features` or the weights are not
                finite; or in some kernel all samples are equal to within rounding, so that no scale
                exists. Nothing is set then.
        """
        sizes = self._checked_sizes(features, group_sizes)
        if min(sizes) < 2:
            raise ValueError(f"group_sizes must be at least 2 each to initialize, got {sizes}")
        projected = self._project(features)
        groups = projected.split(sizes) if self.compare == "own_group" else (projected,)
        whole = groups if self.gather is None else map(self.gather, groups)
        nearest = torch.cat(list(map(_nearest_distances, groups, whole)), dim=1)
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
        closeness = self._closeness(self._project(features), sizes)
        self.bias.copy_(-_mean_over_ranks(closeness.mean(0), rows))
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
        if group_sizes is None and self.compare == "own_group":
            return [batch]
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
        norm = torch.linalg.vector_norm(self.theta, dim=0)
        scale = self.log_scale.exp() / (norm + (norm == 0))
        product = features @ self.theta.flatten(1)
        return product.unflatten(1, scale.shape) * scale

    def _closeness(
        self, projected: Float[Tensor, "batch kernels kernel_size"], sizes: list[int]
    ) -> Float[Tensor, "batch outputs"]:
        if self.gather is not None:
            return self._closeness_to_whole(projected, sizes, self.gather)
        if self.compare == "own_group":
            if len(sizes) == 1:
                return _sums_over_others(projected, sizes)[0]
            groups = zip(projected.split(sizes), sizes, strict=True)
            return torch.cat([_sums_over_others(group, [size])[0] for group, size in groups])
        sums = _sums_over_others(projected, sizes)
        membership = _membership(sums, sizes)
        others = membership.sum(1, keepdim=True) - membership
        return torch.cat(list(sums / others.unsqueeze(2)), dim=1)

    def _closeness_to_whole(
        self,
        projected: Float[Tensor, "batch kernels kernel_size"],
        sizes: list[int],
        gather: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "batch outputs"]:
        """`_closeness`, to the samples of all processes."""
        groups = projected.split(sizes)
        whole = [gather(group) for group in groups]
        if self.compare == "own_group":
            # c(x_i, x_i) is exactly 1.
            return torch.cat(
                [_sums_over_all(*pair) - 1 for pair in zip(groups, whole, strict=True)]
            )
        sums = torch.stack([_sums_over_all(projected, half) for half in whole])
        membership = _membership(sums, sizes)
        counts = torch.tensor([[len(half)] for half in whole], device=sums.device)
        others = (counts - membership).unsqueeze(2)
        return torch.cat(list((sums - membership.unsqueeze(2)) / others), dim=1)

    def _append(self, features: Tensor, closeness: Tensor) -> Tensor:
        return torch.cat([features, (closeness + self.bias).to(features.dtype)], dim=1)


def _sums_over_others(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """sum over j != i of c_b(x_i, x_j), for j in each of the contiguous parts of these sizes."""
    # Near samples need the digits.
    projected = projected.to(torch.promote_types(projected.dtype, torch.float32))
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        return _plain_sums(projected, sizes)
    if torch.compiler.is_compiling():
        return _sums_of_parts(torch.exp(-_pairwise_distances(projected, projected)), sizes)
    if _under_transform():
        return _plain_sums(projected, sizes)
    if projected.device.type == "cpu" and projected.shape[0] > 1:
        return _sums_pair_by_pair(projected, sizes)
    sums: Tensor = _CdistSums.apply(projected, sizes)
    return sums


def _sums_over_all(
    own: Float[Tensor, "n kernels kernel_size"], others: Float[Tensor, "m kernels kernel_size"]
) -> Float[Tensor, "n kernels"]:
    """sum over all j of c_b(x_i, x_j), of samples x_i and others x_j."""
    dtype = torch.promote_types(own.dtype, torch.float32)
    own, others = own.to(dtype), others.to(dtype)
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _under_transform():
        return _plain_closeness(own, others).sum(1)
    sums: Tensor = _CdistSumsOverAll.apply(own, others)
    return sums


def _sums_of_parts(
    closeness: Float[Tensor, "kernels n n"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """The result of `_sums_over_others`, from the closeness of all pairs."""
    sums = torch.stack([part.sum(2).T for part in closeness.split(sizes, dim=2)])
    return sums - _membership(sums, sizes).unsqueeze(2)  # c(x_i, x_i) is exactly 1


def _membership(like: Tensor, sizes: list[int]) -> Float[Tensor, "parts n"]:
    """1 where a sample is in a part, else 0."""
    if len(sizes) == 1:
        return like.new_ones(1, sizes[0])
    row, ends = torch.arange(like.shape[1], device=like.device), list(accumulate(sizes))
    starts = [0, *ends[:-1]]
    parts = [(row >= start) & (row < end) for start, end in zip(starts, ends, strict=True)]
    return torch.stack(parts).to(like.dtype)


def _under_transform() -> bool:
    """True within a transform of `torch.func` or forward-mode differentiation, which hand-written backwards
    do not support."""
    # Neither is public; without them the plain operations are taken, which are right everywhere.
    transformed = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)()
    return transformed or getattr(forward_ad, "_current_level", 0) >= 0


def _plain_sums(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """Computes `_sums_over_others` by operations that allow export, transforms and second gradients."""
    return _sums_of_parts(_plain_closeness(projected, projected).permute(2, 0, 1), sizes)


def _plain_closeness(
    samples: Float[Tensor, "n kernels kernel_size"], others: Float[Tensor, "m kernels kernel_size"]
) -> Float[Tensor, "n m kernels"]:
    components = list(zip(samples.unbind(2), others.unbind(2), strict=True))
    distances = (components[0][0].unsqueeze(1) - components[0][1]).abs()
    for component, other in components[1:]:
        distances = distances + (component.unsqueeze(1) - other).abs()
    return torch.exp(-distances)


def _plain_gradient(
    projected: Float[Tensor, "n kernels kernel_size"],
    gradient: Float[Tensor, "parts n kernels"],
    sizes: list[int],
) -> Float[Tensor, "n kernels kernel_size"]:
    """The gradient of `_sums_over_others`, by operations that can be differentiated again."""
    weights = _weights_of_pairs(gradient, sizes) * _plain_closeness(projected, projected)
    pulls = [
        (weights * torch.sign(component.unsqueeze(1) - component)).sum(1)
        for component in projected.unbind(2)
    ]
    return -torch.stack(pulls, dim=2)


def _weights_of_pairs(
    gradient: Float[Tensor, "parts n kernels"], sizes: list[int]
) -> Float[Tensor, "n n kernels"]:
    """The gradient of each pair's closeness, counted in the sum of each sample for the other's part."""
    of_pairs = torch.cat(
        [
            of_part.unsqueeze(1).expand(-1, size, -1)
            for of_part, size in zip(gradient, sizes, strict=True)
        ],
        dim=1,
    )
    return of_pairs + of_pairs.transpose(0, 1)


def _nearest_distances(
    samples: Float[Tensor, "n kernels kernel_size"], others: Float[Tensor, "m kernels kernel_size"]
) -> Float[Tensor, "kernels n"]:
    """Each sample's distance to the nearest of the others, among which it is itself, at 0."""
    return _pairwise_distances(samples, others).topk(2, dim=2, largest=False).values[:, :, 1]


def _pairwise_distances(
    samples: Float[Tensor, "n kernels kernel_size"], others: Float[Tensor, "m kernels kernel_size"]
) -> Float[Tensor, "kernels n m"]:
    """L1 distances between samples and others, per kernel."""
    # cdist knows no half precision.
    dtype = torch.promote_types(samples.dtype, torch.float32)
    by_kernel, others = (some.to(dtype).transpose(0, 1) for some in (samples, others))
    size = _kernels_at_once(by_kernel)
    parts = zip(by_kernel.split(size), others.split(size), strict=True)
    return torch.cat([torch.cdist(*part, p=1) for part in parts])


def _kernels_at_once(by_kernel: Float[Tensor, "kernels n kernel_size"]) -> int:
    """Number of kernels to compute at a time: on a GPU cdist's backward fills a buffer of n n C per kernel,
    which is so kept to about n n B."""
    return max(1, by_kernel.shape[0] // by_kernel.shape[2])


class _CdistSums(torch.autograd.Function):
    """Computes `_sums_over_others` by torch.cdist, with one gradient for both samples of a pair."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, sizes: list[int]) -> Tensor:
        closeness = _pairwise_distances(projected, projected).neg_().exp_()
        ctx.save_for_backward(projected, closeness)
        ctx.sizes = sizes
        return _sums_of_parts(closeness, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        projected, closeness = ctx.saved_tensors
        if torch.is_grad_enabled() or _under_transform():
            return _plain_gradient(projected, gradient, ctx.sizes), None
        weights = _weights_of_pairs(gradient, ctx.sizes).permute(2, 0, 1) * closeness.neg()
        return _cdist_gradient(projected, projected, weights), None


class _CdistSumsOverAll(torch.autograd.Function):
    """Computes `_sums_over_all` by torch.cdist."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, others: Tensor) -> Tensor:
        closeness = _pairwise_distances(own, others).neg_().exp_()
        ctx.save_for_backward(own, others, closeness)
        return closeness.sum(2).T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        own, others, closeness = ctx.saved_tensors
        if torch.is_grad_enabled() or _under_transform():
            # The others come from the own: what they pass on to these is not to be counted here.
            own, others = own.view_as(own), others.view_as(others)
            sums = _plain_closeness(own, others).sum(1)
            return torch.autograd.grad(sums, (own, others), gradient, create_graph=True)
        weights = gradient.T.unsqueeze(2) * closeness.neg()
        of_others = _cdist_gradient(others, own, weights.transpose(1, 2))
        return _cdist_gradient(own, others, weights), of_others


def _cdist_gradient(
    samples: Float[Tensor, "n kernels kernel_size"],
    others: Float[Tensor, "m kernels kernel_size"],
    weights: Float[Tensor, "kernels n m"],
) -> Float[Tensor, "n kernels kernel_size"]:
    """The gradient of the sum of weights times distances, for the samples."""
    by_kernel, others = (some.transpose(0, 1).contiguous() for some in (samples, others))
    size = _kernels_at_once(by_kernel)
    parts = zip(by_kernel.split(size), others.split(size), weights.split(size), strict=True)
    gradients = [
        # The last argument, the distances, does not matter for p = 1.
        torch.ops.aten._cdist_backward(weight.contiguous(), part, other, 1.0, weight)
        for part, other, weight in parts
    ]
    return torch.cat(gradients).transpose(0, 1)


def _sums_pair_by_pair(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """`_sums_over_others` on a CPU, where cdist would take each pair three times, both ways around.

    Here each pair is taken once, in the order of `_Ring` or `_Triangle`: a row of [pairs, kernels]
    holds the pair's distances, then their exponentials, or their weights in the gradient.
    """
    n, _, kernel_size = projected.shape
    order = _Triangle if kernel_size > _vector_size(projected) else _Ring
    first, second = order.pairs(n)
    # Each of a pair has its closeness in the sum over the part that the other is in.
    offset = torch.cat([torch.full((size,), n * part) for part, size in enumerate(sizes)])
    sums_of = torch.stack([offset[second] + first, offset[first] + second], dim=1)
    # The last row is for each sample with itself.
    row_of = torch.full((n * n,), len(first))
    row = torch.arange(n * (n - 1) // 2)
    first, second = first[: len(row)], second[: len(row)]
    row_of.scatter_(0, first * n + second, row).scatter_(0, second * n + first, row)
    rows_of = row_of.view(n, n).split(sizes, dim=1)
    chunks = projected.chunk(-(-projected.numel() // _TOGETHER), dim=1)
    parts = (chunk.permute(2, 0, 1).contiguous() for chunk in chunks)
    return torch.cat([_PairSums.apply(part, order, sums_of, rows_of) for part in parts], dim=2)


class _PairSums(torch.autograd.Function):
    """Some kernels of `_sums_pair_by_pair`, of projections x [kernel_size, n, kernels].

    `sums_of` [pairs, 2] has the two of all parts' sums that a pair belongs to; `rows_of`, for each
    part, the pairs of all samples [n, 1] with its samples [1, size].
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, order: Any, sums_of: Tensor, rows_of: tuple[Tensor, ...]
    ) -> Tensor:
        n, kernels = x.shape[1:]
        distances = x.new_empty(len(sums_of) + 1, kernels)
        order.distances(x, out=distances[:-1])
        # Repeated pairs, and a sample with itself, add nothing to a sum.
        distances[n * (n - 1) // 2 :] = torch.inf
        closeness = distances.neg_().exp_()
        ctx.save_for_backward(x, closeness, sums_of)
        ctx.order, ctx.sizes = order, [rows.shape[1] for rows in rows_of]
        return torch.stack([F.embedding_bag(rows, closeness, mode="sum") for rows in rows_of])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        x, closeness, sums_of = ctx.saved_tensors
        if torch.is_grad_enabled() or _under_transform():
            plain = _plain_gradient(x.permute(1, 2, 0), gradient, ctx.sizes)
            return plain.permute(2, 0, 1), None, None, None
        by_sum = gradient.flatten(0, 1).contiguous()
        weights = F.embedding_bag(sums_of, by_sum, mode="sum").mul_(closeness[:-1])
        return ctx.order.gradient(x, weights), None, None, None


class _Ring:
    """The order for small kernels: long operations on all of them, one component per row.

    The samples stand in a ring, and each is paired with those 1 to n // 2 places ahead. If n is
    even, the pairs across the ring come twice, the second time at the end.
    """

    @staticmethod
    def pairs(n: int) -> tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]:
        from_each = torch.arange(n).repeat(2).unfold(0, n, 1)[: n // 2 + 1]
        return from_each[:1].expand(n // 2, n).flatten(), from_each[1:].flatten()

    @staticmethod
    def distances(x: _Samples, out: _PerPair) -> None:
        by_place = out.unflatten(0, (-1, x.shape[1]))
        for places, differences in _Ring._differences(x):
            torch.sum(differences.abs_(), 0, out=by_place[places])

    @staticmethod
    def gradient(x: _Samples, weights: _PerPair) -> _Samples:
        """That of -sum of weights times distances."""
        n = x.shape[1]
        by_place = weights.unflatten(0, (-1, n))
        gradient = x.new_zeros(len(x), 2 * n, x.shape[2])
        of_samples, of_others = gradient[:, :n], _Ring._ahead(gradient).unbind(1)
        for places, differences in _Ring._differences(x):
            pull = differences.sign_().mul_(by_place[places])
            for of_other, at_place in zip(of_others[places], pull.unbind(1), strict=True):
                of_samples.add_(at_place)
                of_other.sub_(at_place)
        return of_samples + gradient[:, n:]

    @staticmethod
    def _differences(x: _Samples) -> Iterator[tuple[slice, Tensor]]:
        """Those ahead minus the samples, [kernel_size, places, n, kernels], some places at a time."""
        ring = torch.cat([x, x], dim=1)
        samples, ahead = ring[:, None, : x.shape[1]], _Ring._ahead(ring)
        at_once = min(ahead.shape[1], max(1, _AT_ONCE // x.numel()))
        scratch = x.new_empty(len(x), at_once, *x.shape[1:])
        for start in range(0, ahead.shape[1], at_once):
            places = slice(start, start + at_once)
            others = ahead[:, places]
            yield places, torch.sub(others, samples, out=scratch[:, : others.shape[1]])

    @staticmethod
    def _ahead(ring: Tensor) -> Tensor:
        """Views: [rows, 2 n, kernels], twice around -> [rows, n // 2 places, n, kernels]."""
        n = ring.shape[1] // 2
        return ring.unfold(1, n, 1)[:, 1 : n // 2 + 1].transpose(2, 3)


class _Triangle:
    """The order for large kernels: that of torch.pdist, which goes along the components."""

    @staticmethod
    def pairs(n: int) -> tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]:
        first, second = torch.triu_indices(n, n, offset=1)
        return first, second

    @staticmethod
    def distances(x: _Samples, out: _PerPair) -> None:
        by_kernel = _Triangle._by_kernel(x).unbind()
        out.copy_(torch.stack([torch.pdist(samples, p=1) for samples in by_kernel]).T)

    @staticmethod
    def gradient(x: _Samples, weights: _PerPair) -> _Samples:
        """That of -sum of weights times distances."""
        by_kernel = _Triangle._by_kernel(x).unbind()
        gradients = [
            # The last argument, the distances, does not matter for p = 1.
            torch.ops.aten._pdist_backward(weight, samples, 1.0, weight)
            for weight, samples in zip(weights.neg().T.contiguous(), by_kernel, strict=True)
        ]
        return torch.stack(gradients)[:, :, : len(x)].permute(2, 1, 0)

    @staticmethod
    def _by_kernel(x: Tensor) -> Float[Tensor, "kernels n padded_kernel_size"]:
        """Zeros fill up the last vector."""
        return F.pad(x.permute(2, 1, 0), (0, -len(x) % _vector_size(x))).contiguous()


def _vector_size(x: Tensor) -> int:
    return _VECTOR_BYTES // x.element_size()


def _mean_over_ranks(own: Float[Tensor, "..."], rows: int) -> Float[Tensor, "..."]:
    """The mean over all ranks' samples of what this one has the mean `own` of, over `rows` samples."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return own
    ranks = torch.distributed.get_world_size()
    total = torch.tensor(rows, dtype=torch.float64, device=own.device)
    torch.distributed.all_reduce(total)
    # The share is exactly 1 where all have equally many: equal means then keep their digits.
    mean = own * (rows * ranks / total).to(own.dtype)
    torch.distributed.all_reduce(mean)
    return mean / ranks

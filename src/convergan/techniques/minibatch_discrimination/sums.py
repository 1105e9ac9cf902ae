"""Sums of closenesses over the other samples, each pair computed once, and their gradients."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
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


def sums_over_others(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """sum over j != i of c_b(x_i, x_j), for j in each of the contiguous parts of these sizes."""
    # Near samples need the digits.
    projected = projected.to(torch.promote_types(projected.dtype, torch.float32))
    exporting = torch.compiler.is_exporting() or torch.jit.is_tracing()
    if torch.compiler.is_compiling() and not exporting:
        return _sums_of_parts(torch.exp(-_pairwise_distances(projected, projected)), sizes)
    if exporting or _under_transform():
        return _plain_sums(projected, sizes)
    if projected.device.type == "cpu" and projected.shape[0] > 1:
        return _sums_pair_by_pair(projected, sizes)
    sums: Tensor = _CdistSums.apply(projected, sizes)
    return sums


def sums_over_all(
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
    """The result of `sums_over_others`, from the closeness of all pairs."""
    sums = torch.stack([part.sum(2).T for part in closeness.split(sizes, dim=2)])
    return sums - membership_of(sums, sizes).unsqueeze(2)  # c(x_i, x_i) is exactly 1


def membership_of(like: Tensor, sizes: list[int]) -> Float[Tensor, "parts n"]:
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
    """Computes `sums_over_others` by operations that allow export, transforms and second gradients."""
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
    """The gradient of `sums_over_others`, by operations that can be differentiated again."""
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


def nearest_distances(
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
    """Computes `sums_over_others` by torch.cdist, with one gradient for both samples of a pair."""

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
    """Computes `sums_over_all` by torch.cdist."""

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
    """`sums_over_others` on a CPU, where cdist would take each pair three times, both ways around.

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

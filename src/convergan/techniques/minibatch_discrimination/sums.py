"""Sums of similarities over the other samples, each pair computed once, and their gradients."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

# On a CPU: how many numbers of M are processed together, and how many differences one operation writes.
# Larger ones leave the caches, smaller ones do not outweigh the calls.
_CHUNK_NUMBERS = 2**18
_OPERATION_DIFFERENCES = 2**19
# Bytes that torch.pdist adds up in one instruction. It is slow where a row ends within one.
_VECTOR_BYTES = 32

_Samples = Float[Tensor, "kernel_size n kernels"]
_PerPair = Float[Tensor, "pairs kernels"]


def sums_over_others(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """The sum over j != i of c_b(x_i, x_j), for j in each of the contiguous parts of these sizes."""
    # The distances of close samples need the digits.
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
    samples: Float[Tensor, "n kernels kernel_size"],
    references: Float[Tensor, "m kernels kernel_size"],
) -> Float[Tensor, "n kernels"]:
    """The sum over all j of c_b(x_i, x_j), of samples x_i and references x_j."""
    dtype = torch.promote_types(samples.dtype, torch.float32)
    samples, references = samples.to(dtype), references.to(dtype)
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _under_transform():
        return _plain_similarity(samples, references).sum(1)
    sums: Tensor = _CdistSumsOverAll.apply(samples, references)
    return sums


def _sums_of_parts(
    similarity: Float[Tensor, "kernels n n"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """The result of `sums_over_others`, from the similarity of all pairs."""
    sums = torch.stack([part.sum(2).T for part in similarity.split(sizes, dim=2)])
    return sums - membership_of(sums, sizes).unsqueeze(2)  # c(x_i, x_i) is exactly 1


def membership_of(template: Tensor, sizes: list[int]) -> Float[Tensor, "parts n"]:
    """Matrix with 1 where a sample is in a part, else 0; in the type and on the device of `template`."""
    if len(sizes) == 1:
        return template.new_ones(1, sizes[0])
    row, ends = torch.arange(template.shape[1], device=template.device), list(accumulate(sizes))
    starts = [0, *ends[:-1]]
    parts = [(row >= start) & (row < end) for start, end in zip(starts, ends, strict=True)]
    return torch.stack(parts).to(template.dtype)


def _under_transform() -> bool:
    """True within a transform of `torch.func` or forward-mode differentiation, which hand-written backwards
    do not support.
    """
    # Neither is public; without them the plain operations run, which work everywhere.
    transformed = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)()
    return transformed or getattr(forward_ad, "_current_level", 0) >= 0


def _plain_sums(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """Compute `sums_over_others` by operations that allow export, transforms and second gradients."""
    return _sums_of_parts(_plain_similarity(projected, projected).permute(2, 0, 1), sizes)


def _plain_similarity(
    samples: Float[Tensor, "n kernels kernel_size"],
    references: Float[Tensor, "m kernels kernel_size"],
) -> Float[Tensor, "n m kernels"]:
    components = list(zip(samples.unbind(2), references.unbind(2), strict=True))
    distances = (components[0][0].unsqueeze(1) - components[0][1]).abs()
    for component, reference in components[1:]:
        distances = distances + (component.unsqueeze(1) - reference).abs()
    return torch.exp(-distances)


def _plain_gradient(
    projected: Float[Tensor, "n kernels kernel_size"],
    gradient: Float[Tensor, "parts n kernels"],
    sizes: list[int],
) -> Float[Tensor, "n kernels kernel_size"]:
    """The gradient of `sums_over_others`, by operations that can be differentiated again."""
    weights = _weights_of_pairs(gradient, sizes) * _plain_similarity(projected, projected)
    pulls = [
        (weights * torch.sign(component.unsqueeze(1) - component)).sum(1)
        for component in projected.unbind(2)
    ]
    return -torch.stack(pulls, dim=2)


def _weights_of_pairs(
    gradient: Float[Tensor, "parts n kernels"], sizes: list[int]
) -> Float[Tensor, "n n kernels"]:
    """The gradient of each pair's similarity, counted in the sum of each sample for the other's part."""
    pair_gradient = torch.cat(
        [
            part_gradient.unsqueeze(1).expand(-1, size, -1)
            for part_gradient, size in zip(gradient, sizes, strict=True)
        ],
        dim=1,
    )
    return pair_gradient + pair_gradient.transpose(0, 1)


def nearest_distances(
    samples: Float[Tensor, "n kernels kernel_size"],
    references: Float[Tensor, "m kernels kernel_size"],
) -> Float[Tensor, "kernels n"]:
    """Each sample's distance to the nearest reference but itself: it is among the references, at 0."""
    return _pairwise_distances(samples, references).topk(2, dim=2, largest=False).values[:, :, 1]


def _pairwise_distances(
    samples: Float[Tensor, "n kernels kernel_size"],
    references: Float[Tensor, "m kernels kernel_size"],
) -> Float[Tensor, "kernels n m"]:
    """L1 distances between samples and references, per kernel."""
    # cdist does not support half precision.
    dtype = torch.promote_types(samples.dtype, torch.float32)
    by_kernel, references = (tensor.to(dtype).transpose(0, 1) for tensor in (samples, references))
    size = _kernels_at_once(by_kernel)
    parts = zip(by_kernel.split(size), references.split(size), strict=True)
    return torch.cat([torch.cdist(*part, p=1) for part in parts])


def _kernels_at_once(by_kernel: Float[Tensor, "kernels n kernel_size"]) -> int:
    """Number of kernels to compute at a time: on a GPU cdist's backward fills a buffer of n n C per kernel,
    which this limits to about n n B.
    """
    return max(1, by_kernel.shape[0] // by_kernel.shape[2])


class _CdistSums(torch.autograd.Function):
    """Compute `sums_over_others` by torch.cdist, with one gradient for both samples of a pair."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, sizes: list[int]) -> Tensor:
        similarity = _pairwise_distances(projected, projected).neg_().exp_()
        ctx.save_for_backward(projected, similarity)
        ctx.sizes = sizes
        return _sums_of_parts(similarity, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        projected, similarity = ctx.saved_tensors
        if torch.is_grad_enabled() or _under_transform():
            return _plain_gradient(projected, gradient, ctx.sizes), None
        weights = _weights_of_pairs(gradient, ctx.sizes).permute(2, 0, 1) * similarity.neg()
        return _cdist_gradient(projected, projected, weights), None


class _CdistSumsOverAll(torch.autograd.Function):
    """Compute `sums_over_all` by torch.cdist."""

    @staticmethod
    def forward(ctx: Any, samples: Tensor, references: Tensor) -> Tensor:
        similarity = _pairwise_distances(samples, references).neg_().exp_()
        ctx.save_for_backward(samples, references, similarity)
        return similarity.sum(2).T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        samples, references, similarity = ctx.saved_tensors
        if torch.is_grad_enabled() or _under_transform():
            # The references may be computed from the samples: views keep the two gradients apart.
            samples, references = samples.view_as(samples), references.view_as(references)
            sums = _plain_similarity(samples, references).sum(1)
            return torch.autograd.grad(sums, (samples, references), gradient, create_graph=True)
        weights = gradient.T.unsqueeze(2) * similarity.neg()
        grad_references = _cdist_gradient(references, samples, weights.transpose(1, 2))
        return _cdist_gradient(samples, references, weights), grad_references


def _cdist_gradient(
    samples: Float[Tensor, "n kernels kernel_size"],
    references: Float[Tensor, "m kernels kernel_size"],
    weights: Float[Tensor, "kernels n m"],
) -> Float[Tensor, "n kernels kernel_size"]:
    """The gradient of the sum of weights times distances, for the samples."""
    by_kernel, references = (
        tensor.transpose(0, 1).contiguous() for tensor in (samples, references)
    )
    size = _kernels_at_once(by_kernel)
    parts = zip(by_kernel.split(size), references.split(size), weights.split(size), strict=True)
    gradients = [
        # The last argument, the distances, does not matter for p = 1.
        torch.ops.aten._cdist_backward(weight.contiguous(), part, reference, 1.0, weight)
        for part, reference, weight in parts
    ]
    return torch.cat(gradients).transpose(0, 1)


def _sums_pair_by_pair(
    projected: Float[Tensor, "n kernels kernel_size"], sizes: list[int]
) -> Float[Tensor, "parts n kernels"]:
    """Compute `sums_over_others` on a CPU, where cdist would take each pair three times, both ways around.

    Here each pair is taken once, in the order of `_Ring` or `_Triangle`: a row of [pairs, kernels]
    holds the pair's distances, then their exponentials, or their weights in the gradient.
    """
    n, _, kernel_size = projected.shape
    order = _Triangle if kernel_size > _vector_size(projected) else _Ring
    first, second = order.pairs(n)
    # Each sample of a pair adds the similarity to its sum over the part that the other is in.
    offset = torch.cat([torch.full((size,), n * part) for part, size in enumerate(sizes)])
    sum_indices = torch.stack([offset[second] + first, offset[first] + second], dim=1)
    # The last row is for each sample with itself.
    pair_rows = torch.full((n * n,), len(first))
    row = torch.arange(n * (n - 1) // 2)
    first, second = first[: len(row)], second[: len(row)]
    pair_rows.scatter_(0, first * n + second, row).scatter_(0, second * n + first, row)
    part_rows = pair_rows.view(n, n).split(sizes, dim=1)
    chunks = projected.chunk(-(-projected.numel() // _CHUNK_NUMBERS), dim=1)
    parts = (chunk.permute(2, 0, 1).contiguous() for chunk in chunks)
    return torch.cat(
        [_PairSums.apply(part, order, sum_indices, part_rows) for part in parts], dim=2
    )


class _PairSums(torch.autograd.Function):
    """Some kernels of `_sums_pair_by_pair`, of projections x [kernel_size, n, kernels].

    `sum_indices` [pairs, 2] has the two sums, of all parts, that a pair belongs to; `part_rows`, for each
    part, the rows of the pairs of all samples [n, 1] with its samples [1, size].
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, order: Any, sum_indices: Tensor, part_rows: tuple[Tensor, ...]
    ) -> Tensor:
        n, kernels = x.shape[1:]
        distances = x.new_empty(len(sum_indices) + 1, kernels)
        order.distances(x, out=distances[:-1])
        # Repeated pairs, and a sample with itself, add nothing to a sum.
        distances[n * (n - 1) // 2 :] = torch.inf
        similarity = distances.neg_().exp_()
        ctx.save_for_backward(x, similarity, sum_indices)
        ctx.order, ctx.sizes = order, [rows.shape[1] for rows in part_rows]
        return torch.stack([F.embedding_bag(rows, similarity, mode="sum") for rows in part_rows])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        x, similarity, sum_indices = ctx.saved_tensors
        if torch.is_grad_enabled() or _under_transform():
            plain = _plain_gradient(x.permute(1, 2, 0), gradient, ctx.sizes)
            return plain.permute(2, 0, 1), None, None, None
        by_sum = gradient.flatten(0, 1).contiguous()
        weights = F.embedding_bag(sum_indices, by_sum, mode="sum").mul_(similarity[:-1])
        return ctx.order.gradient(x, weights), None, None, None


class _Ring:
    """The order for small kernels: long operations on all of them, one component per row.

    The samples stand in a ring, and each is paired with those 1 to n // 2 positions ahead. If n is
    even, the pairs across the ring come twice, the second time at the end.
    """

    @staticmethod
    def pairs(n: int) -> tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]:
        ring = torch.arange(n).repeat(2).unfold(0, n, 1)[: n // 2 + 1]
        return ring[:1].expand(n // 2, n).flatten(), ring[1:].flatten()

    @staticmethod
    def distances(x: _Samples, out: _PerPair) -> None:
        shift_rows = out.unflatten(0, (-1, x.shape[1]))
        for shifts, differences in _Ring._differences(x):
            torch.sum(differences.abs_(), 0, out=shift_rows[shifts])

    @staticmethod
    def gradient(x: _Samples, weights: _PerPair) -> _Samples:
        """The gradient of -sum of weights times distances."""
        n = x.shape[1]
        shift_rows = weights.unflatten(0, (-1, n))
        gradient = x.new_zeros(len(x), 2 * n, x.shape[2])
        sample_gradient, reference_gradients = gradient[:, :n], _Ring._ahead(gradient).unbind(1)
        for shifts, differences in _Ring._differences(x):
            pull = differences.sign_().mul_(shift_rows[shifts])
            for reference_gradient, step_pull in zip(
                reference_gradients[shifts], pull.unbind(1), strict=True
            ):
                sample_gradient.add_(step_pull)
                reference_gradient.sub_(step_pull)
        return sample_gradient + gradient[:, n:]

    @staticmethod
    def _differences(x: _Samples) -> Iterator[tuple[slice, Tensor]]:
        """The samples ahead minus the samples, [kernel_size, shifts, n, kernels], by slices of shifts."""
        ring = torch.cat([x, x], dim=1)
        samples, ahead = ring[:, None, : x.shape[1]], _Ring._ahead(ring)
        slice_size = min(ahead.shape[1], max(1, _OPERATION_DIFFERENCES // x.numel()))
        scratch = x.new_empty(len(x), slice_size, *x.shape[1:])
        for start in range(0, ahead.shape[1], slice_size):
            shifts = slice(start, start + slice_size)
            references = ahead[:, shifts]
            yield shifts, torch.sub(references, samples, out=scratch[:, : references.shape[1]])

    @staticmethod
    def _ahead(ring: Tensor) -> Tensor:
        """View [rows, 2 n, kernels], twice around the ring, as [rows, n // 2 shifts, n, kernels]."""
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
        """The gradient of -sum of weights times distances."""
        by_kernel = _Triangle._by_kernel(x).unbind()
        gradients = [
            # The last argument, the distances, does not matter for p = 1.
            torch.ops.aten._pdist_backward(weight, samples, 1.0, weight)
            for weight, samples in zip(weights.neg().T.contiguous(), by_kernel, strict=True)
        ]
        return torch.stack(gradients)[:, :, : len(x)].permute(2, 1, 0)

    @staticmethod
    def _by_kernel(x: Tensor) -> Float[Tensor, "kernels n padded_kernel_size"]:
        """The projections by kernel, with zeros that fill up the last vector."""
        return F.pad(x.permute(2, 1, 0), (0, -len(x) % _vector_size(x))).contiguous()


def _vector_size(x: Tensor) -> int:
    return _VECTOR_BYTES // x.element_size()

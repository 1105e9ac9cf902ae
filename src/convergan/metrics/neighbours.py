"""Nearest neighbours in feature space, without a matrix of all pairs."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK = 1024


def nearest(
    queries: Float[Tensor, "n features"],
    points: Float[Tensor, "m features"],
    k: int,
    *,
    same: bool = False,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Distances to the k nearest points, increasing, and which these are.

    Args:
        queries: from where.
        points: to where; more than k of them.
        k: how many, 1 or more.
        same: queries and points are the same images: an image is no neighbour of its own.

    Raises:
        ValueError: fewer points than k.
    """
    available = len(points) - int(same)
    if not 1 <= k <= available:
        raise ValueError(f"k: expected 1 to {available}, the number of neighbours, got {k}")
    distances, places = [], []
    for first, chunk in distance_chunks(queries, points):
        if same:
            rows = torch.arange(len(chunk), device=chunk.device)
            chunk[rows, first + rows] = torch.inf
        near, which = chunk.topk(k, dim=1, largest=False)
        distances.append(near)
        places.append(which)
    return torch.cat(distances), torch.cat(places)


def distance_chunks(
    queries: Float[Tensor, "n features"], points: Float[Tensor, "m features"]
) -> Iterator[tuple[int, Float[Tensor, "chunk m"]]]:
    """Euclidean distances, in float64, of some queries at a time from all points, and the first of these."""
    squares = torch.cat([part.double().square().sum(dim=1) for part in points.split(_CHUNK)])
    for number, rows in enumerate(queries.split(_CHUNK)):
        rows = rows.double()
        distances = rows.square().sum(dim=1, keepdim=True) + squares
        for start in range(0, len(points), _CHUNK):
            part = points[start : start + _CHUNK].double()
            distances[:, start : start + _CHUNK].addmm_(rows, part.T, alpha=-2)
        yield number * _CHUNK, distances.clamp_min_(0).sqrt_()

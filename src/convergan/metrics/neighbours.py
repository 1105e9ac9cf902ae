"""Nearest neighbours in feature space, without a matrix of all pairs."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from convergan.metrics.steps import Steps

_QUERIES = 256
"""At a time: with 50,000 points their distances take 100 MB."""

_POINTS = 1024


def nearest(
    queries: Float[Tensor, "n features"],
    points: Float[Tensor, "m features"],
    k: int,
    *,
    same: bool = False,
    steps: Steps | None = None,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Distances to the k nearest points, increasing, and which these are.

    Args:
        queries: from where.
        points: to where; more than k of them.
        k: how many, 1 or more.
        same: queries and points are the same images: an image is no neighbour of its own.
        steps: takes one for each query.

    Raises:
        ValueError: fewer points than k.
    """
    available = len(points) - int(same)
    if not 1 <= k <= available:
        raise ValueError(f"k: expected 1 to {available}, the number of neighbours, got {k}")
    # Room for all at once: what is kept between large pieces of memory keeps those from being used again.
    distances = torch.empty(len(queries), k, dtype=torch.float64, device=queries.device)
    places = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    for first, chunk in distance_chunks(queries, points, steps):
        if same:
            rows = torch.arange(len(chunk), device=chunk.device)
            chunk[rows, first + rows] = torch.inf
        some = slice(first, first + len(chunk))
        distances[some], places[some] = chunk.topk(k, dim=1, largest=False)
    return distances, places


def distance_chunks(
    queries: Float[Tensor, "n features"],
    points: Float[Tensor, "m features"],
    steps: Steps | None = None,
) -> Iterator[tuple[int, Float[Tensor, "chunk m"]]]:
    """The first of some queries, and their Euclidean distances from all points, in float64.

    They are overwritten by those of the next queries.
    """
    room = torch.empty(
        min(_QUERIES, len(queries)), len(points), dtype=torch.float64, device=points.device
    )
    squares = torch.cat([part.double().square().sum(dim=1) for part in points.split(_POINTS)])
    for number, rows in enumerate(queries.split(_QUERIES)):
        rows = rows.double()
        distances = room[: len(rows)]
        torch.add(rows.square().sum(dim=1, keepdim=True), squares, out=distances)
        for start in range(0, len(points), _POINTS):
            part = points[start : start + _POINTS].double()
            distances[:, start : start + _POINTS].addmm_(rows, part.T, alpha=-2)
        yield number * _QUERIES, distances.clamp_min_(0).sqrt_()
        if steps is not None:
            steps.take(len(rows))

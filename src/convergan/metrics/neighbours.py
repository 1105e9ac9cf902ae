"""Nearest neighbours in feature space, found in blocks without a matrix of all pairs."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from convergan.distributed import gather_from_ranks
from convergan.metrics.steps import Steps

_QUERIES = 256
"""Queries in a block: their distances from 50,000 points take 100 MB."""

_POINTS = 1024

_KEPT_NEIGHBOURS = 32
"""Neighbours that are kept of each point: they almost always include five of any half of the points."""


def nearest(
    queries: Float[Tensor, "n features"],
    points: Float[Tensor, "m features"],
    k: int,
    *,
    steps: Steps | None = None,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Find the k nearest points of every query.

    Args:
        queries: features of the queries.
        points: features of the points, at least k of them.
        k: number of neighbours, 1 or more.
        steps: counts one step for each query.

    Returns:
        The Euclidean distances, increasing, and the indices of the points.

    Raises:
        ValueError: fewer points than k.
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"k: expected 1 to {len(points)}, the number of neighbours, got {k}")
    # One allocation for all: small results between large blocks would keep their memory from being reused.
    distances = torch.empty(len(queries), k, dtype=torch.float64, device=queries.device)
    indices = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    for first, chunk in distance_chunks(queries, points, steps):
        block = slice(first, first + len(chunk))
        distances[block], indices[block] = chunk.topk(k, dim=1, largest=False)
    return distances, indices


def squared_distances(
    products: Float[Tensor, "n m"],
    squares: Float[Tensor, "n"],
    other_squares: Float[Tensor, "m"],
) -> Float[Tensor, "n m"]:
    """Squared distances |x - y|^2 of all pairs, from x . y, |x|^2 and |y|^2; 0 if within rounding."""
    sizes = squares.unsqueeze(1) + other_squares
    return _without_rounding(sizes - 2 * products.double(), sizes, products.dtype)


def _without_rounding(squares: Tensor, sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """Squared distances with those within rounding of products of `dtype` set to 0, as between copies."""
    return squares.masked_fill_(squares <= 8 * torch.finfo(dtype).eps * sizes, 0)


class Nearest:
    """The k smallest squared distances of each point, collected from blocks.

    Args:
        count: number of points.
        k: number of distances of each point.
    """

    def __init__(self, count: int, k: int) -> None:
        self.squares = torch.full((count, k), torch.inf, dtype=torch.float64)
        """Smallest squared distances so far, [count, k], increasing."""

    def add(self, points: slice, squares: Float[Tensor, "points others"]) -> None:
        """Add squared distances from some of the points to others that have not been added before."""
        k = self.squares.shape[1]
        block = squares.topk(min(k, squares.shape[1]), dim=1, largest=False, sorted=False).values
        candidates = torch.cat([self.squares[points], block], dim=1)
        self.squares[points] = candidates.topk(k, dim=1, largest=False).values

    def join(self) -> None:
        """Merge the distances of all processes."""
        everyones = torch.cat(gather_from_ranks(self.squares), dim=1)
        k = self.squares.shape[1]
        self.squares = everyones.topk(k, dim=1, largest=False).values


class KeptNeighbours:
    """Nearest neighbours of points within any part of them, from a matrix of all distances.

    Args:
        squares: squared distances, [points, points], infinity from a point to itself.
    """

    def __init__(self, squares: Float[Tensor, "points points"]) -> None:
        self.squares = squares
        self.neighbours = squares.topk(min(_KEPT_NEIGHBOURS, len(squares)), dim=1, largest=False)

    def distances_within(self, part: Int[Tensor, "part"], k: int) -> Float[Tensor, "part k"]:
        """Smallest k squared distances of each point of a part to other points of the part, increasing."""
        in_part = torch.zeros(len(self.squares), dtype=torch.bool)
        in_part[part] = True
        kept_in_part = in_part[self.neighbours.indices[part]]
        place = kept_in_part.cumsum(dim=1)
        result = torch.full((len(part), k), torch.inf, dtype=self.squares.dtype)
        distances = self.neighbours.values[part]
        for number in range(k):
            at_rank = kept_in_part & (place == number + 1)
            result[:, number] = distances.masked_fill(~at_rank, torch.inf).amin(dim=1)
        incomplete = torch.nonzero(place[:, -1] < k).flatten()
        if len(incomplete):
            remaining = self.squares[part[incomplete].unsqueeze(1), part]
            result[incomplete] = remaining.topk(k, dim=1, largest=False).values
        return result


def distance_chunks(
    queries: Float[Tensor, "n features"],
    points: Float[Tensor, "m features"],
    steps: Steps | None = None,
) -> Iterator[tuple[int, Float[Tensor, "chunk m"]]]:
    """Yield blocks of queries: the index of the first, and the Euclidean distances from all points, float64.

    The next block overwrites the distances.
    """
    room = torch.empty(
        min(_QUERIES, len(queries)), len(points), dtype=torch.float64, device=points.device
    )
    squares = torch.cat([part.double().square().sum(dim=1) for part in points.split(_POINTS)])
    for number, rows in enumerate(queries.split(_QUERIES)):
        rows = rows.double()
        distances = room[: len(rows)]
        sizes = rows.square().sum(dim=1, keepdim=True) + squares
        distances.copy_(sizes)
        for start in range(0, len(points), _POINTS):
            part = points[start : start + _POINTS].double()
            distances[:, start : start + _POINTS].addmm_(rows, part.T, alpha=-2)
        yield number * _QUERIES, _without_rounding(distances, sizes, torch.float64).sqrt_()
        if steps is not None:
            steps.take(len(rows))

"""Nearest neighbours in feature space, without a matrix of all pairs."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from convergan.distributed import gather_from_ranks
from convergan.metrics.steps import Steps

_QUERIES = 256
"""At a time: with 50,000 points their distances take 100 MB."""

_POINTS = 1024

_LISTED = 32
"""Neighbours that are kept: of half of the points, there are almost always five among them."""


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


def squared_distances(
    products: Float[Tensor, "n m"],
    squares: Float[Tensor, "n"],
    other_squares: Float[Tensor, "m"],
) -> Float[Tensor, "n m"]:
    """|x - y|^2 of all pairs, from x . y, |x|^2 and |y|^2; 0 where rounding leaves no more than that."""
    sizes = squares.unsqueeze(1) + other_squares
    return _without_rounding(sizes - 2 * products.double(), sizes, products.dtype)


def _without_rounding(squares: Tensor, sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """0 for squared distances that are rounding, of products of a type: a copy of an image is where it is."""
    return squares.masked_fill_(squares <= 8 * torch.finfo(dtype).eps * sizes, 0)


class Nearest:
    """The k smallest squared distances of each point, from blocks of them.

    Args:
        count: points.
        k: how many of each.
    """

    def __init__(self, count: int, k: int) -> None:
        self.squares = torch.full((count, k), torch.inf, dtype=torch.float64)
        """[count, k], increasing."""

    def add(self, points: slice, squares: Float[Tensor, "points others"]) -> None:
        """Looks at squared distances from some of the points to others that did not come before."""
        k = self.squares.shape[1]
        block = squares.topk(min(k, squares.shape[1]), dim=1, largest=False, sorted=False).values
        both = torch.cat([self.squares[points], block], dim=1)
        self.squares[points] = both.topk(k, dim=1, largest=False).values

    def join(self) -> None:
        """Takes in what other processes have seen."""
        everyones = torch.cat(gather_from_ranks(self.squares), dim=1)
        k = self.squares.shape[1]
        self.squares = everyones.topk(k, dim=1, largest=False).values


class KeptNeighbours:
    """The nearest others of each of some points, kept: of any part of the points, those that are in it.

    Args:
        squares: [points, points], squared distances, infinity from a point to itself.
    """

    def __init__(self, squares: Float[Tensor, "points points"]) -> None:
        self.squares = squares
        self.near = squares.topk(min(_LISTED, len(squares)), dim=1, largest=False)

    def within(self, part: Int[Tensor, "part"], k: int) -> Float[Tensor, "part k"]:
        """The k smallest squared distances of each point of a part to others of the part, increasing."""
        inside = torch.zeros(len(self.squares), dtype=torch.bool)
        inside[part] = True
        listed = inside[self.near.indices[part]]
        place = listed.cumsum(dim=1)
        found = torch.full((len(part), k), torch.inf, dtype=self.squares.dtype)
        distances = self.near.values[part]
        for number in range(k):
            here = listed & (place == number + 1)
            found[:, number] = distances.masked_fill(~here, torch.inf).amin(dim=1)
        few = torch.nonzero(place[:, -1] < k).flatten()
        if len(few):
            some = self.squares[part[few].unsqueeze(1), part]
            found[few] = some.topk(k, dim=1, largest=False).values
        return found


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
        sizes = rows.square().sum(dim=1, keepdim=True) + squares
        distances.copy_(sizes)
        for start in range(0, len(points), _POINTS):
            part = points[start : start + _POINTS].double()
            distances[:, start : start + _POINTS].addmm_(rows, part.T, alpha=-2)
        yield number * _QUERIES, _without_rounding(distances, sizes, torch.float64).sqrt_()
        if steps is not None:
            steps.take(len(rows))

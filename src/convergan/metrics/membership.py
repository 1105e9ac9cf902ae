"""A large matrix of yes and no that never takes more than a bit an entry."""

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import sparse
from torch import Tensor

_MOST_IN_SPARSE = 1 / 128
"""Share of yes up to which a sparse matrix (8 bytes a yes) is smaller than bits, and faster."""


class Membership:
    """Grows by rows: those with few a yes are kept sparse, others as bits.

    Args:
        columns: of the matrix.
    """

    def __init__(self, columns: int) -> None:
        self.rows, self.columns = 0, columns
        self._sparse_parts: list[sparse.csr_array] = []
        self._bits: list[tuple[slice, np.ndarray]] = []

    def append(self, inside: Bool[Tensor, "rows columns"]) -> None:
        """Adds rows below those that are there."""
        rows = slice(self.rows, self.rows + len(inside))
        self.rows = rows.stop
        if int(inside.count_nonzero()) > _MOST_IN_SPARSE * inside.numel():
            self._bits.append((rows, np.packbits(inside.numpy(), axis=1)))
            self._sparse_parts.append(sparse.csr_array(inside.shape, dtype=np.float32))
            return
        places = tuple(axis.int().numpy() for axis in torch.nonzero(inside, as_tuple=True))
        ones = np.ones(len(places[0]), dtype=np.float32)
        self._sparse_parts.append(sparse.csr_array((ones, places), shape=tuple(inside.shape)))

    def times(self, right: Float32[np.ndarray, "columns k"]) -> Float32[np.ndarray, "rows k"]:
        """The product of the matrix, as 0 and 1, and another; whole numbers below 2^24 are exact."""
        product: np.ndarray = self._sparse @ right
        for rows, bits in self._bits:
            product[rows] = self._opened(bits) @ right
        return product

    def transposed_times(
        self, right: Float32[np.ndarray, "rows k"]
    ) -> Float32[np.ndarray, "columns k"]:
        """The same of its transpose."""
        product: np.ndarray = self._sparse.T @ right
        for rows, bits in self._bits:
            product += self._opened(bits).T @ right[rows]
        return product

    @cached_property
    def _sparse(self) -> sparse.csr_array:
        return sparse.vstack(self._sparse_parts, format="csr")

    def _opened(self, bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, axis=1, count=self.columns).astype(np.float32)

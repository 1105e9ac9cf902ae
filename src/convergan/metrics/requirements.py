"""Checks of features and logits before anything is computed from them: type, shape, finite values."""

from typing import Any

import torch
from torch import Tensor

from convergan.errors import UserError


def require_features(**sets: Tensor) -> None:
    """Check features of sets of images, each given under the name of its argument.

    Raises:
        UserError: a set is not a tensor of floats [images, features], has a value that is not finite, or has
            another number of features than the first set.
    """
    (first, first_set), *_ = sets.items()
    for name, features in sets.items():
        require_matrix(name, features)
        if features.shape[1] != first_set.shape[1]:
            raise UserError(
                f"{name}: expected {first_set.shape[1]} features, as {first} has, got {features.shape[1]}"
            )
    for name, features in sets.items():
        require_finite(name, features)


def require_matrix(
    name: str, values: Any, rows: int | str = "images", columns: int | str = "features"
) -> None:
    """Check the type and the shape of values with a row for each image.

    Args:
        name: the argument, for the message.
        values: the values.
        rows: the number of rows; or any number, by this name in the message.
        columns: the number of columns; or any number from 1 on, by this name in the message.

    Raises:
        UserError: the values are not a tensor of floats of this shape.
    """
    fits = (
        isinstance(values, Tensor)
        and values.is_floating_point()
        and values.ndim == 2
        and values.shape[1] > 0
        and rows in (values.shape[0], str(rows))
        and columns in (values.shape[1], str(columns))
    )
    if not fits:
        raise UserError(f"{name}: expected floats [{rows}, {columns}], got {described(values)}")


def require_finite(name: str, values: Tensor) -> None:
    """Check that no value of a matrix is NaN or infinite.

    Raises:
        UserError: a value is; the message names its row.
    """
    row = first_row_not_finite(values)
    if row is not None:
        bad = values[row][~values[row].isfinite()]
        raise UserError(f"{name}: expected finite numbers, got {float(bad[0])} in row {row}")


def require_logits(name: str, values: Tensor, first_row: int = 0) -> None:
    """Check that every row of a matrix of logits has probabilities: -inf stands for a probability of 0.

    Args:
        name: the argument, for the message.
        values: the logits.
        first_row: the number of the first row, for the message.

    Raises:
        UserError: a logit is NaN or +inf, or all of a row are -inf; the message names the row.
    """
    if values.numel() == 0:
        return
    largest = values.amax(dim=1)
    bad = ~largest.isfinite()
    if bad.any():
        row = int(bad.int().argmax())
        raise UserError(
            f"{name}: expected finite numbers, or -inf for a probability of 0, got"
            f" {'only ' if largest[row] < 0 else ''}{float(largest[row])} in row {first_row + row}"
        )


def first_row_not_finite(values: Tensor) -> int | None:
    """Number of the first row of a matrix with NaN or infinity; None if all values are finite."""
    if values.numel() == 0:
        return None
    # Unlike `isfinite` of all values, these need no memory of the values' size.
    bad = ~(values.amin(dim=1).isfinite() & values.amax(dim=1).isfinite())
    return int(bad.int().argmax()) if bad.any() else None


def described(values: Any) -> str:
    """Type and shape of a tensor, such as `float32 [12]`; of anything else the name of its type."""
    if not isinstance(values, Tensor):
        return type(values).__name__
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"


def require_indices(indices: Any, count: int) -> None:
    """Check the places of a batch's images among all images.

    Raises:
        UserError: they are not a tensor of integers with one for each of the `count` images of the batch.
    """
    integers = isinstance(indices, Tensor) and indices.dtype in (torch.int32, torch.int64)
    if not integers or indices.shape != (count,):
        raise UserError(f"indices: expected integers [{count}], got {described(indices)}")

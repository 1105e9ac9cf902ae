"""No number comes from features or logits that are not finite, or of another shape: the error names them."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convergan import (
    UserError,
    divergences,
    frechet_distance,
    gaussian_statistics,
    kernel_distance,
    nearest_training_images,
    precision_recall_density_coverage,
)
from convergan.metrics.kernel_distance import kernel_distance_of_subsets
from convergan.metrics.requirements import first_row_not_finite

Function = Callable[..., Any]


def features(count: int = 501) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(0))


def subsets(first: Tensor, second: Tensor) -> Any:
    return kernel_distance_of_subsets(first, second, subsets=2, subset_size=9)


PAIRS: list[tuple[Function, str, str]] = [
    (kernel_distance, "first", "second"),
    (subsets, "first", "second"),
    (precision_recall_density_coverage, "generated", "real"),
    (nearest_training_images, "samples", "training"),
]
"""Functions of two sets, and the names of these."""

CALLS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("features", "features", gaussian_statistics),
    ("logits", "classes", divergences),
    *((first, "features", lambda x, f=function: f(x, features())) for function, first, _ in PAIRS),
    *(
        (second, "features", lambda x, f=function: f(features(), x))
        for function, _, second in PAIRS
    ),
]
"""The name of each argument, of its columns, and a call with it."""


@pytest.mark.parametrize(("name", "columns", "call"), CALLS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_value_that_is_not_finite_is_named(
    name: str, columns: str, call: Function, value: float, dtype: torch.dtype
) -> None:
    call(features().to(dtype))
    broken = features().to(dtype)
    broken[417, 5] = broken[500, 0] = value
    expected = rf"^{name}: expected finite numbers.*, got {value} in row 417$"
    with pytest.raises(UserError, match=expected):
        call(broken)


@pytest.mark.parametrize(("name", "columns", "call"), CALLS)
@pytest.mark.parametrize(
    ("wrong", "described"),
    [
        (features()[:, 0], "float32 [501]"),
        (features().view(501, 8, 1, 1), "float32 [501, 8, 1, 1]"),
        (features()[:, :0], "float32 [501, 0]"),
        (features().long(), "int64 [501, 8]"),
        (features().numpy(), "ndarray"),
        (None, "NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_shape_or_type_is_named(
    name: str, columns: str, call: Function, wrong: Any, described: str
) -> None:
    message = f"{name}: expected floats [images, {columns}], got {described}"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        call(wrong)


@pytest.mark.parametrize(("function", "first", "second"), PAIRS)
def test_sets_have_equally_many_features(function: Function, first: str, second: str) -> None:
    message = f"^{second}: expected 8 features, as {first} has, got 7$"
    with pytest.raises(UserError, match=message):
        function(features(), features()[:, :7])


def test_statistics_that_are_not_finite_or_none_at_all() -> None:
    statistics = gaussian_statistics(features())
    assert frechet_distance(statistics, statistics) == pytest.approx(0, abs=1e-9)
    broken = statistics.covariance.clone()
    broken[2, 3] = torch.nan
    flat = statistics.covariance.diagonal()
    for wrong, message in (
        (features(), "expected the statistics that gaussian_statistics returns, got Tensor"),
        (
            replace(statistics, covariance=broken),
            "expected a finite covariance, got NaN or infinity",
        ),
        (replace(statistics, mean=flat / 0), "expected a finite mean, got NaN or infinity"),
        (
            replace(statistics, covariance=flat),
            r"expected a mean \[d\] and a covariance \[d, d\], got \[8\] and \[8\]",
        ),
    ):
        with pytest.raises(UserError, match=f"^first: {message}$"):
            frechet_distance(wrong, statistics)
        with pytest.raises(UserError, match=f"^second: {message}$"):
            frechet_distance(statistics, wrong)


def test_features_too_large_to_square_are_an_error() -> None:
    huge = gaussian_statistics(features().double() * 1e200)
    with pytest.raises(UserError, match=r"^first: expected a finite covariance"):
        frechet_distance(huge, gaussian_statistics(features()))


def test_a_logit_may_be_minus_infinity_for_a_probability_of_zero() -> None:
    logits = features()
    logits[3, 2:] = -torch.inf
    assert divergences(logits).isfinite().all()
    # Of several chunks.
    logits = logits.repeat(3, 1)
    logits[1100] = -torch.inf
    with pytest.raises(UserError, match=r"got only -inf in row 1100$"):
        divergences(logits)


def test_a_marginal_is_one_probability_for_each_class() -> None:
    for marginal, message in (
        (torch.full((7,), 1 / 7), r"expected floats \[8\], got float32 \[7\]"),
        (np.full(8, 1 / 8), r"expected floats \[8\], got ndarray"),
        (torch.full((8,), torch.nan), "expected probabilities, got nan"),
        (torch.linspace(-0.5, 1, 8), "expected probabilities, got -0.5"),
    ):
        with pytest.raises(UserError, match=f"^marginal: {message}$"):
            divergences(features(), marginal)  # type: ignore[arg-type]


def test_the_first_row_is_found_in_any_layout() -> None:
    values = torch.zeros(6, 4)
    assert first_row_not_finite(values) is None
    assert first_row_not_finite(values[:0]) is None and first_row_not_finite(values[:, :0]) is None
    values[4, 1] = -torch.inf
    assert first_row_not_finite(values) == 4
    assert first_row_not_finite(values.T) == 1
    values[2, 3] = torch.nan
    assert first_row_not_finite(values) == 2

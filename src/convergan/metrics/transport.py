"""Optimal transport between two normal distributions, and the derivatives of their distance."""

import numpy as np
import torch
from torch import Tensor

from convergan.metrics.frechet import CHUNK, Factors, distance_by_singular_values

LEAST_SINGULAR = 1e-6
"""Share of the largest singular value below which a singular value is rounding."""


class Transport:
    """Optimal transport from one normal distribution to another.

    With C1 = A^T A, C2 = B^T B and A B^T = U S V^T the maps from the first to the second and back are
    B^T V S^-1 V^T B and A^T U S^-1 U^T A.
    """

    def __init__(self, first: Factors, second: Factors) -> None:
        self.first, self.second = first, second
        product = first.rows @ second.rows.T
        values, vectors = torch.linalg.eigh(product.T @ product)
        singular = values.clamp_min(0).sqrt()
        self.distance = distance_by_singular_values(first, second, float(singular.sum()))
        significant = singular > LEAST_SINGULAR * singular.max()
        singular, vectors = singular[significant], vectors[:, significant]
        self.transport_map = second.rows.T @ (vectors / singular.sqrt())
        self.inverse_map = first.rows.T @ (product @ (vectors / singular**1.5))

    def influence(self, features: Tensor, mean: Tensor) -> np.ndarray:
        """Derivative of both parts of the distance by each image, [2, images].

        Args:
            features: features of the images of the first set, or of another one.
            mean: their mean.
        """
        return _influence(features, mean, self.first.mean - self.second.mean, self.transport_map)

    def influence_of_second(self, features: Tensor) -> np.ndarray:
        """Derivative of both parts of the distance by each image of the second set, [2, images]."""
        mean_difference = self.second.mean - self.first.mean
        return _influence(features, self.second.mean, mean_difference, self.inverse_map)


def _influence(
    features: Tensor, mean: Tensor, mean_difference: Tensor, transport_map: Tensor
) -> np.ndarray:
    parts = []
    for part in features.split(CHUNK):
        centred = part.double() - mean
        covariance_part = centred.square().sum(dim=1) - (centred @ transport_map).square().sum(
            dim=1
        )
        parts.append(torch.stack([2 * centred @ mean_difference, covariance_part]))
    return torch.cat(parts, dim=1).numpy()

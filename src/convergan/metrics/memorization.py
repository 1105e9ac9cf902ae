"""Memorization: the nearest training image of every sample, and the share of samples that are no copies.

Authenticity (Alaa et al. 2022, arXiv 2102.08921): a sample is a copy if it is closer to its nearest training
image than that image is to any other training image. Authenticity is the share of samples that are no copies:
about one half for real images outside the training set, and 0 for copies.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.neighbours import nearest
from convergan.metrics.requirements import require_features


@dataclass(frozen=True)
class Neighbours:
    """Nearest training image of every sample."""

    indices: Int[Tensor, "samples"]
    """Index of the nearest training image."""

    distances: Float[Tensor, "samples"]
    """Distance of the sample from it, in feature space."""

    usual_distances: Float[Tensor, "samples"]
    """Distance of that training image from the nearest other training image."""

    @property
    def copies(self) -> Bool[Tensor, "samples"]:
        """True for samples closer to their nearest training image than any other training image is."""
        return self.distances < self.usual_distances

    @property
    def authenticity(self) -> float:
        """Share of samples that are no copies, 0 to 1."""
        return 1 - float(self.copies.double().mean())

    def closest(self, count: int) -> Int[Tensor, "count"]:
        """Indices of the samples that look most like copies: those with the smallest ratio of distances."""
        # Two equal training images have the usual distance 0.
        ratio = self.distances / self.usual_distances.clamp_min(1e-12)
        return ratio.argsort(stable=True)[:count]


def nearest_training_images(
    samples: Float[Tensor, "samples features"], training: Float[Tensor, "training features"]
) -> Neighbours:
    """Find the nearest training image of every sample, by the distance of their features.

    Args:
        samples: features of the samples, floats.
        training: features of the training images, at least 2, floats.

    Raises:
        UserError: fewer than 2 training images, another shape, different numbers of features, or a value that
            is not finite.
    """
    require_features(samples=samples, training=training)
    if len(training) < 2:
        raise UserError(f"training: expected at least 2 images, got {len(training)}")
    distances, indices = (part[:, 0] for part in nearest(samples, training, 1))
    unique_indices, inverse = indices.unique(return_inverse=True)
    # The nearest training image of a training image is itself: its neighbour is the second nearest.
    neighbour_distances, neighbour_indices = nearest(training[unique_indices], training, 2)
    own = neighbour_indices[:, 0] == unique_indices
    usual = neighbour_distances[:, 1].where(own, neighbour_distances[:, 0])
    return Neighbours(indices, distances, usual[inverse])

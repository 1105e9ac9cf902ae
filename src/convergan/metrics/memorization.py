"""Whether a generator copies its training images: the nearest of them to every sample.

Authenticity (Alaa et al. 2022, arXiv 2102.08921): a sample is a copy if it is closer to its nearest training
image than that image is to any other training image. The share of samples that are not is the number to
compare: real images that were never trained on have about one half, and copies 0.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.neighbours import nearest


@dataclass(frozen=True)
class Neighbours:
    """Every sample's nearest training image."""

    places: Int[Tensor, "samples"]
    """Which it is."""

    distances: Float[Tensor, "samples"]
    """How far the sample is from it, in feature space."""

    usual_distances: Float[Tensor, "samples"]
    """How far that training image is from the nearest other one."""

    @property
    def copies(self) -> Bool[Tensor, "samples"]:
        """Closer than training images are to each other there."""
        return self.distances < self.usual_distances

    @property
    def authenticity(self) -> float:
        """The share of samples that are no copies, 0 to 1."""
        return 1 - float(self.copies.double().mean())

    def closest(self, count: int) -> Int[Tensor, "count"]:
        """The samples that look most like copies: the smallest distance over the usual one first."""
        # Of two equal training images the usual distance is 0.
        ratio = self.distances / self.usual_distances.clamp_min(1e-12)
        return ratio.argsort(stable=True)[:count]


def nearest_training_images(
    samples: Float[Tensor, "samples features"], training: Float[Tensor, "training features"]
) -> Neighbours:
    """Looks through all training images; at least 2 of them.

    Raises:
        UserError: fewer than 2 training images.
    """
    if len(training) < 2:
        raise UserError(f"training: expected at least 2 images, got {len(training)}")
    distances, places = (part[:, 0] for part in nearest(samples, training, 1))
    found, inverse = places.unique(return_inverse=True)
    # The nearest but one of a training image is its neighbour: the nearest is itself.
    near, which = nearest(training[found], training, 2)
    own = which[:, 0] == found
    usual = near[:, 1].where(own, near[:, 0])
    return Neighbours(places, distances, usual[inverse])

"""KID of images in batches, as a torchmetrics metric; see `kernel_distance`."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance as _TorchmetricsKID
from torchmetrics.utilities.distributed import gather_all_tensors

from convergan.errors import UserError
from convergan.metrics.kernel_distance import (
    SUBSET_SIZE,
    SubsetDistance,
    kernel_distance,
    kernel_distance_of_subsets,
)
from convergan.metrics.metric_classes import (
    DistanceClass,
    FeaturesAlone,
    refuse_options_without_effect,
)
from convergan.metrics.requirements import require_indices

_NO_PLACE = -1
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of features, from narrow to wide."""


class KernelInceptionDistance(DistanceClass, _TorchmetricsKID):  # type: ignore[override]
    """KID as a torchmetrics metric, for any network, with seeded subsets and float64.

    It keeps the features of all images. `persistent(True)` puts them into the `state_dict`, from which they
    continue.

    All pairs have one result, whatever the order of the images and the number of processes. Subsets are drawn
    from the images in the order of their `indices`; without these, in the order of `update`, one process
    after the other: another order or another number of processes is then another draw.

    Args:
        network: a module that turns images into features [batch, d], floats, or into an output with a field
            `features`. It gets the images as they are, is used in evaluation mode, and left in the mode that
            it was in.
        subsets: number of subsets; 0: all pairs of all images.
        subset_size: number of images in each subset.
        seed: seed of the draws.
        options: `reset_real_features`, and options of `torchmetrics.Metric`.

    Raises:
        UserError: an option would have no effect, such as `normalize` or `degree`.
    """

    # KID is below 0 by chance, and above 1 for features that are large.
    plot_lower_bound = None  # type: ignore[assignment]
    plot_upper_bound = None  # type: ignore[assignment]

    real_places: list[Tensor]
    fake_places: list[Tensor]

    def __init__(
        self,
        network: nn.Module,
        *,
        subsets: int = 0,
        subset_size: int = SUBSET_SIZE,
        seed: int = 0,
        **options: Any,
    ) -> None:
        refuse_options_without_effect(_TorchmetricsKID, options)
        super().__init__(
            feature=FeaturesAlone(network),
            subsets=max(subsets, 1),
            subset_size=subset_size,
            **options,
        )
        self.subsets, self.seed = subsets, seed
        self.add_state("real_places", [], dist_reduce_fx=None)
        self.add_state("fake_places", [], dist_reduce_fx=None)

    def update(self, imgs: Tensor, real: bool, indices: Int[Tensor, "batch"] | None = None) -> None:
        """Add images.

        Args:
            imgs: input of the network.
            real: True for real images, False for generated ones.
            indices: the place of each image among all of its kind, from 0, which makes the subsets
                independent of the order and of the number of processes. None: images follow each other.

        Raises:
            UserError: the network's features are not floats [batch, d], or not finite; or indices are not
                integers from 0 on, one for each image.
        """
        places = self._places(indices, len(imgs))
        super().update(imgs, real)
        (self.real_places if real else self.fake_places).append(places)

    def compute(self) -> SubsetDistance:
        """Compute mean and standard deviation over the subsets, in float64.

        Raises:
            ValueError: there are no images, or fewer than a subset has.
        """
        real, generated = self._in_order("real"), self._in_order("fake")
        if not self.subsets:
            value = kernel_distance(real, generated)
            return SubsetDistance(value, torch.zeros_like(value))
        return kernel_distance_of_subsets(
            real, generated, subsets=self.subsets, subset_size=self.subset_size, seed=self.seed
        )

    def reset(self) -> None:
        """Forget all images; with `reset_real_features=False` the generated ones."""
        real_places = list(self.real_places)
        super().reset()
        if not self.reset_real_features:
            self.real_places = real_places

    def _places(self, indices: Tensor | None, count: int) -> Tensor:
        if indices is None:
            return torch.full((count,), _NO_PLACE, device=self.device)
        require_indices(indices, count)
        if count and int(indices.min()) < 0:
            raise UserError(f"indices: expected indices from 0 on, got {int(indices.min())}")
        return indices.to(self.device, torch.int64)

    def _in_order(self, kind: str) -> Tensor:
        """Features of the real or the generated images (`fake`) in the order of their places."""
        features = [part for part in getattr(self, f"{kind}_features") if len(part)]
        if not features:
            name = "real" if kind == "real" else "generated"
            raise ValueError(f"expected at least 2 {name} images, got 0")
        images = torch.cat(features)
        places = torch.cat([self._places(None, 0), *getattr(self, f"{kind}_places")])
        # A loaded state may have features alone, which come first.
        places = torch.cat([self._places(None, len(images) - len(places)), places])
        indices = places[places != _NO_PLACE]
        if len(indices.unique()) < len(indices):
            raise ValueError("indices: expected each index once, got some twice")
        # Images without places stay in the order in which they came.
        return images[places.argsort(stable=True).to(images.device)]

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None
    ) -> None:
        # All processes must send equally many tensors, of one type, also those with other numbers of batches.
        own = [*self.real_features, *self.fake_features]
        width = max((_DTYPES.index(part.dtype) for part in own), default=0)
        group = process_group or self.process_group
        widths = dist_sync_fn(torch.tensor(width, device=self.device), group=group)
        empty = torch.empty(0, 0, dtype=_DTYPES[max(map(int, widths))], device=self.device)
        no_places = torch.empty(0, dtype=torch.int64, device=self.device)
        for kind in ("real", "fake"):
            features = [part.to(empty) for part in getattr(self, f"{kind}_features")]
            setattr(self, f"{kind}_features", [torch.cat(features) if features else empty])
            setattr(
                self, f"{kind}_places", [torch.cat([*getattr(self, f"{kind}_places"), no_places])]
            )
        super()._sync_dist(dist_sync_fn, process_group)

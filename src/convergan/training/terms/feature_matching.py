"""Feature matching (Section 3.1)."""

from jaxtyping import Float
from torch import Tensor

from convergan.distributed import mean_over_ranks
from convergan.recipes.terms import FeatureMatchingSettings
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.training.terms.term import Term, TermOutputs


class FeatureMatching(Term):
    """The distance between the mean features of real and of generated images (Eq. 1), over all ranks."""

    name = "feature_matching"
    settings_class = FeatureMatchingSettings
    players = frozenset({"generator"})
    needs = frozenset({"unlabelled", "generated"})
    settings: FeatureMatchingSettings

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        # Eq. 1 compares means over the whole batch, which several ranks hold together.
        return feature_matching_loss(
            mean_over_ranks(outputs["unlabelled"].features),
            mean_over_ranks(outputs["generated"].features),
            distance=self.settings.distance,
            reduction="mean",
        )

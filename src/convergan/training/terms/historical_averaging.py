"""Historical averaging (Section 3.3)."""

from jaxtyping import Float
from torch import Tensor

from convergan.recipes.terms import HistoricalAveragingSettings
from convergan.training.terms.term import PLAYERS, Term, TermOutputs


class HistoricalAveragingPenalty(Term):
    """The squared distance of a player's weights from the mean of their past, in every player's loss."""

    name = "historical_averaging"
    settings_class = HistoricalAveragingSettings
    players = frozenset(PLAYERS)
    needs = frozenset({"history"})
    is_regularizer = True

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        assert outputs.history is not None
        return outputs.history.penalty()

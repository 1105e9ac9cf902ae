"""The pull-away term of the generator."""

from jaxtyping import Float
from torch import Tensor

from convergan.distributed import gather_rows
from convergan.recipes.terms import PullAwaySettings
from convergan.techniques.pull_away import pull_away_loss
from convergan.training.terms.term import Term, TermOutputs


class PullAway(Term):
    """The mean squared cosine between the features of generated images, over all ranks."""

    name = "pull_away"
    settings_class = PullAwaySettings
    players = frozenset({"generator"})
    needs = frozenset({"generated"})
    is_regularizer = True

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        return pull_away_loss(gather_rows(outputs["generated"].features))
